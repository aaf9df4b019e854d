"""A real worker process with what a fault run needs of it: small transactions, a wrong clock, a death, a known hole.

python -m tests.chaos.worker [--die-at POINT:TIMES] [--skew SECS] [--no-watchdog] [--hole NAME] feeds CONFIG
python -m tests.chaos.worker [...] relay SERVERS ORGANISATION SOURCE
"""

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from backbone import document_run, watchdog, worker
from backbone.config import load
from backbone.logs import configure_logging
from backbone.shard import Shard
from backbone.sources.files import FilesSource
from backbone.subscriber import lane
from backbone.testing.crash import strike_at
from tests.chaos.holes import HOLES
from tests.chaos.relay import relay

BATCH_RECORDS = 100
"""So few records a transaction that every document takes several."""


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
    parser.add_argument("what", choices=("feeds", "relay"))
    parser.add_argument("of", nargs="+")
    parser.add_argument("--die-at", default="")
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--no-watchdog", action="store_true", help="a frozen worker then lives on as a zombie")
    parser.add_argument("--hole", choices=HOLES)
    chosen = parser.parse_args()
    document_run.BATCH_RECORDS = BATCH_RECORDS  # type: ignore[attr-defined]  # as it is bound there
    lane.TRANSACTION_RECORDS = BATCH_RECORDS  # type: ignore[misc]  # for this process only
    if chosen.die_at:
        point, _, times = chosen.die_at.partition(":")
        strike_at(point, int(times))
    if chosen.skew:
        skew(chosen.skew)
    if chosen.no_watchdog:
        watchdog.STALLED_LOOP_SECS = 1e9  # type: ignore[misc]  # for this process only
    if chosen.hole:
        HOLES[chosen.hole]()
    configure_logging(json=True)
    if chosen.what == "feeds":
        return asyncio.run(worker.run_worker(load(Path(chosen.of[0])).worker_settings()))
    asyncio.run(relay(*chosen.of).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
