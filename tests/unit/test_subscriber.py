"""What handlers get to see, and what becomes of what they do not: in memory, without a broker."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from backbone.errors import ConfigurationError
from backbone.subscriber import Event, PermanentError, Settings, Subscriber
from backbone.subscriber.dead import Letter, Letters, message_of, read_letter
from backbone.subscriber.testing import Received, run_handlers, run_records
from backbone.subscriber.trial import organisation_for
from backbone.testing.events import Publisher
from schemas.families import FAMILIES
from schemas.servicerequests import v1 as servicerequests
from schemas.servicerequests.v1 import Opened, StatusChanged
from schemas.shared import Event as Data

FACTS = {event.fact: event for event in servicerequests.EVENTS}


def example(model: type[Data]) -> Data:
    return model.model_validate(servicerequests.EXAMPLES[model].full)


def subscriber(**more: Any) -> tuple[Subscriber, list[Event[Any]]]:
    made = Subscriber("s", Settings(organisation="dwp", tries=2))
    seen: list[Event[Any]] = []

    async def handle(event: Event[Any]) -> None:
        seen.append(event)

    made.on(StatusChanged, **more)(handle)
    return made, seen


def record(**changes: Any) -> dict[str, list[Received]]:
    topic, (key, value, headers) = Publisher("E09000022").message(example(StatusChanged))
    return {topic: [replace(Received(topic, 0, 7, 0, key, value, headers), **changes)]}


def with_header(name: str, value: bytes | None) -> dict[str, list[Received]]:
    ((topic, [one]),) = record().items()
    headers: list[Any] = [(each, value if each == name else content) for each, content in one.headers]
    return {topic: [replace(one, headers=headers)]}


def without_header(name: str) -> dict[str, list[Received]]:
    ((topic, [one]),) = record().items()
    return {topic: [replace(one, headers=[pair for pair in one.headers if pair[0] != name])]}


async def test_a_handler_sees_typed_data_and_the_envelope_beside_it() -> None:
    """Data is the model; id, source, times, trace and place come from the headers."""
    made, seen = subscriber()
    outcome = await run_handlers(made, [example(StatusChanged)], organisation="E09000022")
    (event,) = seen
    assert outcome.handled == 1
    assert isinstance(event.data, StatusChanged)
    assert event.type == StatusChanged.event_type
    assert event.organisation == "E09000022"
    assert event.source == "urn:backbone:E09000022:toy"
    assert event.subject == event.data.case_ref
    assert (event.time, event.recorded_at) == (event.data.occurred_at, "2031-06-14T08:05:01.000Z")
    assert len(event.id) == 32
    assert event.traceparent.startswith("00-")
    assert event.trace
    assert (event.replay, event.late) == ("", False)
    assert event.data.case_ref not in repr(event)


@pytest.mark.parametrize(
    ("more", "organisation", "wanted"),
    [
        ({"organisations": ["E09*"]}, "E09000022", True),
        ({"organisations": ["E08*", "E09000022"]}, "E09000022", True),
        ({"organisations": ["E08*"]}, "E09000022", False),
        ({"attributes": {"dataclassification": "official"}}, "E09000022", True),
        ({"attributes": {"dataclassification": "open"}}, "E09000022", False),
        ({"attributes": {"nothing": "x"}}, "E09000022", False),
    ],
)
async def test_filters_are_looked_at_before_anything_is_parsed(
    more: dict[str, Any],
    organisation: str,
    wanted: bool,  # noqa: FBT001
) -> None:
    """What a handler does not want is passed over, even if its value could not be read."""
    made, seen = subscriber(**more)
    outcome = await run_handlers(made, [example(StatusChanged)], organisation=organisation)
    assert (len(seen), outcome.ignored) == ((1, 0) if wanted else (0, 1))
    if not wanted and organisation == "E09000022":
        assert (await run_records(made, record(value=b"{"))).dead == []


async def test_a_replay_is_seen_and_can_be_passed_over() -> None:
    """A handler that must not act twice opts out."""
    made, seen = subscriber()
    await run_handlers(made, [example(StatusChanged)], replayid="run-1")
    assert seen[0].replay == "run-1"
    made, seen = subscriber(replays=False)
    assert (await run_handlers(made, [example(StatusChanged)], replayid="run-1")).ignored == 1
    assert (await run_handlers(made, [example(StatusChanged)])).handled == 1


async def test_a_late_event_has_both_times() -> None:
    """When it happened, and when it was published after all."""
    made, seen = subscriber()
    topic, (key, value, headers) = Publisher("E09000022", late=True).message(example(StatusChanged))
    await run_records(made, {topic: [Received(topic, 0, 0, 0, key, value, headers)]})
    assert seen[0].late
    assert seen[0].time < seen[0].recorded_at


@pytest.mark.parametrize("fact", ["revoked", "superseded", "merged", "erased"])
async def test_the_four_facts_reach_their_hooks_and_are_never_overlooked(fact: str) -> None:
    """With a hook it is handled; without one it is set aside for somebody to look at; or ignored where that is said."""
    made, seen = subscriber()
    assert (await run_handlers(made, [example(FACTS[fact])])).dead == ["event.fact-not-handled"]

    async def hook(event: Event[Any]) -> None:
        seen.append(event)

    getattr(made, f"on_{fact}")(hook)
    assert (await run_handlers(made, [example(FACTS[fact])])).handled == 1
    assert seen[-1].data.fact == fact
    careless = Subscriber("s", Settings(facts_without_hook="ignore"))
    careless.on(StatusChanged)(hook)
    assert (await run_handlers(careless, [example(FACTS[fact])])).ignored == 1


async def test_fields_of_a_later_version_are_ignored_and_counted() -> None:
    """An optional field that this version does not know does not stop anybody."""
    made, seen = subscriber()
    topic, (key, value, headers) = Publisher("E09000022").message(example(StatusChanged))
    newer = orjson.dumps({**orjson.loads(value or b""), "of_next_year": 1})
    outcome = await run_records(made, {topic: [Received(topic, 0, 0, 0, key, newer, headers)]})
    assert outcome.handled == 1
    assert seen[0].data == example(StatusChanged)


@pytest.mark.parametrize(
    ("records", "code"),
    [
        (record(value=None), "event.no-value"),
        (record(value=b"{"), "event.undecodable"),
        (record(value=b"\xff\xfe"), "event.undecodable"),
        (record(value=b"[]"), "event.schema"),
        (record(value=b'{"case_ref": "secret-canary"}'), "event.schema"),
        (record(value=b'"' + b"x" * 1_048_577 + b'"'), "event.oversize"),
        (record(headers=[]), "event.no-envelope"),
        (without_header("ce_id"), "event.no-envelope"),
        (with_header("ce_id", b""), "event.no-envelope"),
        (with_header("ce_id", None), "event.no-envelope"),
        (without_header("ce_specversion"), "event.no-envelope"),
        (with_header("ce_specversion", b"0.3"), "event.no-envelope"),
        (with_header("ce_type", None), "event.no-envelope"),
        (with_header("ce_type", b"\xff\xfe"), "event.no-envelope"),
        (with_header("content-type", b"text/plain"), "event.content-type"),
        (with_header("content-type", b"application/cloudevents+json"), "event.content-type"),
        (with_header("ce_type", b"org.councilbackbone.servicerequests.status-changed.v2"), "event.unknown-major"),
    ],
)
async def test_what_cannot_be_read_is_set_aside_with_its_code(
    records: dict[str, list[Received]], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never a loop, never a silent skip, and no value in the log."""
    made, seen = subscriber()
    outcome = await run_records(made, records)
    assert (seen, outcome.dead) == ([], [code])
    assert "secret-canary" not in capsys.readouterr().out


