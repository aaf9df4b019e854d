"""Consumer groups as their coordinator keeps them: members, generations, sessions, committed offsets.

The classic protocol of Apache Kafka: a rebalance begins when a member comes, leaves or falls silent, ends when every
member has joined again or the time for it is over, and gives the group a new generation. Whoever commits with an old
one is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from backbone.testing.simulation.log import NONE
from backbone.testing.simulation.loop import VirtualLoop

ILLEGAL_GENERATION: Final = 22
UNKNOWN_MEMBER_ID: Final = 25
REBALANCE_IN_PROGRESS: Final = 27
MEMBER_ID_REQUIRED: Final = 79


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to a member that joins; only the leader is told of the others (member and metadata)."""

    code: int
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    member: str = ""
    members: tuple[tuple[str, bytes], ...] = ()


@dataclass(slots=True)
class Member:
    """One member. ``joining`` and ``syncing`` answer its requests that wait for the others."""

    id: str
    session_secs: float
    rebalance_secs: float
    protocol: str
    metadata: bytes
    deadline: float = 0.0
    joining: Callable[[Joined], None] | None = None
    syncing: Callable[[int, bytes], None] | None = None


@dataclass(slots=True)
class Group:
    """One group."""

    state: Literal["Empty", "Preparing", "Completing", "Stable"] = "Empty"
    generation: int = 0
    leader: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    promised: set[str] = field(default_factory=set)
    assignments: dict[str, bytes] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    rebalance: int = 0


class Groups:
    """Every group of a cluster."""

    def __init__(self, loop: VirtualLoop) -> None:
        """Start without any."""
        self.groups: dict[str, Group] = {}
        self.rebalances = 0
        self.expired = 0
        self._loop = loop
        self._named = 0

    def join(
        self, name: str, member_id: str, times: tuple[float, float], protocol: tuple[str, bytes],
        reply: Callable[[Joined], None],
    ) -> None:  # fmt: skip
        """Carry JoinGroup out; ``times`` are the session's and the rebalance's time-outs in seconds."""
        group = self.groups.setdefault(name, Group())
        if not member_id:
            self._named += 1
            promised = f"member-{self._named:06}"
            group.promised.add(promised)
            reply(Joined(MEMBER_ID_REQUIRED, member=promised))
            return
        member = group.members.get(member_id)
        if member is None:
            if member_id not in group.promised:
                reply(Joined(UNKNOWN_MEMBER_ID))
                return
            group.promised.discard(member_id)
            member = group.members[member_id] = Member(member_id, *times, *protocol)
            self._watch(name, member)
        member.protocol, member.metadata, member.joining = *protocol, reply
        self._touch(member)
        if group.state != "Preparing":
            self._prepare(group)
        self._complete_if_all_joined(group)

    def sync(
        self, name: str, generation: int, member_id: str, assignments: Sequence[tuple[str, bytes]],
        reply: Callable[[int, bytes], None],
    ) -> None:  # fmt: skip
        """Carry SyncGroup out: the leader brings what everybody gets."""
        group, code = self._checked(name, generation, member_id)
        if code == NONE and group.state == "Preparing":
            code = REBALANCE_IN_PROGRESS
        if code != NONE:
            reply(code, b"")
            return
        self._touch(group.members[member_id])
        if group.state == "Stable":
            reply(NONE, group.assignments.get(member_id, b""))
            return
        group.members[member_id].syncing = reply
        if member_id == group.leader:
            group.assignments, group.state = dict(assignments), "Stable"
            for member in group.members.values():
                if member.syncing is not None:
                    waiting, member.syncing = member.syncing, None
                    waiting(NONE, group.assignments.get(member.id, b""))

    def heartbeat(self, name: str, generation: int, member_id: str) -> int:
        """Carry Heartbeat out."""
        group, code = self._checked(name, generation, member_id)
        if code != NONE:
            return code
        self._touch(group.members[member_id])
        return REBALANCE_IN_PROGRESS if group.state == "Preparing" else NONE

    def leave(self, name: str, member_id: str) -> int:
        """Carry LeaveGroup out."""
        group = self.groups.setdefault(name, Group())
        if member_id not in group.members:
            return UNKNOWN_MEMBER_ID
        self._remove(group, member_id)
        return NONE

    def commit(self, name: str, generation: int, member_id: str, offsets: Mapping[tuple[str, int], int]) -> int:
        """Carry OffsetCommit out: only a member of the generation may."""
        group, code = self._checked(name, generation, member_id)
        if code != NONE:
            return code
        if group.state == "Completing":
            return REBALANCE_IN_PROGRESS
        self._touch(group.members[member_id])
        group.offsets.update(offsets)
        return NONE

    def committed(self, name: str, place: tuple[str, int]) -> int:
        """Return a committed offset, or -1."""
        return self.groups.setdefault(name, Group()).offsets.get(place, -1)

    def moved(self) -> None:
        """Begin every session anew, as a coordinator does that has loaded its groups."""
        for group in self.groups.values():
            for member in group.members.values():
                self._touch(member)

    def _checked(self, name: str, generation: int, member_id: str) -> tuple[Group, int]:
        group = self.groups.setdefault(name, Group())
        if member_id not in group.members:
            return group, UNKNOWN_MEMBER_ID
        return group, NONE if generation == group.generation else ILLEGAL_GENERATION

    def _prepare(self, group: Group) -> None:
        """Begin a rebalance; who does not join in time is out."""
        group.state = "Preparing"
        group.rebalance += 1
        self.rebalances += 1
        for member in group.members.values():
            if member.syncing is not None:
                waiting, member.syncing = member.syncing, None
                waiting(REBALANCE_IN_PROGRESS, b"")
        longest = max((member.rebalance_secs for member in group.members.values()), default=0.0)
        self._loop.later(longest, self._give_up_waiting, group, group.rebalance)

    def _give_up_waiting(self, group: Group, rebalance: int) -> None:
        if group.state == "Preparing" and group.rebalance == rebalance:
            group.members = {name: member for name, member in group.members.items() if member.joining is not None}
            self._complete_if_all_joined(group)

    def _complete_if_all_joined(self, group: Group) -> None:
        if group.state != "Preparing" or any(member.joining is None for member in group.members.values()):
            return
        if not group.members:
            group.state, group.generation = "Empty", group.generation + 1
            return
        group.state, group.generation, group.assignments = "Completing", group.generation + 1, {}
        if group.leader not in group.members:
            group.leader = next(iter(group.members))
        everybody = tuple((member.id, member.metadata) for member in group.members.values())
        for member in list(group.members.values()):
            reply, member.joining = member.joining, None
            assert reply is not None
            self._touch(member)
            told = everybody if member.id == group.leader else ()
            reply(Joined(NONE, group.generation, member.protocol, group.leader, member.id, told))

    def _remove(self, group: Group, member_id: str) -> None:
        del group.members[member_id]
        if group.state in {"Stable", "Completing"}:
            self._prepare(group)
        self._complete_if_all_joined(group)

    def _touch(self, member: Member) -> None:
        member.deadline = self._loop.now + member.session_secs

    def _watch(self, name: str, member: Member) -> None:
        """Look at a member's session when it may be over."""
        group = self.groups[name]
        if group.members.get(member.id) is not member:
            return
        if member.joining is not None:
            self._touch(member)
        elif member.deadline and member.deadline <= self._loop.now:
            self.expired += 1
            self._remove(group, member.id)
            return
        wait = max(member.deadline - self._loop.now, 0.0) or member.session_secs
        self._loop.later(wait, self._watch, name, member)
