"""A cell: one organisation with its source and its worker processes, which are started again whenever they end."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.workload import Ground, Workload
from tests.chaos.workloads import WORKLOADS

STOP_SECS: Final = 15.0
STRUCK: Final = frozenset({-signal.SIGKILL, -signal.SIGTERM, 0, 6})
"""How a process may end that faults strike: killed, asked to stop before or after it could hear it, ended by its own
watchdog after it was frozen. Whatever else ends one is its own doing."""
ROOT: Final = Path(__file__).parents[2]


@dataclass(slots=True)
class Slot:
    """A place for a worker process; ``busy`` while a fault is at work on it."""

    name: str
    watched: bool
    busy: bool = False
    process: asyncio.subprocess.Process | None = None
    started: int = 0
    exits: list[int] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Say whether a process is there."""
        return self.process is not None and self.process.returncode is None

    def signal(self, number: int) -> None:
        """Send a signal; a process that is gone meanwhile needs none."""
        with contextlib.suppress(ProcessLookupError):
            if self.process is not None:
                self.process.send_signal(number)

    def limit_files(self, limit_bytes: int) -> None:
        """Let every file end at so many bytes: what a full disk does, for one process and without rights."""
        with contextlib.suppress(ProcessLookupError):
            if self.process is not None:
                resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))


class Cell:
    """One organisation under fire."""

    def __init__(self, ground: Ground, source: str, *, workers: int, hole: str | None) -> None:
        """Prepare; nothing is started before ``keep``."""
        self.organisation = ground.organisation
        self.folder = ground.folder
        self.folder.mkdir(parents=True)
        self.workload: Workload = WORKLOADS[source](ground)
        self.slots = [Slot(f"{self.organisation}-{name}", watched=name % 2 == 0) for name in range(workers)]
        self.problems: list[str] = []
        self._hole = hole
        self._closing = False
        self._logs: set[asyncio.Task[None]] = set()

    async def start(self, slot: Slot, *arguments: str) -> asyncio.subprocess.Process:
        """Start a worker process; what it says goes to its log through us, so that its own disk may be full."""
        more = [*arguments, *([] if slot.watched else ["--no-watchdog"])]
        more += ["--hole", self._hole] if self._hole else []
        slot.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.worker", *more, *self.workload.command(),
            cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        slot.started += 1
        task = asyncio.create_task(self._log(slot, slot.process))
        self._logs.add(task)
        task.add_done_callback(self._logs.discard)
        return slot.process

    async def _log(self, slot: Slot, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        with (self.folder / f"{slot.name}.log").open("ab") as log:
            while data := await process.stderr.read(65_536):
                log.write(data)

    async def keep(self) -> None:
        """Start every worker that is not there, for ever."""
        while not self._closing:
            for slot in self.slots:
                if not slot.running and not slot.busy:
                    if slot.process is not None:
                        self._note_exit(slot, slot.process.returncode or 0)
                    await self.start(slot)
            await asyncio.sleep(0.1)

    def _note_exit(self, slot: Slot, code: int) -> None:
        slot.exits.append(code)
        if code not in STRUCK:
            self.problems.append(f"{slot.name} ended by itself with exit code {code}")

    async def close(self) -> list[str]:
        """Ask every worker to stop; return what was wrong with how they did."""
        self._closing = True
        problems = self.problems
        for slot in self.slots:
            slot.signal(signal.SIGTERM)
        for slot in self.slots:
            if slot.process is None:
                continue
            try:
                code = await asyncio.wait_for(slot.process.wait(), STOP_SECS)
            except TimeoutError:
                problems.append(f"{slot.name} did not stop within {STOP_SECS:.0f} s")
                slot.signal(signal.SIGKILL)
            else:
                # it may not have come as far as to handle signals, or reach the point where it was to die only now
                if code not in {0, -signal.SIGTERM, -signal.SIGKILL}:
                    problems.append(f"{slot.name} stopped with exit code {code}")
        await asyncio.gather(*self._logs)
        return problems

    def kill(self) -> None:
        """End every worker at once: the run is over, whatever happened."""
        self._closing = True
        for slot in self.slots:
            if slot.running and slot.process is not None:
                os.kill(slot.process.pid, signal.SIGKILL)