@pytest.mark.parametrize("order", ["as written", "reversed"])
async def test_the_order_of_headers_does_not_matter(order: str) -> None:
    """Other writers may have another one, and it may change in the midst of a topic."""
    made, seen = subscriber()
    ((topic, [one]),) = record().items()
    turned = replace(one, headers=list(reversed(one.headers)), offset=8)
    wrong = replace(turned, headers=[pair for pair in turned.headers if pair[0] != "ce_id"], key=b"k")
    records = [one, turned, wrong, one] if order == "as written" else [wrong, turned, one, turned]
    outcome = await run_records(made, {topic: [replace(each, offset=at) for at, each in enumerate(records)]})
    assert (outcome.handled, outcome.dead) == (3, ["event.no-envelope"])
    assert len({event.id for event in seen}) == 1


async def test_a_header_without_a_value_is_an_empty_attribute() -> None:
    """Kafka allows it, and no handler trips over it."""
    made, seen = subscriber()
    await run_records(made, with_header("ce_subject", None))
    assert seen[0].subject == ""


@pytest.mark.parametrize("batch", [0, 5])
async def test_a_handler_whose_own_call_is_cancelled_has_failed(batch: int) -> None:
    """It is tried again and set aside like any other, and whoever works on events goes on."""
    made = Subscriber("s", Settings(tries=2))
    seen: list[str] = []

    async def one(event: Event[StatusChanged]) -> None:
        seen.append(event.data.case_ref)
        if event.data.case_ref == "a":
            waiting = asyncio.create_task(asyncio.sleep(60))
            waiting.cancel()
            await waiting

    async def many(events: list[Event[StatusChanged]]) -> None:
        for event in events:
            await one(event)

    made.on(StatusChanged, batch=batch)(many if batch else one)
    events = [example(StatusChanged).model_copy(update={"case_ref": case}) for case in "ab"]
    outcome = await run_handlers(made, events)
    assert (outcome.handled, outcome.dead) == (1, ["handler.failed"])
    assert "b" in seen


