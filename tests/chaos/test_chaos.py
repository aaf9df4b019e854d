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
    """Workers, a broker, requests, disks and clocks fail at a fault a second; the checker finds nothing."""
    code, printed = await chaos("--faults", "60", "--seed", "20310106")
    assert code == 0, printed
    assert met(printed) >= 45, printed


@pytest.mark.timeout(420)
async def test_three_brokers_lose_and_repeat_nothing() -> None:
    """Replication, changes of leaders and too few in-sync replicas: brokers die one and two at a time."""
    code, printed = await chaos(
        "--nodes", "3", "--cells", "1", "--faults", "12", "--seed", "4", "--mean-wait-secs", "2",
        "--only", "broker.kill", "broker.restart", "cluster.", "worker.kill", "request.",
    )  # fmt: skip
    assert code == 0, printed
    assert met(printed) >= 8, printed


@pytest.mark.parametrize(
    ("hole", "kinds", "problems"),
    [
        ("last-stable-offset", ["request.delay.end-txn", "request.unanswered.end-txn", "request.lose.produce"],
         {"duplicate", "checkpoints"}),
        ("end-transaction-repeated", ["request.reorder.end-txn"], {"duplicate", "torn"}),
        ("batch-not-awaited", ["topic.refuses"], {"missing", "torn"}),
    ],
)  # fmt: skip
@pytest.mark.timeout(420)
async def test_a_known_hole_is_found(hole: str, kinds: list[str], problems: set[str]) -> None:
    """With a hole put back on purpose the verdict is bad, and says what the hole does."""
    code, printed = await chaos(
        "--hole", hole, "--faults", "40", "--seed", "5", "--cells", "1", "--workers", "1", "--mean-wait-secs", "0.7",
        "--only", *kinds,
    )  # fmt: skip
    assert code == 1, printed
    counted = {name: int(count) for name, count in re.findall(r"^  ([a-z ]+?) +(\d+)$", printed, re.MULTILINE)}
    assert any(counted.get(problem) for problem in problems), printed
