"""A real worker process with what a fault run needs of it: small transactions, a wrong clock, a death, a known hole.

python -m tests.chaos.worker CONFIG [--die-at POINT:TIMES] [--skew SECS] [--no-watchdog] [--hole NAME]
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from backbone import document_run, points, worker
from backbone.config import load
from backbone.logs import configure_logging
from backbone.shard import Shard
from backbone.sources.files import FilesSource
from tests.chaos.holes import HOLES

BATCH_RECORDS = 100
"""So few records a transaction that every document takes several."""


def die_at(point: str, times: int) -> None:
    """Arrange for our own end."""
    left = times

    def hook(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    points.hook = hook


def skew(secs: float) -> None:
    """Put every clock that the code reads, but for the monotonic one, off by some seconds."""
    right = time.time
    time.time = lambda: right() + secs
    kwdefaults(Shard)["now"] = lambda: datetime.now(UTC) + timedelta(seconds=secs)
    kwdefaults(FilesSource)["clock"] = time.time


def kwdefaults(kind: type) -> dict[str, Any]:
    """Return the defaults of a class's keyword arguments, to be changed in this process."""
    return cast("dict[str, Any]", kind.__init__.__kwdefaults__)  # type: ignore[misc]  # any class does


def main() -> int:
    """Run until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--die-at", default="")
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--no-watchdog", action="store_true", help="a frozen worker then lives on as a zombie")
    parser.add_argument("--hole", choices=HOLES)
    chosen = parser.parse_args()
    document_run.BATCH_RECORDS = BATCH_RECORDS  # type: ignore[attr-defined]  # as it is bound there
    if chosen.die_at:
        point, _, times = chosen.die_at.partition(":")
        die_at(point, int(times))
    if chosen.skew:
        skew(chosen.skew)
    if chosen.no_watchdog:
        worker.STALLED_LOOP_SECS = 1e9  # type: ignore[misc]  # for this process only
    if chosen.hole:
        HOLES[chosen.hole]()
    configure_logging(json=True)
    return asyncio.run(worker.run_worker(load(chosen.config).worker_settings()))


if __name__ == "__main__":
    sys.exit(main())
