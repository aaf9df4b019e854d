"""An event loop whose time jumps to the next thing due, and processes in it that can stand still or die.

Nothing is waited for: an hour of time-outs takes as long as the work in it. Everything that a process starts belongs
to it, by a context variable; what belongs to a process that stands still is put aside until it goes on.
"""

import asyncio
import heapq
import time
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
START_SECS: Final = 1_925_452_800.0
"""When simulations begin: 2031-01-06 at 08:00 UTC, in seconds since 1970."""

PROCESS: Final[ContextVar["Process | None"]] = ContextVar("process", default=None)
NOBODYS: Final = Context()
"""The context of what belongs to no process."""
CLOCK_SECS: Final = 1e-6
"""The clock's resolution: whoever waits for less waits so long, or the rest of a time-out would never be over."""
_KEPT_TASKS: Final = 128
_TURNS_MOST: Final = 100_000


class DeadlockError(Exception):
    """Say that nothing will ever come of it: everything waits and nothing is due, or it turns on one spot."""


class Process:
    """One simulated operating-system process: its tasks, its clock, and whether it runs."""

    def __init__(self, loop: "VirtualLoop", name: str, skew_secs: float = 0.0) -> None:
        """Take a name for traces; ``skew_secs`` is how far its clock is off."""
        self.name = name
        self.skew_secs = skew_secs
        self.dead = False
        self.frozen = False
        self.backlog: deque[asyncio.Handle] = deque()
        self._loop = loop
        self._tasks: list[asyncio.Task[Any]] = []

    def __repr__(self) -> str:
        return self.name

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that belongs to the process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return self._loop.create_task(coroutine, context=context)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Note a task as ours; called for every task that one of our tasks starts."""
        if len(self._tasks) >= _KEPT_TASKS:
            self._tasks = [kept for kept in self._tasks if not kept.done()]
        self._tasks.append(task)

    def freeze(self) -> None:
        """Stand still, as after SIGSTOP: what is due waits until ``thaw``."""
        self.frozen = True
        self._loop.frozen += 1

    def thaw(self) -> None:
        """Go on with what has become due meanwhile."""
        if self.frozen:
            self.frozen = False
            self._loop.frozen -= 1
            self._loop.resume(self.backlog)

    def kill(self) -> None:
        """End at once. Clean-up code runs, but whoever asks ``dead`` lets nothing of it out."""
        self.dead = True
        self.thaw()
        self._loop.call_soon(self._cancel, context=NOBODYS)

    def _cancel(self) -> None:
        """Cancel all tasks, again and again: some take a cancellation for an answer."""
        self._tasks = [task for task in self._tasks if not task.done()]
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            self._loop.call_later(0.001, self._cancel, context=NOBODYS)

    @property
    def gone(self) -> bool:
        """Say whether a killed process has no task left."""
        return self.dead and all(task.done() for task in self._tasks)


class VirtualLoop(base_events.BaseEventLoop):
    """Run what is due in the order of its time; raise DeadlockError when nothing ever will be.

    The base class keeps what is due now; what is due later is kept here, and nothing is done for debugging, threads
    or sockets: most of a simulation is spent in this class.
    """

    def __init__(self) -> None:
        """Begin at time 0."""
        super().__init__()
        self.now = 0.0
        self.frozen = 0
        self._due: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]  # the base class's own queue
        self._later: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbered = 0
        self._turns = 0
        self.set_exception_handler(_pass_over)

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now

    def later(self, secs: float, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        """Call something that belongs to no process."""
        return self.call_at(self.now + secs, callback, *arguments, context=NOBODYS)

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Put a callback behind those that are due now."""
        handle = _Handle(callback, args, self, copy_context() if context is None else context)
        self._due.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back after some virtual seconds."""
        return self.call_at(self.now + max(delay, CLOCK_SECS), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a virtual time; callbacks of one time come in the order in which they were asked for."""
        handle = _TimerHandle(when, callback, args, self, copy_context() if context is None else context)
        self._numbered += 1
        heapq.heappush(self._later, (when, self._numbered, handle))
        return handle

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        """Start a task, and tell the process whose it is."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)  # type: ignore[arg-type]
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.adopt(task)
        return task

    def resume(self, backlog: deque[asyncio.Handle]) -> None:
        """Take up what a process left undone, in its order."""
        self._due.extend(backlog)
        backlog.clear()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: it is passed over when its time comes."""

    def _run_once(self) -> None:
        """Run everything that is due now; where nothing is, let the time jump first."""
        due, later = self._due, self._later
        if not due:
            while later and later[0][2].cancelled():
                heapq.heappop(later)
            if not later:
                raise DeadlockError("everything waits, and nothing is due")
            if later[0][0] > self.now:
                self.now, self._turns = later[0][0], 0
        self._turns += 1
        if self._turns > _TURNS_MOST:
            raise DeadlockError("it turns on one spot and never waits")
        while later and later[0][0] <= self.now:
            due.append(heapq.heappop(later)[2])
        for _ in range(len(due)):
            handle = due.popleft()
            if handle.cancelled():
                continue
            if self.frozen:
                process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
                if process is not None and process.frozen:
                    process.backlog.append(handle)
                    continue
            handle._run()

    def _process_events(self, event_list: object) -> None:
        """Do nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: no thread has to wake us."""


class _Handle(asyncio.Handle):
    __slots__ = ()

    def __init__(self, callback: Any, arguments: Any, loop: VirtualLoop, context: Context) -> None:
        self._context = context
        self._loop = loop
        self._callback = callback
        self._args = arguments
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _TimerHandle(asyncio.TimerHandle):
    __slots__ = ()

    def __init__(self, when: float, callback: Any, arguments: Any, loop: VirtualLoop, context: Context) -> None:
        self._context = context
        self._loop = loop
        self._callback = callback
        self._args = arguments
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = True


def _pass_over(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of exceptions that nobody looked at: processes are killed in the middle of everything."""


@contextmanager
def virtual_time(loop: VirtualLoop) -> Iterator[None]:
    """Let ``time.time`` and ``time.monotonic`` be the loop's; the first with the skew of the process that asks."""

    def wall() -> float:
        process = PROCESS.get()
        return START_SECS + loop.now + (0.0 if process is None else process.skew_secs)

    kept = time.time, time.monotonic
    time.time, time.monotonic = wall, loop.time
    try:
        yield
    finally:
        time.time, time.monotonic = kept
