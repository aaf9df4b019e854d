"""Settings of the process's memory for a worker: what the collector and the C allocator do between records."""

import contextlib
import ctypes
import gc
from typing import Final

TRIM_THRESHOLD: Final = -1
TOP_PAD: Final = -2
MMAP_THRESHOLD: Final = -3
"""Numbers of glibc's ``mallopt`` parameters (``malloc.h``)."""


def tune() -> None:
    """Let the collector look less often, and the allocator keep what it will need again in a moment.

    Events in hand are many and have no cycles: looking for some among them cost a tenth of the pipeline's time. Blocks
    of a document are larger than what glibc maps anew each time and gives back at once, which cost a twentieth; other
    C libraries are left as they are.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 4_194_304)
        mallopt(TRIM_THRESHOLD, 16_777_216)
        mallopt(TOP_PAD, 1_048_576)
