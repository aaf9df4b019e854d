"""Feeds in processes of their own: they end with their worker, and what is wrong with them shows where others do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backbone.config import Deployment
from backbone.embedded.broker import free_port
from backbone.processes import Child, Processes
from backbone.provisioning import apply
from backbone.testing.rows import events, faults, rows, write

ROOT = Path(__file__).parents[2]
FEEDS = """
  - {{name: one, adapter: symology, source: {{type: files, url: one, pattern: "*.csv", ready_after_secs: 0}}}}
  - {{name: two, adapter: "{two}", process: apart, source: {{type: files, url: two, pattern: "*.csv",
     ready_after_secs: 0}}}}
"""
HANGING = "tests.scale.neighbours:hanging"


@pytest.fixture
async def made(deploy: Callable[..., Deployment], request: pytest.FixtureRequest) -> Deployment:
    """Give a deployment of two feeds, the second in a process of its own, whose topics are there."""
    deployment = deploy(FEEDS.format(two=getattr(request, "param", "symology")))
    for name in ("one", "two"):
        (deployment.path.parent / name).mkdir()
    await apply(deployment)
    return deployment


@asynccontextmanager
async def started(deployment: Deployment, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "run", "--config", str(deployment.path), *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


async def until(condition: Callable[[], Any], secs: float = 60) -> None:
    async with asyncio.timeout(secs):
        while not condition():
            await asyncio.sleep(0.05)


def alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_each_process_runs_its_own_feeds_and_one_run_does_all(made: Deployment) -> None:
    """With ``--once`` every feed is caught up, whoever runs it, and the command ends with 0."""
    wanted = list(rows(400))
    write(made.path.parent / "one" / "1.csv", wanted[:200])
    write(made.path.parent / "two" / "2.csv", wanted[200:])
    async with started(made, "--once") as process:
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert faults(await events(made.connection, made.organisation), wanted) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_process_ends_with_its_worker(made: Deployment, number: signal.Signals) -> None:
    """Asked to stop, the worker stops its processes and ends with 0; killed, it leaves none behind."""
    async with started(made) as process:
        await until(lambda: children_of(process.pid))
        (child,) = children_of(process.pid)
        write(made.path.parent / "two" / "2.csv", rows(10))
        async with asyncio.timeout(60):
            while not await events(made.connection, made.organisation):
                await asyncio.sleep(0.1)
        process.send_signal(number)
        code = await asyncio.wait_for(process.wait(), 12)
        assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        await until(lambda: not alive(child), 15)


@pytest.mark.parametrize("made", [HANGING], indirect=True)
async def test_a_hung_process_shows_with_its_cause_and_the_others_go_on(made: Deployment) -> None:
    """The feed is STUCK with ``worker.hung`` in `/readyz`, metrics and status; figures of both processes are there."""
    port = free_port()
    write(made.path.parent / "one" / "1.csv", rows(20))
    write(made.path.parent / "two" / "2.csv", rows(20, first=20))
    async with started(made, "--http", f"127.0.0.1:{port}"), httpx2.AsyncClient(timeout=10) as http:
        found: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while (found.get("two") or {}).get("code") != "worker.hung":
                await asyncio.sleep(0.1)
                try:
                    answer = (await http.get(f"http://127.0.0.1:{port}/readyz?verbose")).json()
                except httpx2.TransportError:
                    continue
                found = {feed["feed"]: feed for feed in answer.get("feeds", ())}
        assert found["two"]["state"] == "STUCK"
        assert "process apart" in found["two"]["waits_for"]
        assert found["one"]["state"] == "OK"
        async with asyncio.timeout(60):  # until the next process has told its figures
            while True:
                text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                families = {family.name: family for family in text_string_to_metric_families(text)}
                published = {
                    sample.labels["feed"]: sample.value
                    for sample in families["backbone_feed_records"].samples
                    if sample.labels["outcome"] == "published"
                }
                if published == {"one": 20, "two": 0}:
                    break
                await asyncio.sleep(0.1)
        names = [line for line in text.splitlines() if line.startswith("# TYPE ")]
        assert len(names) == len(set(names)), "each figure is explained once, whoever tells of it"
        printed = await _printed(made, "status", "--json")
        states = {line["feed"]: line for line in map(orjson.loads, printed.splitlines())}
        assert states["one"]["state"] == "OK"
        assert states["two"]["state"] == "STUCK"


async def _printed(deployment: Deployment, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", *arguments, "--config", str(deployment.path), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return (await process.communicate())[0]


async def test_a_process_that_no_feed_names_is_refused(made: Deployment) -> None:
    """A misspelt process would run nothing, so it is an error of usage, with the name that was meant."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "run", "--config", str(made.path), "--process", "aprt", cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"did you mean apart?" in said


async def test_a_process_that_only_somebody_can_mend_is_not_started_again() -> None:
    """Exit codes of denials, of fatal feeds and of a wrong configuration end it for good, with a reason."""
    for code in (2, 4, 5):
        processes = Processes([sys.executable, "-c", f"raise SystemExit({code})"], {"apart": ("two",)})
        await asyncio.wait_for(processes.run(), 30)
        assert processes.done
        assert processes.children["apart"].ended == code
        trouble = processes.trouble("apart")
        assert trouble is not None
        assert (trouble[0].code, "somebody to mend" in trouble[0].waits_for) == ("worker.process-ended", True)


def test_failures_that_follow_each_other_are_one_trouble() -> None:
    """Since when does not move with each new try, and a process that lasted begins to count anew."""
    child = Child("apart", ("two",))
    child.began = 1e12  # of a clock that has not come so far: it did not last
    child.failed(6)
    first = child.wrong_since
    child.failed(1)
    assert (child.failures, child.wrong_since) == (2, first)
    child.began = -1e12
    child.failed(6)
    assert child.failures == 1
    assert child.wrong is not None
    assert child.wrong.code == "worker.hung"
