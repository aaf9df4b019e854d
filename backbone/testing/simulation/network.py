"""What lies between clients and brokers: time, and everything that can happen to a request on its way.

Requests of one connection arrive in their order, and so do their answers. Where a connection is cut, what was on its
way may arrive all the same, late, and behind what the client has sent since.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from backbone.kafka.socketless import CUT, NO_ANSWER, NOT_READY
from backbone.testing.simulation.kafka import NAMES, PRODUCE, VERSIONS, SimulatedKafka
from backbone.testing.simulation.loop import PROCESS, Process, VirtualLoop

CONNECT_SECS: Final = 0.001
NO_ANSWER_SECS: Final = 15.0
"""A client's own time-out of a request, as the product sets it."""

Action = Literal["lose", "unanswered", "late", "overtaken", "delay"]
"""What may befall a request.

``lose``: its connection is cut and it never arrives. ``unanswered``: it arrives, and the connection is cut before the
answer. ``late``: the connection is cut, and it arrives after some time. ``overtaken``: the same, and it arrives right
behind the next first Produce of its transactional id. ``delay``: it, and all behind it, is held up for some time.
"""


@dataclass(slots=True)
class Disturbance:
    """What befalls a request: ``secs`` is how late it comes or how long it is held up."""

    action: Action
    secs: float = 0.0


@dataclass(slots=True)
class _Connection:
    """One connection of a client; a cut makes a new one of it."""

    cuts: int = 0
    arrives_at: float = 0.0
    answers_at: float = 0.0
    waiting: dict["asyncio.Future[Any]", None] = field(default_factory=dict)


class Network:
    """Every way between processes and brokers.

    ``disturb`` is asked for every request what befalls it, if anything.
    """

    def __init__(self, loop: VirtualLoop, choose: random.Random, kafka: SimulatedKafka) -> None:
        """Be fast and undisturbed."""
        self.kafka = kafka
        self.loop = loop
        self.counts: Counter[str] = Counter()
        self.disturb: Callable[[Process | None, Any], Disturbance | None] = _nothing
        self.cut_off: set[Process] = set()
        self.on_their_way = 0
        self._choose = choose
        self._wires: list[Wire] = []
        self._overtaken: dict[str, Callable[[], None]] = {}

    def wire(self) -> "Wire":
        """Return the connections of one client of the process that asks."""
        made = Wire(self, PROCESS.get())
        self._wires.append(made)
        return made

    def pause(self) -> float:
        """Return how long a message takes: about a millisecond."""
        return self._choose.uniform(0.0003, 0.002)

    def reachable(self, process: Process | None, node: int) -> bool:
        """Say whether a connection can be made."""
        return node not in self.kafka.down and process not in self.cut_off

    def break_node(self, node: int, secs: float) -> None:
        """Let a broker be down for some time; what was decided is kept, and its connections break."""
        self.kafka.down.add(node)
        for wire in self._wires:
            wire.cut(node)
        self.loop.later(secs, self._back, node)

    def _back(self, node: int) -> None:
        self.kafka.down.discard(node)
        self.kafka.groups.moved()

    def partition(self, process: Process, secs: float) -> None:
        """Cut a process off from all brokers for some time."""
        self.cut_off.add(process)
        self.forget(process)
        self.loop.later(secs, self.cut_off.discard, process)

    def forget(self, process: Process) -> None:
        """Cut every connection of a process."""
        for wire in self._wires:
            if wire.process is process:
                wire.cut()

    def send(self, wire: "Wire", node: int, connection: _Connection, request: Any) -> "asyncio.Future[Any]":
        """Put a request on its way; the future has its answer, or what became of it."""
        loop, process = self.loop, wire.process
        answer: asyncio.Future[Any] = loop.create_future()
        connection.waiting[answer] = None
        cuts = connection.cuts
        disturbance = self.disturb(process, request)
        action = None if disturbance is None else disturbance.action
        secs = 0.0 if disturbance is None else disturbance.secs
        if action is not None:
            self.counts[f"{action} {NAMES[request.API_KEY]}"] += 1
            if self.kafka.trace is not None:
                self.kafka.trace(f"network: {action} {NAMES[request.API_KEY]} of {process}, {secs:.3f} s")
        arrives_at = max(connection.arrives_at, loop.now + self.pause() + (secs if action == "delay" else 0.0))
        connection.arrives_at = arrives_at

        def arrive() -> None:
            self.on_their_way -= 1
            if node in self.kafka.down:
                return
            late = action in {"late", "overtaken"}
            if connection.cuts != cuts and not late and self._choose.random() < 0.5:
                return  # what was on its way when the connection broke arrives, or not
            self.counts["arrived after a cut"] += connection.cuts != cuts
            self.kafka.handle(node, request, answered)
            if request.API_KEY == PRODUCE:
                self._overtake(request.transactional_id)

        def answered(content: Any) -> None:
            at = max(connection.answers_at, loop.now + self.pause())
            connection.answers_at = at
            loop.later(at - loop.now, deliver, content)

        def deliver(content: Any) -> None:
            if connection.cuts == cuts and not answer.done():
                answer.set_result(content)

        self.on_their_way += action != "lose"
        match action:
            case None | "delay":
                loop.later(arrives_at - loop.now, arrive)
            case "unanswered":
                loop.later(arrives_at - loop.now, arrive)
                loop.later(arrives_at - loop.now + 1e-6, wire.cut, node)
            case "late":
                loop.later(secs, arrive)
                loop.later(self.pause(), wire.cut, node)
            case "overtaken":
                self._overtaken[request.transactional_id] = arrive
                loop.later(secs, self._overtake, request.transactional_id)
                loop.later(self.pause(), wire.cut, node)
            case _:
                loop.later(self.pause(), wire.cut, node)
        return answer

    def _overtake(self, transactional_id: str) -> None:
        """Let a request arrive that was held back until others had passed it."""
        arrive = self._overtaken.pop(transactional_id, None)
        if arrive is not None:
            arrive()


