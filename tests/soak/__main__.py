"""Run a worker and a subscriber at full speed for a long time under faults, and see whether they grow.

python -m tests.soak [--minutes 60] [--seed N] [--mean-wait-secs 20] [--cases 5000]

The faults strike brokers and requests and spare the two processes, as what is measured is theirs. Exit code 0: no
problem in what was read, and no figure that rises more than it may.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from tests.chaos.brokers import brokers
from tests.chaos.cell import ROOT
from tests.chaos.schedule import Fault, draw
from tests.chaos.strike import Field, strike
from tests.chaos.workload import Ground
from tests.soak.figures import Trend, trends
from tests.soak.workload import SoakWorkload

ORGANISATION: Final = "E90000000"
SAMPLE_EVERY_SECS: Final = 5.0
FINISH_SECS: Final = 300.0
STOP_SECS: Final = 15.0
BROKER: Final[Any] = {"log.retention.check.interval.ms": "20000"}
FAULTS: Final = ("request.", "network.", "topic.", "siblings.", "broker.kill", "broker.freeze", "broker.restart")
RISES_MOST: Final = {
    "rss_bytes": 12 * 1_048_576, "blocks": 80_000.0, "descriptors": 2.0, "sockets": 2.0, "tasks": 2.0,
}  # fmt: skip
"""An hour: memory by a sixteenth of what is in use, blocks by a tenth, the others by two pieces. As much lies between
what is in hand at the two ends of a run."""


@dataclass(frozen=True, slots=True)
class UnderFire:
    """What ``strike`` needs of a cell where no worker is to be struck."""

    workload: SoakWorkload
    slots: tuple[()] = ()


async def soak(minutes: float, seed: int, mean_wait_secs: float, cases: int) -> list[str]:
    """Run; print the figures and return what is wrong."""
    with tempfile.TemporaryDirectory(prefix="backbone-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with brokers(1, BROKER) as (started, proxies, servers):
            direct = started[0].bootstrap_servers
            workload = SoakWorkload(Ground(ORGANISATION, 0, folder, servers, direct, 1, seed), cases=cases)
            await workload.prepare()
            await create_topics(KafkaConnection(direct), [TopicSpec(f"{ORGANISATION}.dead.soak", 1, 1)])
            cells: Any = [UnderFire(workload)]
            field = Field(cells, started, proxies, AdminClient({"bootstrap.servers": direct, "log_level": 0}))
            return await _run(field, workload, folder, servers, direct, minutes * 60, seed, mean_wait_secs)


async def _run(
    field: Field, workload: SoakWorkload, folder: Path, servers: str, direct: str, secs: float, seed: int,
    mean_wait_secs: float,
) -> list[str]:  # fmt: skip
    progress = folder / "progress.json"
    stream = await _start(folder / "stream.log", "tests.soak.stream", direct, ORGANISATION, str(progress))
    watched = {
        name: await _start(
            folder / f"{name}.log", "tests.soak.worker", str(folder / f"{name}.samples"), str(SAMPLE_EVERY_SECS), *of
        )
        for name, of in (
            ("worker", workload.command()),
            ("subscriber", ("subscriber", servers, ORGANISATION)),
        )
    }
    ending = time.monotonic() + secs
    writing = asyncio.create_task(_write(workload, progress, ending))
    try:
        met = await _strike_until(field, ending, seed, mean_wait_secs)
        await writing
        late = await _finished(workload, progress)
        problems = [problem for name, process in watched.items() for problem in await _stopped(name, process)]
    finally:
        writing.cancel()
        for process in (stream, *watched.values()):
            if process.returncode is None:
                process.kill()
                await process.wait()
    found = json.loads(progress.read_text())
    rising = _report(field, folder, met, found, secs)
    problems += [f"{kind}: {count}" for kind, count in found["problems"].items()] + found["examples"]
    return problems + rising + late


async def _start(log: Path, module: str, *arguments: str) -> asyncio.subprocess.Process:
    with log.open("wb") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=file
        )


async def _write(workload: SoakWorkload, progress: Path, ending: float) -> None:
    """Keep files waiting, and remove what is done."""
    while time.monotonic() < ending:
        if workload.written() - _receipts(progress) < workload.backlog:
            await asyncio.to_thread(workload.write)
        workload.remove_done()
        await asyncio.sleep(0.2)


def _receipts(progress: Path) -> int:
    return sum(json.loads(progress.read_text())["receipts"].values()) if progress.exists() else 0


async def _strike_until(field: Field, ending: float, seed: int, mean_wait_secs: float) -> Counter[str]:
    """Let faults strike one after the other; return how many of each kind met something."""
    met: Counter[str] = Counter()
    for fault in _faults(seed, mean_wait_secs):
        if time.monotonic() + fault.wait_secs > ending:
            await asyncio.sleep(max(0.0, ending - time.monotonic()))
            return met
        await asyncio.sleep(fault.wait_secs)
        met[fault.kind] += await strike(field, fault)
    return met


def _faults(seed: int, mean_wait_secs: float) -> Sequence[Fault]:
    return draw(seed, 10_000, cells=1, nodes=1, only=FAULTS, mean_wait_secs=mean_wait_secs)


async def _finished(workload: SoakWorkload, progress: Path) -> list[str]:
    """Wait, without faults, until everything has come; return what is late."""
    deadline = time.monotonic() + FINISH_SECS
    while time.monotonic() < deadline:
        workload.remove_done()
        found = json.loads(progress.read_text()) if progress.exists() else {"events": 0}
        if found["events"] >= workload.events() and _receipts(progress) >= workload.written():
            return []
        await asyncio.sleep(0.5)
    return [f"{found['events']:,} of {workload.events():,} events after {FINISH_SECS:.0f} s without faults"]


async def _stopped(name: str, process: asyncio.subprocess.Process) -> list[str]:
    if process.returncode is not None:
        return [f"the {name} had ended by itself, with exit code {process.returncode}"]
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        code = await asyncio.wait_for(process.wait(), STOP_SECS)
        return [] if code == 0 else [f"the {name} stopped with exit code {code}"]
    return [f"the {name} did not stop within {STOP_SECS:.0f} s"]


def _report(field: Field, folder: Path, met: Counter[str], found: dict[str, Any], secs: float) -> list[str]:
    print(f"{secs / 60:.0f} minutes, {met.total()} faults, {field.broker_kills} broker kills")
    print(f"{found['events']:,} events, {found['records']:,} records, {sum(found['receipts'].values()):,} documents")
    rising = []
    for name in ("worker", "subscriber"):
        print(name)
        for trend in trends(folder / f"{name}.samples", min(secs / 4, 600)):
            print(f"  {trend}")
            if secs >= 1_800 and trend.slope > RISES_MOST[trend.figure]:
                rising.append(f"the {name}'s {trend.figure} rises by {trend.slope:,.0f} an hour")
            rising += _left_over(name, trend)
    return rising


def _left_over(name: str, trend: Trend) -> list[str]:
    """Return what was still there at the end that was not at the beginning: twice as much is no swing."""
    if trend.figure == "rss_bytes" or trend.last <= 2 * trend.first:
        return []
    return [f"the {name} had {trend.first:.0f} {trend.figure} and ended with {trend.last:.0f}"]


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mean-wait-secs", type=float, default=20.0)
    parser.add_argument("--cases", type=int, default=5_000, help="a file holds ten rows of each")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", file=sys.stderr)
    problems = asyncio.run(soak(**vars(chosen)))
    for problem in problems:
        print(problem)
    print("FAILED" if problems else "nothing missing, nothing twice, nothing grows")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
