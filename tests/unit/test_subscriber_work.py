"""How a subscriber keeps count: of what is unfinished, of letters that are refused, of cases that wait."""

import asyncio

import pytest

from backbone.errors import TransientError
from backbone.subscriber.attempts import Retrying
from backbone.subscriber.dead import Letters
from backbone.subscriber.engine import Engine
from backbone.subscriber.refusals import PAUSE_SECS, Refusals
from backbone.subscriber.routes import Routes
from backbone.subscriber.testing import Received
from backbone.subscriber.work import PartitionRun, Work
from backbone.testing.events import Publisher
from schemas.servicerequests import v1 as servicerequests
from schemas.servicerequests.v1 import StatusChanged

PLACE = ("t", 0)
REFUSAL = TransientError("no", code="dead-letter.refused")


def records(first: int, count: int, size: int, timestamp: int) -> list[Received]:
    return [Received("t", 0, first + number, timestamp, None, b"x" * size, []) for number in range(count)]


def test_bytes_count_until_what_came_together_is_done() -> None:
    """The window is bounded by size as well as by number, and the oldest time is that of what is not done."""
    run = PartitionRun(PLACE)
    run.take(records(0, 3, 10, 1_000))
    run.take(records(5, 2, 100, 2_000))
    assert (run.unfinished_bytes, run.oldest_timestamp_ms) == (230, 1_000)
    for offset in (1, 2, 5):
        run.progress.done(offset)
    assert run.unfinished_bytes == 230
    run.progress.done(0)
    assert (run.unfinished_bytes, run.oldest_timestamp_ms) == (200, 2_000)
    run.progress.done(6)
    assert (run.unfinished_bytes, run.oldest_timestamp_ms) == (0, 0)


def test_while_letters_are_refused_one_at_a_time_is_tried() -> None:
    """The others wait without a request, until one is taken; then all go on."""
    refusals = Refusals(patient=True)
    first, second = (PLACE, 1), (PLACE, 2)
    assert refusals.wait_secs(first) is None
    assert refusals.refused(first, REFUSAL) == PAUSE_SECS
    assert refusals.code == "dead-letter.refused"
    assert (refusals.wait_secs(second) or 0) > PAUSE_SECS / 2
    refusals._next_at = 0
    assert refusals.wait_secs(first) is None
    assert refusals.wait_secs(second) is not None
    refusals.accepted(first)
    assert refusals.code == ""
    assert refusals.wait_secs(second) is None


def test_a_partition_that_goes_takes_its_refusals_along() -> None:
    """Whoever owns it next finds out for itself."""
    refusals = Refusals(patient=True)
    refusals.refused((PLACE, 1), REFUSAL)
    refusals._next_at = 0
    refusals.wait_secs((PLACE, 1))
    refusals.forget(PLACE)
    assert refusals.code == ""
    assert refusals.wait_secs((("u", 0), 1)) is None


def test_whoever_does_not_wait_gets_the_reason() -> None:
    """A run that is to end by itself ends with it."""
    with pytest.raises(TransientError):
        Refusals(patient=False).refused((PLACE, 1), REFUSAL)


class Refusing:
    """A dead-letter topic that takes nothing, and counts."""

    open: dict[str, object] = {}  # noqa: RUF012 - of one test

    def __init__(self) -> None:
        self.asked = 0
        self.knows = self.parks = lambda *_: False
        self.blocks = Letters().blocks

    async def put(self, work: Work, code: str) -> None:
        """Refuse."""
        self.asked += 1
        raise REFUSAL

    async def settle(self, work: Work) -> None:
        """Nothing is tried again."""


async def test_a_thousand_dead_cases_make_one_request_while_letters_are_refused() -> None:
    """A handler that fails on everything and a topic that takes nothing are no storm; the oldest case is known."""
    routes, refusing = Routes(), Refusing()

    async def handle(event: object) -> None:
        raise ConnectionError

    routes.add(handle, [StatusChanged], ["*"], {}, replays=True, batch=0)
    engine = Engine(routes, refusing, concurrency=4, retrying=Retrying(2, 0.01, 0.01))
    run, speaker = PartitionRun(PLACE), Publisher("E09000022")
    example = StatusChanged.model_validate(servicerequests.EXAMPLES[StatusChanged].full)
    messages = speaker.messages(example.model_copy(update={"case_ref": f"c{number}"}) for number in range(1_000))
    working = asyncio.create_task(engine.run())
    engine.offer(run, [Received("t", 0, at, 0, *message) for at, (_, message) in enumerate(messages)])
    async with asyncio.timeout(30):
        while engine.tally.retried < 1_000 or engine.waiting or not refusing.asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert refusing.asked <= 4
    assert engine.oldest_waiting_secs > 0.1
    assert len(run.progress) == 1_000
    assert run.progress.position is None
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
