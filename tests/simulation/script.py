"""Short plays of the transactional protocol, drawn from a seed, that real Kafka and the simulated one both give.

The clients are the same, aiokafka's with our guards and the product's own readers; only the brokers differ. What
shows is written down: the class of every error, the records that either kind of reader finds, the offsets.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError

from backbone.errors import BackboneError
from backbone.kafka import guards
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import consumer, read_state
from backbone.packed import pack

PARTITIONS: Final = 2
TOO_LARGE: Final = 3_000
"""More bytes than the topic takes."""
MAX_MESSAGE_BYTES: Final = 2_000
OP_DEADLINE_SECS: Final = 30.0
STUCK_AFTER_SECS: Final = 2.0
SETTLE_WITHIN_SECS: Final = 15.0
MARKERS_SECS: Final = 0.5
"""Longer than the simulated markers take, and short against the transaction time-out of 30 s."""
SENSIBLE: Final = 0.9
"""How often a step is one that makes sense; the others must be refused alike."""
WEIGHTS: Final = {
    "init": 4, "begin": 7, "send": 10, "commit": 6, "abort": 3, "publish": 6,
    "committed": 4, "uncommitted": 2, "offsets": 3, "state": 2,
}  # fmt: skip
LOOKS: Final = frozenset({"committed", "uncommitted", "offsets", "state"})
ENDS: Final = frozenset({"init", "commit", "abort", "publish"})
"""What ends a transaction, or may."""
PRODUCERS: Final = ("zombie", "owner", "sibling")
"""``zombie`` and ``owner`` share a transactional id."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody does."""

    what: str
    who: str = ""
    partition: int = 0
    size: int = 10

    def __str__(self) -> str:
        return f"{self.what} {self.who} {self.partition}".strip()


def draw(seed: int) -> list[Step]:
    """Return the play of a seed: it begins with somebody, and ends with a look at everything."""
    choose = random.Random(f"play {seed}")  # noqa: S311 - a play, not a secret
    steps = [Step("init", "zombie")]
    known, begun = {"zombie"}, set()
    for _ in range(choose.randint(10, 18)):
        who, what = choose.choice(PRODUCERS), choose.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        sensible = choose.random() < SENSIBLE
        if what not in LOOKS and what != "init" and sensible:
            if who not in known:
                what = "init"
            elif what in {"send", "commit", "abort"} and who not in begun:
                what = "begin"
            elif what in {"begin", "publish"} and who in begun:
                what = "commit"
        size = TOO_LARGE if what in {"send", "publish"} and choose.random() < 0.06 else 10
        steps.append(Step(what, who, choose.randrange(PARTITIONS), size))
        if what == "begin":  # a transaction that nothing is sent in is soon dull
            steps.append(Step("send", who, choose.randrange(PARTITIONS)))
            begun.add(who)
        elif what in {"commit", "abort", "init"}:
            begun.discard(who)
        if what == "init":
            known.add(who)
    looks = [Step(what, "", part) for part in range(PARTITIONS) for what in ("offsets", "committed", "uncommitted")]
    return [*steps, *looks, Step("init", "owner"), Step("init", "sibling"), *looks, Step("state"), Step("state", "", 1)]


