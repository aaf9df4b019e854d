"""What somebody waits for, and since when: a stall then shows while its deadline is still running. Pure.

A shard, or a worker as a whole, has its ``Waits``. Code that waits says so where it waits::

    with waiting(Reason("broker.unreachable", "the broker to commit")):
        await producer.commit_transaction()

and need not know for whom: the waits of the running task are found through a context variable, which the tasks that
it starts inherit. Nothing happens where nobody has set one, as in commands.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

PATIENCE_SECS: Final = 3.0
"""What takes longer than this is a stall; all that is waited for should take milliseconds."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What is waited for: the code under which it shows, the thing in words, and what to do about it."""

    code: str
    waits_for: str
    to_do: str = ""


@dataclass(slots=True, eq=False)
class Wait:
    """One thing that is being waited for. ``why`` may know better than ``reason`` by the time that it is asked."""

    reason: Reason
    since: float
    patience_secs: float = PATIENCE_SECS
    why: Callable[[], Reason | None] | None = None
    clock: Callable[[], float] = time.monotonic

    def moved(self) -> None:
        """Note that some of it came: patience begins anew."""
        self.since = self.clock()

    def shown(self) -> Reason:
        """Return the reason as it is known now."""
        return (self.why and self.why()) or self.reason


@dataclass(slots=True)
class Waits:
    """Everything that one shard or one worker waits for at the moment."""

    clock: Callable[[], float] = time.monotonic
    _open: list[Wait] = field(default_factory=list)

    def begin(
        self, reason: Reason, patience_secs: float = PATIENCE_SECS, why: Callable[[], Reason | None] | None = None
    ) -> Wait:
        """Note that something is waited for from now on."""
        wait = Wait(reason, self.clock(), patience_secs, why, self.clock)
        self._open.append(wait)
        return wait

    def end(self, wait: Wait) -> None:
        """Note that it came, or that it was given up."""
        if wait in self._open:
            self._open.remove(wait)

    @contextmanager
    def on(self, reason: Reason, patience_secs: float = PATIENCE_SECS) -> Iterator[Wait]:
        """Wait for something inside of a ``with``."""
        wait = self.begin(reason, patience_secs)
        try:
            yield wait
        finally:
            self.end(wait)

    def overdue(self) -> tuple[Reason, float] | None:
        """Return what has been waited for longest among what takes too long, and for how many seconds; or None."""
        now = self.clock()
        late = [wait for wait in self._open if now - wait.since > wait.patience_secs]
        if not late:
            return None
        longest = min(late, key=lambda wait: wait.since)
        return longest.shown(), now - longest.since


_current: ContextVar[Waits | None] = ContextVar("waits", default=None)


def waits_are(waits: Waits) -> None:
    """Let everything that this task does, and the tasks that it starts, be noted in these waits."""
    _current.set(waits)


@contextmanager
def waiting(reason: Reason, patience_secs: float = PATIENCE_SECS) -> Iterator[Wait]:
    """Say what is waited for inside of a ``with``, for whoever this is done."""
    waits = _current.get()
    if waits is None:
        yield Wait(reason, 0.0)
        return
    with waits.on(reason, patience_secs) as wait:
        yield wait
