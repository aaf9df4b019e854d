"""The demo from start to end: it says what it does at each step and exits 0 only if the verdict holds."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from backbone.config import Deployment, load
from backbone.demo.drops import ORGANISATION, Drops, write_drops
from backbone.demo.verdict import Verdict, judge
from backbone.embedded import EmbeddedKafka
from backbone.kafka.readers import matching_topics, read_topics
from backbone.provisioning import apply
from backbone.receipts import Counts, Receipt
from backbone.rejects import Reject

ROWS: Final = 60_000
KILL_AFTER_SHARE: Final = 0.25
DEADLINE_SECS: Final = 120.0
SHOWN_REJECTS: Final = 6
POLL_SECS: Final = 0.1

console = Console(highlight=False, soft_wrap=True)


def step(number: int, text: str) -> None:
    """Say what happens next."""
    console.print(f"\n[bold]{number}.[/bold] {text}")


async def play(*, keep: bool, rows: int = ROWS) -> int:
    """Run the demo; return the exit code."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="backbone-demo-"))
    try:
        step(1, "Starting a real Apache Kafka (the first time, its jars are fetched) ...")
        async with EmbeddedKafka(folder / "kafka") as kafka:
            console.print(f"   ready at {kafka.bootstrap_servers} after {time.monotonic() - began:.1f} s")
            deployment = _deployment(folder, kafka.bootstrap_servers)
            await apply(deployment)
            step(2, "Writing what three legacy systems drop: highways CSV, death registrations XML, planning CSV ...")
            drops = write_drops(folder / "drop", rows)
            console.print(
                f"   {drops.documents} files below {folder / 'drop'}, with a bad date, a short row, unknown codes, a\n"
                "   file sent twice, overlapping files, a web page named .csv, a cut-off XML and a half-written file"
            )
            await _work(deployment, drops)
            code = await _report(deployment, drops)
            console.print(f"\n   The whole demo took {time.monotonic() - began:.0f} s.")
            if keep:
                await _keep(folder, kafka.bootstrap_servers)
            return code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _deployment(folder: Path, bootstrap_servers: str) -> Deployment:
    source = "{type: files, url: drop/%s, pattern: '*', ready_after_secs: 2, poll_interval_secs: 0.3}"
    path = folder / "backbone.yaml"
    path.write_text(
        f"organisation: {{id: {ORGANISATION}, name: Demo Borough}}\n"
        f'kafka: {{bootstrap_servers: "{bootstrap_servers}", replication_factor: 1, min_insync_replicas: 1}}\n'
        "feeds:\n"
        f"  - {{name: highways-updates, adapter: symology, source: {source % 'highways'}}}\n"
        f"  - {{name: deaths, adapter: gro-deaths, source: {source % 'deaths'}}}\n"
        f"  - {{name: planning, adapter: planning-register, source: {source % 'planning'}}}\n"
    )
    return load(path)