class Play:
    """A play on one stage: a topic of its own and transactional ids of its own."""

    def __init__(self, connection: KafkaConnection, topic: str, expected: Sequence[str] = ()) -> None:
        """Take what shows elsewhere in ``expected``: a look is repeated for a while until it shows the same."""
        self.seen: list[str] = []
        self._connection = connection
        self._topic = topic
        self._expected = expected
        self._producers: dict[str, TransactionalProducer] = {}
        self._sent = 0
        self._ends: dict[str, Any] = {"high watermark": None, "last stable": None}

    async def give(self, steps: Sequence[Step]) -> list[str]:
        """Do every step; return what showed."""
        async with AsyncExitStack() as stack:
            for name in self._ends:
                opened = consumer(self._connection, committed=name == "last stable")
                self._ends[name] = await stack.enter_async_context(opened)
            try:
                for step in steps:
                    shown = await self._settled(step) if step.what in LOOKS else await self._do(step)
                    self.seen.append(f"{step}: {shown}")
                    if step.what in ENDS:  # offsets depend on whether its markers have been written
                        for partition in range(PARTITIONS):
                            settled = Step("offsets", "", partition)
                            self.seen.append(f"{settled}: {await self._settled(settled)}")
            finally:
                for producer in self._producers.values():
                    await producer.discard()
        return self.seen

    async def _do(self, step: Step) -> str:
        action: Callable[[Step], Awaitable[str]] = getattr(self, f"_{step.what}")
        try:
            return await asyncio.wait_for(action(step), OP_DEADLINE_SECS)
        except BackboneError as error:
            return error.code
        except (KafkaError, IllegalOperation, AssertionError, TimeoutError) as error:
            return type(error).__name__

    async def _settled(self, step: Step) -> str:
        """Look until it shows what is expected, as markers take their time, or until they have had enough of it."""
        wanted = self._expected[len(self.seen)].partition(": ")[2] if self._expected else None
        loop = asyncio.get_running_loop()
        if wanted is None:
            await asyncio.sleep(MARKERS_SECS)
            return await self._do(step)
        deadline = loop.time() + SETTLE_WITHIN_SECS
        while (shown := await self._do(step)) != wanted and loop.time() < deadline:
            await asyncio.sleep(0.05)
        return shown

    def _client(self, who: str) -> AIOKafkaProducer:
        made = self._producers.get(who)
        assert made is not None
        return made._producer

    async def _init(self, step: Step) -> str:
        before = self._producers.pop(step.who, None)
        if before is not None:
            await before.discard()
        name = f"{self._topic}.{'sibling' if step.who == 'sibling' else 'id'}"
        made = self._producers[step.who] = TransactionalProducer(self._connection, name)
        await made.start()
        return "done"

    async def _begin(self, step: Step) -> str:
        await self._client(step.who).begin_transaction()
        return "done"

    async def _send(self, step: Step) -> str:
        self._sent += 1
        value, key = b"x" * step.size, f"{step.who}-{self._sent}".encode()
        future = await self._client(step.who).send(self._topic, value, key=key, partition=step.partition)
        return f"at {(await future).offset}"

    async def _commit(self, step: Step) -> str:
        await self._client(step.who).commit_transaction()
        return "done"

    async def _abort(self, step: Step) -> str:
        await self._client(step.who).abort_transaction()
        return "done"

    async def _publish(self, step: Step) -> str:
        """Publish as the product does: over every partition, in one transaction."""
        assert step.who in self._producers
        self._sent += 1
        key = f"{step.who}-{self._sent}".encode()
        messages = [pack((key, b"x" * step.size, [])), pack((key, b"y", []))]
        places = {(self._topic, partition): messages for partition in range(PARTITIONS)}
        await self._producers[step.who].publish(places, "2031-01-06T08:00:00Z")
        return "done"

    async def _committed(self, step: Step) -> str:
        return await self._read(step.partition, committed=True)

    async def _uncommitted(self, step: Step) -> str:
        return await self._read(step.partition, committed=False)

    async def _read(self, partition: int, *, committed: bool) -> str:
        place, keys = TopicPartition(self._topic, partition), []
        async with consumer(self._connection, committed=committed) as client:
            client.assign([place])
            await client.seek_to_beginning(place)
            end = (await client.end_offsets([place]))[place]
            while await client.position(place) < end:
                records = (await client.getmany(place, timeout_ms=100)).get(place, ())
                keys += [f"{record.offset}={record.key.decode()}" for record in records]
        return " ".join(keys)

    async def _offsets(self, step: Step) -> str:
        place = TopicPartition(self._topic, step.partition)
        ends = [f"{name} {(await client.end_offsets([place]))[place]}" for name, client in self._ends.items()]
        return ", ".join(ends)

    async def _state(self, step: Step) -> str:
        keys: list[str] = []

        def apply(key: bytes, _value: bytes | None) -> None:
            keys.append(key.decode())

        await read_state(self._connection, self._topic, step.partition, apply, STUCK_AFTER_SECS)
        return " ".join(keys)


async def on_stage(connection: KafkaConnection, topic: str, seed: int, expected: Sequence[str] = ()) -> list[str]:
    """Give the play of a seed; return what showed."""
    guards.install()
    seen: list[Any] = await Play(connection, topic, expected).give(draw(seed))
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    return seen
