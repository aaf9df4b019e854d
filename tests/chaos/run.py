"""Kill workers at random while files keep coming, then judge: python tests/chaos/run.py --rounds 40 [--seed N].

Each round a worker process is killed with SIGKILL, or asked to stop with SIGTERM, or stopped with SIGSTOP until it is a
zombie that somebody else has fenced, and then let go on. The same seed gives the same schedule. The verdict compares
what was written with what a read-committed reader sees, and every receipt must balance.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from backbone.config import Deployment, load
from backbone.embedded import EmbeddedKafka
from backbone.kafka.readers import read_topics
from backbone.provisioning import apply
from backbone.receipts import Counts, Receipt
from backbone.testing.rows import Row, events, faults, rows, write

ROWS_A_FILE = 3_000
OVERLAP = 300
FINISH_SECS = 180.0


def deployed(folder: Path, bootstrap_servers: str) -> Deployment:
    """Write and read the deployment file."""
    (folder / "drop").mkdir()
    path = folder / "backbone.yaml"
    path.write_text(
        "organisation: {id: E09000099}\n"
        f'kafka: {{bootstrap_servers: "{bootstrap_servers}", replication_factor: 1, min_insync_replicas: 1}}\n'
        "feeds: [{name: hw, adapter: symology, source: {type: files, url: drop, pattern: '*.csv', ready_after_secs: 0,"
        " poll_interval_secs: 0.05}}]\n"
    )
    return load(path)


async def worker(deployment: Deployment) -> asyncio.subprocess.Process:
    """Start a worker process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "run", "--config", str(deployment.path), stderr=asyncio.subprocess.DEVNULL
    )


async def strike(process: asyncio.subprocess.Process, choose: random.Random) -> asyncio.subprocess.Process | None:
    """Do something to a worker; return it if it lives on as a zombie."""
    kind = choose.choice(("kill", "kill", "term", "zombie"))
    if process.returncode is not None:
        return None
    if kind == "zombie":
        process.send_signal(signal.SIGSTOP)
        return process
    process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
    await process.wait()
    return None


async def receipts(deployment: Deployment) -> list[Receipt]:
    """Return every receipt."""
    return [
        Receipt.model_validate_json(record.value or b"")
        async for record in read_topics(deployment.connection, [deployment.topics.receipts])
    ]


async def chaos(rounds: int, seed: int) -> int:
    """Run the rounds; return 0 when the verdict holds."""
    choose = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    wanted: list[Row] = []
    zombies: list[asyncio.subprocess.Process] = []
    with tempfile.TemporaryDirectory(prefix="backbone-chaos-") as name:
        async with EmbeddedKafka() as kafka:
            deployment = deployed(Path(name), kafka.bootstrap_servers)
            await apply(deployment)
            files = 0
            for number in range(rounds):
                for _ in range(2):
                    first = max(0, len(wanted) - OVERLAP)
                    batch = list(rows(ROWS_A_FILE, first=first))
                    wanted.extend(batch[len(wanted) - first :])
                    write(deployment.path.parent / "drop" / f"{20310000 + files}.csv", batch)
                    files += 1
                process = await worker(deployment)
                await asyncio.sleep(choose.uniform(0.8, 4.0))
                zombie = await strike(process, choose)
                for frozen in zombies:
                    frozen.send_signal(signal.SIGCONT)
                    await asyncio.sleep(choose.uniform(0, 0.5))
                    frozen.kill()
                    await frozen.wait()
                zombies = [] if zombie is None else [zombie]
                print(f"round {number + 1}/{rounds}: {len(wanted):,} rows written", file=sys.stderr, flush=True)
            last = await worker(deployment)
            deadline = time.monotonic() + FINISH_SECS
            while len(await receipts(deployment)) < files and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
            for process in (*zombies, last):
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
            return await judge(deployment, wanted, files)


async def judge(deployment: Deployment, wanted: list[Row], files: int) -> int:
    """Compare, print the verdict, return 0 when it holds."""
    problems = faults(await events(deployment.connection, deployment.organisation), wanted)
    found = await receipts(deployment)
    for receipt in found:
        counts = Counts(receipt.records, receipt.published, receipt.duplicate, receipt.skipped, receipt.rejected)
        if not counts.balanced():
            problems.append(f"the receipt of {receipt.document} does not balance")
    if len(found) != files:
        problems.append(f"{len(found)} receipts for {files} files")
    if sum(receipt.published for receipt in found) != len(wanted):
        problems.append("the receipts do not add up to what was written")
    print(f"{len(wanted):,} expected, {len(problems)} problems")
    for problem in problems[:20]:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", file=sys.stderr)
    sys.exit(asyncio.run(chaos(chosen.rounds, chosen.seed)))