async def test_facts_reach_the_organisations_of_every_handler() -> None:
    """Two handlers of one family, each of other organisations: a revocation of either is not overlooked."""
    made = Subscriber("s", Settings())
    revoked: list[str] = []

    @made.on(StatusChanged, organisations=["E09000022"])
    @made.on(Opened, organisations=["E08*"])
    async def handle(event: Event[Any]) -> None:
        """Do nothing."""

    @made.on_revoked
    async def undo(event: Event[Any]) -> None:
        revoked.append(event.organisation)

    for organisation in ("E09000022", "E08000001", "E07000001"):
        await run_handlers(made, [example(FACTS["revoked"])], organisation=organisation)
    assert revoked == ["E09000022", "E08000001"]


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("handler.unknown-case", "handler.unknown-case"),
        ("Canaria Plantedname", "handler.permanent"),
        ("", "handler.permanent"),
    ],
)
def test_a_code_of_a_handler_is_a_label_and_no_text(code: str, kept: str) -> None:
    """It becomes the label of a metric and a header: what is not of a code's form is not kept."""
    assert PermanentError("because", code=code).code == kept


async def test_an_event_that_nobody_asked_for_is_passed_over() -> None:
    """Other events of the same topic, and types that a later version added to it."""
    made, seen = subscriber()
    assert (await run_handlers(made, [example(Opened)])).ignored == 1
    later = with_header("ce_type", b"org.councilbackbone.servicerequests.something-new.v1")
    assert (await run_records(made, later)).ignored == 1
    assert seen == []


async def test_several_handlers_of_one_event_each_take_it_once() -> None:
    """When the second fails, the first is not run again."""
    made, seen = subscriber()
    tries = []

    @made.on(StatusChanged)
    async def second(event: Event[StatusChanged]) -> None:
        tries.append(event.id)
        if len(tries) == 1:
            raise ConnectionError

    assert (await run_handlers(made, [example(StatusChanged)])).handled == 1
    assert (len(seen), len(tries)) == (1, 2)


def test_what_cannot_be_is_refused_at_once() -> None:
    """No event class, no handler, or two ways to handle one class."""
    made = Subscriber("s", Settings())
    with pytest.raises(ConfigurationError):
        made.on()(print)  # type: ignore[type-var]  # that is the mistake
    with pytest.raises(ConfigurationError):
        made.routes.topic_pattern()
    made, _ = subscriber()
    with pytest.raises(ConfigurationError, match="only one"):
        made.on(StatusChanged, batch=5)(print)  # type: ignore[type-var]  # never called


