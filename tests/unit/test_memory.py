"""What errors leave behind is let go."""

import asyncio
import gc
import subprocess
import sys
import weakref
from pathlib import Path

from backbone import memory


class Held:
    """Something large that a traceback would hold."""


async def test_what_errors_leave_behind_is_let_go_once_for_those_that_come_together() -> None:
    """The collector does not look by itself, as it hardly does in a worker; each error asks, and none is forgotten."""
    left: list[weakref.ref[Held]] = []
    gc.disable()
    try:
        for _ in range(3):
            held = Held()
            held.itself = held  # type: ignore[attr-defined]  # a cycle, as a traceback makes
            left.append(weakref.ref(held))
            del held
            memory.settle()
            await asyncio.sleep(memory.SETTLE_WITHIN_SECS / 4)
        assert all(one() is not None for one in left)
        await asyncio.sleep(memory.SETTLE_WITHIN_SECS)
        assert all(one() is None for one in left)
        last = Held()
        last.itself = last  # type: ignore[attr-defined]
        left.append(weakref.ref(last))
        del last
        memory.settle()
        await asyncio.sleep(2 * memory.SETTLE_WITHIN_SECS)
        assert left[-1]() is None
    finally:
        gc.enable()


ROOT = Path(__file__).parents[2]
OF_A_WORKER = """
import asyncio, contextlib, os
from backbone import memory
from tests.process_use import resident_bytes

memory.tune()
before = resident_bytes(os.getpid())
blocks = [bytes(100_000) for _ in range(1_000)]
ends = blocks[::50]
del blocks
free = resident_bytes(os.getpid()) - before

async def wait():
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(memory.give_back(0.05), 0.3)

asyncio.run(wait())
print(free, resident_bytes(os.getpid()) - before)
"""


def test_a_worker_gives_back_the_room_between_what_it_keeps() -> None:
    """A hundred megabytes lie free between twenty blocks that stay; glibc by itself gives back none of them."""
    run = subprocess.run([sys.executable, "-c", OF_A_WORKER], cwd=ROOT, check=True, capture_output=True, text=True)
    free, kept = map(int, run.stdout.split())
    assert free > 90_000_000
    assert kept < 10_000_000
