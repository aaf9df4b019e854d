"""`backbone dead`: letters are listed, shown, chosen by a filter, tried again and discarded."""

import json
from datetime import datetime

import pytest

from backbone.cli import dead
from backbone.errors import ConfigurationError
from backbone.kafka.dead_letters import DeadLetterTopic
from backbone.subscriber import Settings
from backbone.subscriber.dead import Letter, message_of
from schemas.planning.v1 import ApplicationDecided
from schemas.servicerequests.v1 import StatusChanged
from schemas.shared import Event
from tests.integration.subscribers import make_topics

WORKS, PLANS = "E09000099.servicerequests.v1", "E09000099.planning.v1"
LETTERS: list[tuple[str, str, int, type[Event], str, str]] = [
    ("c1", WORKS, 10, StatusChanged, "handler.failed", "2031-06-14T08:00:00.000Z"),
    ("c1", WORKS, 11, StatusChanged, "event.behind-dead", "2031-06-14T08:00:01.000Z"),
    ("c2", WORKS, 12, StatusChanged, "event.schema", "2031-06-14T09:00:00.000Z"),
    ("c1", PLANS, 13, ApplicationDecided, "handler.failed", "2031-06-15T08:00:00.000Z"),
    ("c1", WORKS, 14, StatusChanged, "event.behind-dead", "2031-06-15T09:00:00.000Z"),
]


@pytest.fixture
async def letters(broker: str, organisation: str, monkeypatch: pytest.MonkeyPatch) -> DeadLetterTopic:
    """Give a dead-letter topic with five letters; commands find it."""
    await make_topics(broker, organisation, partitions=1)
    monkeypatch.setenv("BACKBONE_BOOTSTRAP_SERVERS", broker)
    monkeypatch.setenv("BACKBONE_ORGANISATION", organisation)
    topic = DeadLetterTopic(Settings().connection(), f"{organisation}.dead.s", lambda *_: None)
    for case, source, offset, model, code, at in LETTERS:
        headers = (("ce_type", model.event_type.encode()), ("ce_id", b"1"))
        letter = Letter(f"{source}/0/{offset}", (source, 0), offset, case.encode(), b"{}", headers, code, 1, at)
        await topic.write(message_of("dead", letter))
    await topic.close()
    return topic


def told(capsys: pytest.CaptureFixture[str]) -> list[int]:
    """Return the offsets of the letters that a command listed."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [int(line["id"].rpartition("/")[2]) for line in lines]


@pytest.mark.parametrize(
    ("wanted", "listed", "retried"),
    [
        (dead.Filter(code="event.behind-dead"), [11, 14], [10, 11, 14]),
        (dead.Filter(case="c1", topic=WORKS), [10, 11, 14], [10, 11, 14]),
        (dead.Filter(case="c1", topic=PLANS), [13], [13]),
        (dead.Filter(type="application-decided.v1"), [13], [13]),
        (dead.Filter(since=datetime.fromisoformat("2031-06-14T09:00:00Z")), [12, 13, 14], [13, 10, 11, 12, 14]),
        (dead.Filter(until=datetime.fromisoformat("2031-06-14T08:00:01")), [10], [10, 11, 14]),
        (dead.Filter(code="event.schema", case="c1"), [], []),
    ],
)
async def test_filters_choose_letters_and_cases_stay_whole(
    letters: DeadLetterTopic,
    capsys: pytest.CaptureFixture[str],
    wanted: dead.Filter,
    listed: list[int],
    retried: list[int],
) -> None:
    """A list holds what fits; a retry takes along those before them in their cases and what is parked behind."""
    assert await dead.list_("s", wanted=wanted, json=True) == 0
    assert told(capsys) == listed
    if listed:
        assert await dead.retry("s", wanted=wanted, dry_run=True, json=True) == 0
        assert told(capsys) == retried


async def test_a_retry_is_asked_for_and_a_discard_is_final(
    letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is not a dry run is written; a wanted letter is shown as such, a discarded one is gone."""
    assert await dead.retry("s", every=True, dry_run=True) == 0
    assert await dead.discard("s", f"{WORKS}/0/12", dry_run=True) == 0
    capsys.readouterr()
    await dead.list_("s", json=True)
    assert [json.loads(line)["wanted"] for line in capsys.readouterr().out.splitlines()] == [""] * 5
    assert await dead.retry("s", f"{WORKS}/0/11") == 0
    assert await dead.discard("s", f"{WORKS}/0/12") == 0
    capsys.readouterr()
    await dead.list_("s", json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["id"].rpartition("/")[2], line["wanted"]) for line in lines] == [
        ("10", "yes"), ("11", "yes"), ("13", ""), ("14", "yes"),
    ]  # fmt: skip
    assert lines[0]["at"] == "2031-06-14T08:00:00Z"


async def test_one_letter_is_shown_without_its_values(
    letters: DeadLetterTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data, key and headers only when they are asked for; where it came from and what to do always."""
    assert await dead.show("s", f"{WORKS}/0/14") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["before_it_in_its_case"] == [f"{WORKS}/0/10", f"{WORKS}/0/11"]
    assert shown["what_to_do"] == "docs/operations.md, event.behind-dead"
    assert {"key", "data", "headers"}.isdisjoint(shown)
    assert await dead.show("s", f"{WORKS}/0/14", reveal=True) == 0
    assert json.loads(capsys.readouterr().out)["key"] == "c1"


async def test_what_is_not_there_is_said(letters: DeadLetterTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another subscriber, a letter that is unknown, and a retry of nothing in particular."""
    for wrong in (dead.list_("nobody"), dead.show("s", "x/0/1"), dead.retry("s"), dead.discard("s", "x/0/1")):
        with pytest.raises(ConfigurationError):
            await wrong
