"""Settings of the process's memory for a worker: what the collector and the C allocator do between records."""

import asyncio
import contextlib
import ctypes
import gc
from typing import Final

SETTLE_WITHIN_SECS: Final = 0.5
GIVE_BACK_EVERY_SECS: Final = 30.0
TRIM_THRESHOLD: Final = -1
TOP_PAD: Final = -2
MMAP_THRESHOLD: Final = -3
ARENA_MAX: Final = -8
"""Numbers of glibc's ``mallopt`` parameters (``malloc.h``)."""

_due_at = 0.0


def tune() -> None:
    """Let the collector look less often, and the allocator keep what it will need again in a moment.

    Events in hand are many and have no cycles: looking for some among them cost a tenth of the pipeline's time. Blocks
    of a document are larger than what glibc maps anew each time and gives back at once, which cost a twentieth. Threads
    only list, check, unpack and move files, so they need no heaps of their own, whose gaps nobody else can
    fill. Other C libraries are left as they are.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 4_194_304)
        mallopt(TRIM_THRESHOLD, 16_777_216)
        mallopt(TOP_PAD, 1_048_576)
        mallopt(ARENA_MAX, 1)


async def give_back(every_secs: float = GIVE_BACK_EVERY_SECS) -> None:
    """Give the system back, now and again, the pages that lie free between what is in use; runs for ever.

    The peaks of several feeds fall together by chance, the more often the longer a worker runs, and glibc by itself
    keeps the room of the highest. It takes some milliseconds.
    """
    while True:
        await asyncio.sleep(every_secs)
        _trim()


def settle() -> None:
    """Let go, in a moment, of what an error has left behind: to be called from a running event loop.

    Its traceback holds whole sessions, in cycles that nobody looks for. With the thresholds above it took minutes until
    they went, and a feed that failed again and again had several hundred megabytes by then. It takes some hundredths of
    a second, so errors that come together, as those of all shards when a broker goes, are seen to together.
    """
    global _due_at  # noqa: PLW0603 - one collector a process
    loop = asyncio.get_running_loop()
    if loop.time() >= _due_at:
        _due_at = loop.time() + SETTLE_WITHIN_SECS
        loop.call_at(_due_at, _collect)


def _collect() -> None:
    gc.collect()
    _trim()


def _trim() -> None:
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
