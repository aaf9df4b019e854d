"""Feeds in processes of their own: started, watched and started again by the process that runs the others.

What hangs, crashes or floods there costs its neighbours nothing but their share of the machine. A process that is asked
to stop, or whose parent is gone, ends as any worker does.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from backbone.errors import EXIT_DENIED, EXIT_FATAL, EXIT_HUNG
from backbone.waiting import Reason

SUPERVISED: Final = "BACKBONE_SUPERVISED"
"""Set in the environment of a process that another one started and watches."""
STOP_SECS: Final = 9.0
"""A worker ends within 8.5 seconds by itself."""
FIRST_PAUSE_SECS: Final = 1.0
LONGEST_PAUSE_SECS: Final = 60.0
STEADY_SECS: Final = 20.0
"""A process that has lasted so long has got over what ended the one before."""
TELL_EVERY_SECS: Final = 2.0
LINE_BYTES: Final = 16 * 1_048_576
MENDED: Final = frozenset({EXIT_FATAL, EXIT_DENIED, 2})
"""Exit codes after which starting again would only repeat what somebody has to mend."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Supervised:
    """What a process is told by the one that started it: whether to tell its figures, and what ended the one before."""

    figures: bool = False
    wrong: tuple[str, str, str] | None = None

    @property
    def reason(self) -> Reason | None:
        """Return what ended the process before this one."""
        return None if self.wrong is None else Reason(*self.wrong)

    @classmethod
    def from_environment(cls) -> "Supervised | None":
        """Return what this process was told, or None where nobody watches it."""
        told = os.environ.get(SUPERVISED)
        if told is None:
            return None
        content = orjson.loads(told)
        return cls(content["figures"], None if content["wrong"] is None else tuple(content["wrong"]))


@dataclass(slots=True)
class Child:
    """One process and the feeds that it runs."""

    name: str
    feeds: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None
    began: float = 0.0
    failures: int = 0
    wrong: Reason | None = None
    wrong_since: float = 0.0
    ended: int | None = None
    """The exit code with which it ended for good."""
    metrics: str = ""

    def trouble(self) -> tuple[Reason, float] | None:
        """Return why its feeds do not run, and for how many seconds; while a process runs, that tells of them."""
        if self.wrong is None or self.process is not None:
            return None
        return self.wrong, time.monotonic() - self.wrong_since

    def failed(self, code: int) -> None:
        """Note how the process ended."""
        self.process = None
        if self.wrong is None or time.monotonic() - self.began > STEADY_SECS:
            self.failures, self.wrong_since = 0, time.monotonic()
        self.failures += 1
        self.wrong = _reason(self.name, code)


def _reason(name: str, code: int) -> Reason:
    if code == EXIT_HUNG:
        return Reason("worker.hung", f"process {name} to be well again: it hung and was ended",
                      "look for worker.hung in the log: it names the feeds; mend the adapter")  # fmt: skip
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    to_do = "look at the log for why it ended"
    if code in MENDED:
        return Reason("worker.process-ended", f"somebody to mend what ended process {name} ({how})",
                      f"{to_do}, then restart the worker")  # fmt: skip
    return Reason("worker.process-ended", f"process {name} to be well again: it ended by itself ({how})", to_do)


@dataclass(slots=True)
class Processes:
    """Run one process for each name. ``command`` starts the program; ``--process NAME`` is added.

    ``figures`` asks the processes for theirs.
    """

    command: Sequence[str]
    feeds: Mapping[str, tuple[str, ...]]
    once: bool = False
    figures: bool = False
    children: dict[str, Child] = field(init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Prepare; nothing is started before ``run``."""
        self.children = {name: Child(name, feeds) for name, feeds in self.feeds.items()}

    def trouble(self, process: str) -> tuple[Reason, float] | None:
        """Return why the feeds of a process do not run, if they should and do not."""
        child = self.children.get(process)
        return None if child is None else child.trouble()

    @property
    def done(self) -> bool:
        """Say whether every process has ended for good: asked to, or because there is no sense in another try."""
        return all(child.ended is not None for child in self.children.values())

    async def run(self) -> None:
        """Keep every process running until ``stop``, or with ``once`` until each has done what there was."""
        async with asyncio.TaskGroup() as group:
            for child in self.children.values():
                group.create_task(self._keep(child))

    async def _keep(self, child: Child) -> None:
        while not self._stopping.is_set():
            process = child.process = await asyncio.create_subprocess_exec(
                *self.command, "--process", child.name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env={**os.environ, SUPERVISED: self._told(child)}, limit=LINE_BYTES, start_new_session=True,
            )  # fmt: skip
            child.began = time.monotonic()
            log.info("process.started", process=child.name, pid=process.pid, feeds=list(child.feeds))
            await self._listen(child, process)
            code = await process.wait()
            if self._stopping.is_set() or (self.once and code == 0):
                child.process, child.ended = None, code
                return
            child.failed(code)
            log.error("process.ended", process=child.name, exit_code=code, feeds=list(child.feeds),
                      code=child.wrong and child.wrong.code)  # fmt: skip
            if code in MENDED or self.once:
                child.ended = code
                return
            pause = min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2.0 ** min(child.failures - 1, 10))
            await asyncio.sleep(pause)

    def _told(self, child: Child) -> str:
        wrong = None if child.wrong is None else [child.wrong.code, child.wrong.waits_for, child.wrong.to_do]
        return orjson.dumps({"figures": self.figures, "wrong": wrong}).decode()

    async def _listen(self, child: Child, process: asyncio.subprocess.Process) -> None:
        """Take what the process tells until it ends."""
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # a line that is too long: its figures are missing, nothing else
            async for line in process.stdout:
                with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
                    child.metrics = str(orjson.loads(line)["metrics"])
        child.metrics = ""

    async def stop(self) -> None:
        """Ask every process to stop, and end those that do not within nine seconds."""
        self._stopping.set()
        running = [child.process for child in self.children.values() if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        waits = [asyncio.ensure_future(process.wait()) for process in running]
        if waits:
            await asyncio.wait(waits, timeout=STOP_SECS)
        for process, wait in zip(running, waits, strict=True):
            if not wait.done():
                log.warning("process.killed", pid=process.pid)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    def metrics(self) -> Iterator[str]:
        """Yield what each process told of its figures last, as Prometheus text."""
        return (child.metrics for child in self.children.values() if child.metrics)


async def tell(figures: Any) -> None:
    """Tell whoever started this process its figures every two seconds; ``figures`` returns them as text."""
    while True:
        sys.stdout.buffer.write(orjson.dumps({"metrics": figures()}) + b"\n")
        sys.stdout.buffer.flush()
        await asyncio.sleep(TELL_EVERY_SECS)


async def parent_is_gone() -> None:
    """Return when whoever started this process has ended: our standard input ends with it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(65_536):
        pass