@asynccontextmanager
async def _worker(deployment: Deployment) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker in a process of its own, as `backbone run` does; it never outlives the demo."""
    with (deployment.path.parent / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backbone", "run", "--config", str(deployment.path), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _work(deployment: Deployment, drops: Drops) -> None:
    """Run a worker, kill it in the middle, complete the half-written file and run another one."""
    step(3, "Running a worker over them, while somebody is still writing the last file ...")
    seen = _Seen(deployment, len(drops.expected))
    counting = asyncio.create_task(seen.follow())
    writing = asyncio.create_task(_keep_writing(drops))
    try:
        async with _worker(deployment) as first:
            await seen.until(int(len(drops.expected) * KILL_AFTER_SHARE), first)
            os.kill(first.pid, signal.SIGKILL)
            await first.wait()
        console.print(f"   [red]killed it with SIGKILL[/red] in the middle, with {seen.count:,} events committed")
        step(4, "Completing the half-written file, and starting another worker ...")
        writing.cancel()
        drops.complete_late_file()
        restarted, before = time.monotonic(), seen.count
        async with _worker(deployment) as second:
            await seen.until(before + 1, second)
            console.print(f"   it went on where the first one was stopped, {time.monotonic() - restarted:.1f} s later")
            await seen.until_receipts(drops.documents, second)
    finally:
        for task in (counting, writing):
            task.cancel()
        await asyncio.gather(counting, writing, return_exceptions=True)


async def _keep_writing(drops: Drops) -> None:
    """Write on at the half-written file, slowly: while it grows, it is not ready."""
    while True:
        drops.write_a_little()
        await asyncio.sleep(POLL_SECS)


class _Seen:
    """Count committed events as a subscriber sees them, with progress for whoever watches."""

    def __init__(self, deployment: Deployment, expected: int) -> None:
        self._deployment = deployment
        self._expected = expected
        self.count = 0

    async def follow(self) -> None:
        """Read the family topics for ever."""
        connection = self._deployment.connection
        topics = await matching_topics(connection, [rf"{ORGANISATION}\.[a-z]+\.v1"])
        async for _ in read_topics(connection, topics, follow=True):
            self.count += 1

    async def until(self, wanted: int, worker: asyncio.subprocess.Process) -> None:
        """Wait until so many events are committed."""

        async def reached() -> bool:
            return self.count >= wanted

        await self._watch(reached, worker)

    async def until_receipts(self, documents: int, worker: asyncio.subprocess.Process) -> None:
        """Wait until every document has its receipt."""

        async def reached() -> bool:
            topic = self._deployment.topics.receipts
            found = [record async for record in read_topics(self._deployment.connection, [topic])]
            return len(found) >= documents

        await self._watch(reached, worker)

    async def _watch(self, reached: Callable[[], Awaitable[bool]], worker: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + DEADLINE_SECS
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("events committed", total=self._expected)
            while not await reached():
                _check(worker, deadline)
                progress.update(task, completed=self.count)
                await asyncio.sleep(POLL_SECS)


def _check(worker: asyncio.subprocess.Process, deadline: float) -> None:
    if worker.returncode is not None:
        message = f"the worker ended by itself with {worker.returncode}"
        raise RuntimeError(message)
    if time.monotonic() > deadline:
        message = "the worker did not finish in time"
        raise TimeoutError(message)


async def _report(deployment: Deployment, drops: Drops) -> int:
    connection, topics = deployment.connection, deployment.topics
    receipts = [
        Receipt.model_validate_json(record.value or b"") async for record in read_topics(connection, [topics.receipts])
    ]
    rejects = [
        Reject.model_validate_json(record.value or b"") async for record in read_topics(connection, [topics.rejects])
    ]
    step(5, "A receipt for every document: records = published + duplicate + skipped + rejected")
    balanced = all(_show_receipt(receipt) for receipt in sorted(receipts, key=lambda r: (r.feed, r.ordinal)))
    step(6, f"{len(rejects)} records set aside, each with its reason and place:")
    for reject in rejects[:SHOWN_REJECTS]:
        place = f"{reject.document} record {reject.record_number}"
        place += "" if reject.offset is None else f", byte {reject.offset:,}"
        console.print(f"   [red]{reject.code:22}[/red] {place}: {reject.message}", markup=True)
    step(7, "What a subscriber sees, one of each kind:")
    verdict = await judge(connection, drops.expected)
    for shown in verdict.sample:
        console.print(f"   {shown}", markup=False)
    return _conclude(verdict, drops, receipts, rejects, balanced=balanced)


def _show_receipt(receipt: Receipt) -> bool:
    counts = Counts(receipt.records, receipt.published, receipt.duplicate, receipt.skipped, receipt.rejected)
    style = {"complete": "green", "duplicate": "cyan"}.get(receipt.outcome, "yellow")
    said = f"  {receipt.code}" if receipt.code else ""
    console.print(
        f"   [{style}]{receipt.outcome:9}[/{style}] {receipt.document:32} {receipt.records:>7,} = "
        f"{receipt.published:>7,} + {receipt.duplicate:>7,} + {receipt.skipped:>6,} + {receipt.rejected:>3,}{said}"
    )
    return counts.balanced()


def _conclude(verdict: Verdict, drops: Drops, receipts: list[Receipt], rejects: list[Reject], *, balanced: bool) -> int:
    step(8, "The verdict of an independent reader (read_committed):")
    holds = verdict.holds and balanced and len(receipts) == drops.documents and len(rejects) == drops.rejects
    style = "bold green" if holds else "bold red"
    console.print(
        f"   [{style}]{verdict.expected:,} expected, {verdict.seen:,} seen, {verdict.missing} missing, "
        f"{verdict.duplicate} duplicate[/{style}]; {verdict.out_of_order} out of order, "
        f"{verdict.unexpected} unexpected, {len(receipts)} of {drops.documents} receipts, "
        f"{len(rejects)} of {drops.rejects} rejects"
    )
    return 0 if holds else 1


async def _keep(folder: Path, bootstrap_servers: str) -> None:
    config = folder / "backbone.yaml"
    backbone = sys.argv[0] if Path(sys.argv[0]).name == "backbone" else f"{sys.executable} -m backbone"
    step(9, "Kafka stays up. In another terminal:")
    for command in (
        f"{backbone} subscribe '{ORGANISATION}\\..*\\.v1' --regex --from earliest --no-follow --config {config}",
        f"{backbone} receipts list --config {config}",
        f"{backbone} rejects list --config {config}",
        f"{backbone} status --config {config}",
        f"{backbone} run --config {config}        # then drop files into {folder / 'drop'}",
    ):
        console.print(f"   {command}", markup=False)
    console.print(f"   (broker at {bootstrap_servers}; Ctrl-C here ends it and removes the data)")
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