class Wire:
    """One client's connections: to each broker, one for data and one for coordination."""

    def __init__(self, network: Network, process: Process | None) -> None:
        """Connect nothing yet."""
        self.network = network
        self.process = process
        self.closed = False
        self._connections: dict[tuple[int, str], _Connection] = {}

    @property
    def topics(self) -> Mapping[str, int]:
        """Return all topics with their numbers of partitions."""
        return self.network.kafka.topics

    @property
    def nodes(self) -> Sequence[int]:
        """Return all nodes, those that are down as well."""
        return self.network.kafka.nodes

    def leader(self, topic: str, partition: int) -> int:
        """Return the node that leads a partition."""
        return self.network.kafka.leader(topic, partition)

    async def bootstrap(self) -> None:
        """Reach any broker; raises ``CUT``."""
        await asyncio.sleep(self.network.pause())
        await self._while_dead()
        if not any(self.network.reachable(self.process, node) for node in self.network.kafka.nodes):
            raise CUT

    async def coordinator(self, key: str) -> int:
        """Return the node that coordinates a group or a transactional id; raises ``CUT``."""
        await self.bootstrap()
        return self.network.kafka.coordinator_of(key)

    async def ready(self, node: int) -> bool:
        """Say whether a broker can be reached."""
        await self._while_dead()
        return self.network.reachable(self.process, node)

    async def ask(self, node: int, channel: str, request: Any) -> Any:
        """Send a request, made for the versions that the brokers know, and return the answer.

        Raises ``NOT_READY``, ``CUT`` or ``NO_ANSWER``.
        """
        await self._while_dead()
        if not self.network.reachable(self.process, node):
            await asyncio.sleep(CONNECT_SECS)
            raise NOT_READY
        connection = self._connections.setdefault((node, channel), _Connection())
        answer = self.network.send(self, node, connection, request.prepare(VERSIONS))
        given_up = self.network.loop.later(NO_ANSWER_SECS, self._give_up, answer, node)
        try:
            return await answer
        finally:
            given_up.cancel()
            connection.waiting.pop(answer, None)

    def _give_up(self, answer: "asyncio.Future[Any]", node: int) -> None:
        if not answer.done():
            answer.set_exception(NO_ANSWER())
            self.cut(node)

    def cut(self, node: int | None = None) -> None:
        """Cut the connections, or those to one broker; who waits for an answer learns that none will come."""
        for (to, _), connection in self._connections.items():
            if node is None or to == node:
                connection.cuts += 1
                connection.arrives_at = connection.answers_at = 0.0
                waiting, connection.waiting = connection.waiting, {}
                for answer in waiting:
                    if not answer.done():
                        answer.set_exception(CUT())

    def close(self) -> None:
        """Cut everything for good."""
        self.closed = True
        self.cut()
        if self in self.network._wires:  # noqa: SLF001 - ours
            self.network._wires.remove(self)  # noqa: SLF001 - ours

    async def _while_dead(self) -> None:
        """Send nothing for a process that is dead: whatever its clean-up asks for waits until it is cancelled."""
        if self.process is not None and self.process.dead:
            await self.network.loop.create_future()


def _nothing(process: Process | None, request: Any) -> None:
    """Disturb nothing."""
