"""Let faults strike real workers and brokers while data keeps coming, then let an independent checker judge.

python -m tests.chaos [--faults 60] [--seed N] [--source files,kafka] [--nodes 1|3] [--only KIND ...] [--hole NAME]

Exit code 0: nothing missing, nothing twice, nothing torn, nothing out of order, every receipt balances.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient

from tests.chaos import checker
from tests.chaos.brokers import brokers
from tests.chaos.cell import ROOT, Cell
from tests.chaos.holes import HOLES
from tests.chaos.schedule import Fault, draw
from tests.chaos.strike import Field, strike
from tests.chaos.workload import Ground
from tests.chaos.workloads import WORKLOADS

FINISH_SECS: Final = 240.0


@dataclass(frozen=True, slots=True)
class Options:
    """What is run."""

    faults: int
    seed: int
    source: tuple[str, ...]
    nodes: int
    cells: int
    workers: int
    only: tuple[str, ...]
    hole: str | None
    mean_wait_secs: float
    write_every_secs: float
    keep: bool


async def run(options: Options) -> checker.Verdict:
    """Run the schedule; return the verdict, printed as well."""
    schedule = draw(
        options.seed, options.faults, cells=options.cells, nodes=options.nodes, only=options.only,
        mean_wait_secs=options.mean_wait_secs,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="backbone-chaos-"))
    verdict = None
    try:
        async with brokers(options.nodes) as (started, proxies, addresses):
            direct = ",".join(broker.bootstrap_servers for broker in started)
            cells = []
            for number in range(options.cells):
                organisation = f"E{90_000_000 + number}"
                ground = Ground(
                    organisation, number, folder / organisation, addresses, direct, options.nodes, options.seed
                )
                source = options.source[number % len(options.source)]
                cells.append(Cell(ground, source, workers=options.workers, hole=options.hole))
                await cells[-1].workload.prepare()
            field = Field(cells, started, proxies, AdminClient({"bootstrap.servers": direct, "log_level": 0}))
            verdict = await _under_fire(field, schedule, folder, direct, options.write_every_secs)
            return verdict
    finally:
        if options.keep or verdict is None or verdict.counts:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _under_fire(
    field: Field, schedule: Sequence[Fault], folder: Path, direct: str, write_every_secs: float
) -> checker.Verdict:
    cells = field.cells
    counted = {cell.organisation: cell.workload.counted for cell in cells}
    witness = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.witness", direct, str(folder), json.dumps(counted),
        cwd=ROOT,
    )  # fmt: skip
    keepers = [asyncio.create_task(cell.keep()) for cell in cells]
    enough = asyncio.Event()
    writer = asyncio.create_task(_write(cells, folder, enough, write_every_secs))
    try:
        met = await _strike_all(field, schedule)
        enough.set()
        await writer
        late = await _finished(cells, folder)
        problems = [problem for cell in cells for problem in await cell.close()]
    finally:
        for task in (*keepers, writer):
            task.cancel()
        await asyncio.gather(*keepers, writer, return_exceptions=True)
        for cell in cells:
            cell.kill()
        witness.kill()
        await witness.wait()
    verdict = await asyncio.to_thread(_judged, cells, folder, direct)
    for problem in field.problems + problems:
        verdict.add("workers", problem)
    for what in late:
        verdict.add("stalled", what)
    _report(field, schedule, met, verdict)
    return verdict


async def _write(cells: Sequence[Cell], folder: Path, enough: asyncio.Event, every_secs: float) -> None:
    """Keep something waiting in every cell."""
    while not enough.is_set():
        done = progress(folder)
        for cell in cells:
            if cell.workload.written() - done.get(cell.organisation, 0) < cell.workload.backlog:
                await asyncio.to_thread(cell.workload.write)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), every_secs)


def progress(folder: Path) -> dict[str, int]:
    """Return how many of the counted records the witness has seen of every organisation."""
    path = folder / "progress.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


async def _strike_all(field: Field, schedule: Sequence[Fault]) -> Counter[str]:
    """Carry the schedule out; faults that last run beside the next ones. Return how many of each kind met."""
    met: Counter[str] = Counter()

    async def one(fault: Fault) -> None:
        hit = await strike(field, fault)
        met[fault.kind] += hit
        say(f"{fault}{'' if hit else ': met nothing'}")

    running: set[asyncio.Task[None]] = set()
    for fault in schedule:
        await asyncio.sleep(fault.wait_secs)
        running.add(asyncio.create_task(one(fault)))
        for task in [task for task in running if task.done()]:
            running.remove(task)
            task.result()
    await asyncio.gather(*running)
    return met


async def _finished(cells: Sequence[Cell], folder: Path) -> list[str]:
    """Wait, without faults, until everything that was written has come out; return what is late."""
    due = {cell.organisation: await asyncio.to_thread(cell.workload.due) for cell in cells}
    deadline = time.monotonic() + FINISH_SECS
    while time.monotonic() < deadline:
        done = progress(folder)
        if all(done.get(organisation, 0) >= count for organisation, count in due.items()):
            return []
        await asyncio.sleep(0.5)
    done = progress(folder)
    return [
        f"{organisation}: {done.get(organisation, 0)} of {count} after {FINISH_SECS:.0f} s without faults"
        for organisation, count in due.items()
        if done.get(organisation, 0) < count
    ]


def _judged(cells: Sequence[Cell], folder: Path, direct: str) -> checker.Verdict:
    verdict = checker.Verdict()
    for cell in cells:
        found = checker.read(direct, cell.organisation)
        witnessed = checker.lines_of(folder / f"witness-{cell.organisation}.txt")
        verdict.join(checker.judge(cell.workload.expected(), found, witnessed))
    return verdict


def _report(field: Field, schedule: Sequence[Fault], met: Counter[str], verdict: checker.Verdict) -> None:
    planned = Counter(fault.kind for fault in schedule)
    say("")
    for kind in sorted(planned):
        say(f"  {kind:34}{met[kind]:>5} of {planned[kind]} met")
    exits = Counter(code for cell in field.cells for slot in cell.slots for code in slot.exits)
    say(f"{met.total()} faults, {field.broker_kills} broker kills; workers ended with {dict(sorted(exits.items()))}")
    for line in verdict.lines():
        print(line)
    print("FAILED" if verdict.counts else "nothing missing, nothing twice")


def say(text: str) -> None:
    """Talk to whoever watches."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--source", default="files", help=f"{', '.join(WORKLOADS)}; several are shared out over cells")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--cells", type=int, default=3, help="organisations, each with workers of its own")
    parser.add_argument("--workers", type=int, default=2, help="workers of a cell")
    parser.add_argument("--only", nargs="*", default=[], help="kinds of faults, by how they begin")
    parser.add_argument("--hole", choices=HOLES, help="put a known hole back, to see it found")
    parser.add_argument("--mean-wait-secs", type=float, default=1.2)
    parser.add_argument("--write-every-secs", type=float, default=4.0)
    parser.add_argument("--keep", action="store_true", help="keep files and logs, as is done where something is wrong")
    chosen = parser.parse_args()
    sources = tuple(chosen.source.split(","))
    if unknown := set(sources) - set(WORKLOADS):
        parser.error(f"no such source: {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    say(f"seed {chosen.seed}")
    verdict = asyncio.run(run(Options(**{**vars(chosen), "only": tuple(chosen.only), "source": sources})))
    return 1 if verdict.counts else 0


if __name__ == "__main__":
    sys.exit(main())