def test_settings_that_cannot_be_are_named_all_at_once_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """From arguments or variables: the names and what is wrong, never the values."""
    monkeypatch.setenv("BACKBONE_TRIES", "plenty-canary")
    with pytest.raises(ConfigurationError, match=r"concurrency.*tries|tries.*concurrency") as caught:
        Settings(concurrency=0)
    assert caught.value.code == "config.invalid-value"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("organisations", "matching", "other"),
    [
        (["*"], "E09000022.servicerequests.v1", "E09000022.planning.v1"),
        (["E08*", "E09000022"], "E08000001.servicerequests.v1", "E09000023.servicerequests.v1"),
        (["E0900002?"], "E09000022.servicerequests.v1", "shared.x.servicerequests.v1"),
    ],
)
def test_topics_are_those_of_the_organisations_and_families(
    organisations: list[str], matching: str, other: str
) -> None:
    """The pattern that the group subscribes to matches those and no others."""
    import re  # noqa: PLC0415

    made, _ = subscriber(organisations=organisations)
    pattern = made.complete_routes().topic_pattern()
    assert re.match(pattern, matching)
    assert not re.match(pattern, other)
    assert not re.match(pattern, f"{matching}.more")


@pytest.mark.parametrize("value", [None, b"", b"{}"])
@pytest.mark.parametrize("key", [None, b"", b"case"])
def test_a_letter_is_read_back_as_it_was_written(key: bytes | None, value: bytes | None) -> None:
    """Key, value (or none) and headers of the original come back unchanged, whatever they are."""
    letter = Letter("t.x.v1/3/17", ("t.x.v1", 3), 17, key, value, (("ce_id", b"\xff"),), "a.b", 2, "2031")
    written = message_of("dead", letter)
    assert read_letter(*written) == ("dead", letter)
    assert read_letter(b"k", b"v", [("ce_id", b"1")]) is None


def test_a_letter_shows_a_type_and_no_other_text() -> None:
    """Its list is for everybody; what is no type might be a value."""
    letter = Letter("t/0/1", ("t", 0), 1, b"c", b"", (("ce_type", StatusChanged.event_type.encode()),), "x.y", 1, "")
    assert letter.type == StatusChanged.event_type
    assert replace(letter, headers=(("ce_type", b"Canaria Plantedname"),)).type == ""


def test_letters_of_a_case_keep_their_order() -> None:
    """That of their partition, whenever they were written; a settled one frees those behind it."""
    letters = Letters()
    one = Letter("t/0/1", ("t", 0), 1, b"c", b"", (), "x.y", 1, "")
    two = replace(one, id="t/0/2", offset=2)
    for letter in (two, one, two):  # the second was set aside first: its reader was moved back
        letters.apply("dead", letter)
    assert not letters.parks(("t", 0), b"c", 1)
    assert [letter.id for letter in letters.of_case(two)] == ["t/0/1", "t/0/2"]
    assert letters.blocks("t/0/2")
    assert not letters.blocks("t/0/1")
    letters.apply("settled", one)
    assert not letters.blocks("t/0/2")
    assert letters.parks(("t", 0), b"c", 3)
    assert not letters.parks(("t", 0), b"c", 2)
    letters.apply("settled", two)
    assert not letters.open
    assert not letters.parks(("t", 0), b"c", 3)


@pytest.mark.parametrize(
    ("organisations", "speaks"),
    [(["*"], "E09000099"), (["E08*"], "E08000000"), (["E0700001?"], "E07000010"), (["dwp", "E09*"], "E09000099")],
)
def test_a_trial_speaks_for_whom_the_handler_listens_to(organisations: list[str], speaks: str) -> None:
    """A service that wants some councils only sees something in its trial, too."""
    made, _ = subscriber(organisations=organisations)
    assert organisation_for(made, StatusChanged) == speaks


def test_every_family_can_be_subscribed_to() -> None:
    """Each event class has a topic, and the four facts of its family are known."""
    for module in FAMILIES.values():
        made = Subscriber("s", Settings())
        made.on(module.EVENTS[0])(print)  # type: ignore[type-var]  # never called
        facts = {routes[0].model.fact for routes in made.complete_routes().by_type.values()}
        assert {"revoked", "superseded", "merged", "erased"} <= facts
