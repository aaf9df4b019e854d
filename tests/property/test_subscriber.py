"""Subscribers without a broker: the contiguous prefix, and order within a case under every failure."""

import asyncio
from collections import defaultdict
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.kafka.fetching import Batch
from backbone.subscriber import Event, PermanentError, Settings, Subscriber
from backbone.subscriber.intake import Intake
from backbone.subscriber.progress import Progress
from backbone.subscriber.testing import Received, run_handlers
from backbone.subscriber.work import PartitionRun, Stretch
from schemas.servicerequests.v1 import Opened, StatusChanged, Updated


@given(st.lists(st.integers(1, 5), max_size=60), st.randoms())
def test_nothing_is_committed_past_what_is_unfinished(gaps: list[int], random: Any) -> None:
    """Whatever the order in which records end, the position is behind the longest prefix that is wholly done."""
    offsets = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    progress, done = Progress(), set()
    progress.take(offsets[: len(offsets) // 2])
    progress.take(offsets[len(offsets) // 2 :])
    order = list(offsets)
    random.shuffle(order)
    for offset in order:
        progress.done(offset)
        done.add(offset)
        prefix = [each for place, each in enumerate(offsets) if set(offsets[: place + 1]) <= done]
        assert progress.position == (prefix[-1] + 1 if prefix else None)
        assert len(progress) == len(offsets) - len(prefix)
        assert progress.oldest == (offsets[len(prefix)] if len(prefix) < len(offsets) else None)


TYPE_NAMES = [StatusChanged.event_type.encode(), Opened.event_type.encode(), Updated.event_type.encode()]
CE_TYPE = st.sampled_from([*TYPE_NAMES, None, b"", b"\xff", b"x", TYPE_NAMES[0][:-1] + b"9"])
HEADERS = st.tuples(
    st.tuples(st.just("ce_specversion"), st.sampled_from([b"1.0", b"1.0", b"1.0", b"0.3", None])),
    st.tuples(st.just("content-type"), st.sampled_from([b"application/json", b"application/json; x", b"text/x", None])),
    st.tuples(st.just("ce_type"), CE_TYPE),
    st.tuples(st.just("ce_id"), st.sampled_from([b"1", b"1" * 200, b"", None])),
    st.tuples(st.just("ce_dataclassification"), st.sampled_from([b"open", b"official"])),
    st.tuples(st.just("x"), st.sampled_from([b"\x0ace_i", b""])),
).flatmap(lambda headers: st.permutations(headers).flatmap(lambda some: st.integers(3, 6).map(lambda n: some[:n])))


@settings(max_examples=300)
@given(st.lists(HEADERS, min_size=1, max_size=8))
def test_records_as_they_are_fetched_are_sorted_like_any_others(written: list[list[tuple[str, bytes]]]) -> None:
    """What is looked at once for many, and without parsing, changes nothing about who gets what."""
    subscriber = Subscriber("s", Settings(facts_without_hook="ignore"))
    subscriber.on(StatusChanged)(print)  # type: ignore[type-var]  # never called
    subscriber.on(Opened, attributes={"dataclassification": "open"})(print)  # type: ignore[type-var]  # the same
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 2**30)
    for number, headers in enumerate(written):
        builder.append(number, 0, b"k", b"v", headers)
    topic = "E09000022.servicerequests.v1"
    fetched = Batch(bytes(builder.build())).records(topic, 0)
    plain = [Received(topic, 0, number, 0, b"k", b"v", headers) for number, headers in enumerate(written)]

    def sorted_into(records: list[Any]) -> tuple[list[tuple[int, bool]], list[int]]:
        ready, unwanted = Intake(subscriber.complete_routes()).sort(PartitionRun((topic, 0)), records)
        items: list[tuple[int, bool]] = []
        for item in ready:
            if isinstance(item, Stretch):
                items += [(record.offset, bool(item.routes)) for record in item.gathered]
            else:
                items.append((item.record.offset, bool(item.routes)))
        return items, unwanted

    assert sorted_into(fetched) == sorted_into(plain)


CASES = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.lists(st.sampled_from(["ok", "fails", "hopeless", "slow", "gives up"]), min_size=1, max_size=4),
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(CASES, st.integers(1, 8), st.sampled_from([0, 3]))
def test_each_case_is_handled_in_order_and_every_event_has_one_end(
    plan: list[tuple[int, list[str]]], concurrency: int, batch: int
) -> None:
    """An event is handled once, or set aside with what follows in its case; never skipped, never overtaken."""
    subscriber = Subscriber("s", Settings(concurrency=concurrency, tries=3))
    tries: dict[int, int] = defaultdict(int)
    handled: list[tuple[str, int]] = []

    async def take(event: Event[StatusChanged]) -> None:
        number = int(event.data.service_code or 0)
        does = plan[number][1]
        what = does[min(tries[number], len(does) - 1)]
        tries[number] += 1
        if what == "slow":
            await asyncio.sleep(0)
        if what == "fails":
            raise RuntimeError
        if what == "gives up":
            raise asyncio.CancelledError  # as of something that it waited for: a failure like any other
        if what == "hopeless":
            raise PermanentError("no")
        handled.append((event.subject, number))

    async def many(events: list[Event[StatusChanged]]) -> None:
        if len(events) > 1:
            raise ConnectionError  # so that each is tried alone
        await take(events[0])

    subscriber.on(StatusChanged, batch=batch)(many if batch else take)
    events = [
        StatusChanged.model_validate({
            "case_ref": f"c{case}", "organisation": "E09000099", "occurred_at": "2031-06-14T08:05:00Z",
            "state": "open", "service_code": str(number),
        })
        for number, (case, _) in enumerate(plan)
    ]  # fmt: skip
    outcome = asyncio.run(run_handlers(subscriber, events))
    assert outcome.handled == len(handled)
    assert outcome.handled + len(outcome.dead) == len(events)
    by_case: dict[str, list[int]] = defaultdict(list)
    for case, number in handled:
        by_case[case].append(number)
    for case, numbers in by_case.items():
        all_of_case = [number for number, (each, _) in enumerate(plan) if f"c{each}" == case]
        assert numbers == all_of_case[: len(numbers)]
