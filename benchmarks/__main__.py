"""`make bench`: each figure as the median of several runs with its spread, and the ratio to the plain client."""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from backbone.config import Deployment, load
from backbone.embedded import EmbeddedKafka
from backbone.kafka.readers import read_topics
from backbone.provisioning import apply
from benchmarks.extract import write

RUNS = 3
PIPELINE = (sys.executable, "-m", "benchmarks.pipeline")
ROWS = 300_000
MEMORY_ROWS = (10_000, 3_000_000)


def spread(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):>10,.0f}   ({min(values):,.0f} to {max(values):,.0f}, {len(values)} runs)"


async def deployed(folder: Path, bootstrap_servers: str, extract: Path) -> Deployment:
    """Return a fresh deployment whose drop folder holds the extract."""
    organisation = f"E{random.SystemRandom().randrange(10**8):08d}"
    home = folder / organisation
    (home / "drop").mkdir(parents=True)
    (home / "drop" / extract.name).hardlink_to(extract)
    (home / "backbone.yaml").write_text(
        f"organisation: {{id: {organisation}}}\n"
        f'kafka: {{bootstrap_servers: "{bootstrap_servers}", replication_factor: 1, min_insync_replicas: 1}}\n'
        "feeds: [{name: bench, adapter: symology, source: {type: files, url: drop, pattern: '*.csv',"
        " ready_after_secs: 0, poll_interval_secs: 0.05}}]\n"
    )
    deployment = load(home)
    await apply(deployment)
    return deployment


async def measured(*arguments: str) -> dict[str, float]:
    """Run one process and return what it says that it cost."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.whole_path", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    printed, _ = await process.communicate()
    found: dict[str, float] = json.loads(printed.decode().splitlines()[-1])
    return found


async def first_event(folder: Path, bootstrap_servers: str, extract: Path) -> float:
    """Return seconds from the start of a worker process to its first committed event."""
    deployment = await deployed(folder, bootstrap_servers, extract)
    topic = f"{deployment.organisation}.servicerequests.v1"
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "run", "--config", str(deployment.path), stderr=subprocess.DEVNULL
    )
    try:
        async for _ in read_topics(deployment.connection, [topic], follow=True):
            return time.monotonic() - began
    finally:
        process.terminate()
        await process.wait()
    raise AssertionError


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="backbone-bench-") as name:
        folder = Path(name)
        extract = write(folder / "extract.csv", ROWS)
        size = extract.stat().st_size / ROWS
        print(f"{ROWS:,} rows of {size:.0f} bytes, 1 % bad; records a client CPU-second, both passes counted\n")
        alone = [
            float(await asyncio.to_thread(subprocess.check_output, [*PIPELINE, str(extract)])) for _ in range(RUNS)
        ]
        print(f"pipeline alone                 {spread(alone)}")
        async with EmbeddedKafka() as kafka:
            ours: list[float] = []
            theirs: list[float] = []
            walls: list[float] = []
            for _ in range(RUNS):  # in turn, so that both meet the same machine
                for kind, into in (("ours", ours), ("plain", theirs)):
                    deployment = await deployed(folder, kafka.bootstrap_servers, extract)
                    cost = await measured(*(["plain"] if kind == "plain" else ["worker"]), str(deployment.path))
                    into.append(ROWS / cost["cpu_secs"])
                    if kind == "ours":
                        walls.append(ROWS / cost["wall_secs"])
            print(f"whole path, exactly once       {spread(ours)}")
            print(f"plain aiokafka client          {spread(theirs)}")
            ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
            middle = statistics.median(ratios)
            print(f"ratio                          {middle:.1f} times ({min(ratios):.1f} to {max(ratios):.1f})")
            print(f"whole path, records a second   {spread(walls)}")
            latencies = [await first_event(folder, kafka.bootstrap_servers, extract) for _ in range(RUNS)]
            middle = statistics.median(latencies)
            between = f"{min(latencies):.2f} to {max(latencies):.2f}"
            print(f"start to first event, seconds  {middle:.2f} ({between})")
            for rows in MEMORY_ROWS if "--long" in sys.argv else (MEMORY_ROWS[0], ROWS):
                deployment = await deployed(folder, kafka.bootstrap_servers, write(folder / f"{rows}.csv", rows))
                cost = await measured("worker", str(deployment.path))
                print(f"peak memory at {rows:>9,} rows   {cost['peak_mb']:.0f} MB")


asyncio.run(main())
