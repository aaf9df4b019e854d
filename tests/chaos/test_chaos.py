"""The short form of the fault runs: real workers and brokers, an independent verdict, and known holes to be found."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


async def chaos(*arguments: str) -> tuple[int, str]:
    """Run the harness; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos", *arguments, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


def met(printed: str) -> int:
    """Return how many faults hit something."""
    found = re.search(r"^(\d+) faults, ", printed, re.MULTILINE)
    assert found is not None, printed
    return int(found[1])


@pytest.mark.timeout(420)
async def test_sixty_faults_lose_and_repeat_nothing() -> None:
    """Workers of feeds and of a transform, a broker, requests, disks and clocks fail; the checker finds nothing."""
    code, printed = await chaos("--faults", "60", "--seed", "20310106", "--source", "files,kafka")
    assert code == 0, printed
    assert met(printed) >= 45, printed


@pytest.mark.timeout(420)
async def test_three_brokers_lose_and_repeat_nothing() -> None:
    """Replication, changes of leaders and too few in-sync replicas: brokers die one and two at a time."""
    code, printed = await chaos(
        "--nodes", "3", "--cells", "1", "--faults", "12", "--seed", "35", "--mean-wait-secs", "2",
        "--only", "broker.kill", "broker.restart", "cluster.", "worker.kill", "request.",
    )  # fmt: skip
    assert code == 0, printed
    assert met(printed) >= 8, printed
    for kind in ("broker.kill", "cluster.move-leaders", "cluster.two-down"):
        assert re.search(rf"^  {kind} +[1-9]", printed, re.MULTILINE), printed


@pytest.mark.parametrize(
    ("hole", "source", "kinds", "problems"),
    [
        ("last-stable-offset", "files", ["siblings"], {"duplicate", "checkpoints"}),
        ("last-stable-offset", "kafka", ["siblings"], {"duplicate", "checkpoints"}),
        ("end-transaction-repeated", "files", ["request.reorder.end-txn"], {"duplicate", "torn"}),
        ("batch-not-awaited", "files", ["topic.refuses"], {"missing", "torn"}),
    ],
)
@pytest.mark.timeout(600)
async def test_a_known_hole_is_found(hole: str, source: str, kinds: list[str], problems: set[str]) -> None:
    """With a hole put back on purpose the verdict is bad, and says what the hole does.

    Whether a fault meets the moment in which the hole shows is a matter of luck, so there are three schedules.
    """
    for seed in ("5", "6", "7"):
        code, printed = await chaos(
            "--hole", hole, "--source", source, "--faults", "20", "--seed", seed, "--cells", "1", "--workers", "1",
            "--mean-wait-secs", "0.7", "--write-every-secs", "0.5", "--only", *kinds,
        )  # fmt: skip
        counted = {name: int(count) for name, count in re.findall(r"^  ([a-z ]+?) +(\d+)$", printed, re.MULTILINE)}
        if any(counted.get(problem) for problem in problems):
            assert code == 1, printed
            return
    pytest.fail(printed)
