"""A real worker process with what a test of faults needs of it.

python -m tests.faults.worker CONFIG [--once] [--set MODULE.NAME=NUMBER ...] [--freeze-at POINT[:TIMES]]
    [--clock START_SECS,RATE] [--no-watchdog]

``--set`` replaces a constant in this process, ``--freeze-at`` stops it (SIGSTOP) at a named point, and ``--clock`` puts
every clock of the day off by so many seconds, which change by RATE in a second.
"""

import argparse
import asyncio
import importlib
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from backbone import watchdog, worker
from backbone.config import load
from backbone.logs import configure_logging
from backbone.shard import Shard
from backbone.sources.files import FilesSource
from backbone.testing.crash import strike_at


def clock(start_secs: float, rate: float) -> None:
    """Put every clock but the monotonic ones off."""
    right, began = time.time, time.monotonic()

    def off() -> float:
        return start_secs + rate * (time.monotonic() - began)

    time.time = lambda: right() + off()
    kwdefaults(Shard)["now"] = lambda: datetime.now(UTC) + timedelta(seconds=off())
    kwdefaults(FilesSource)["clock"] = time.time


def kwdefaults(kind: type) -> dict[str, Any]:
    """Return the defaults of a class's keyword arguments, to be changed in this process."""
    return cast("dict[str, Any]", kind.__init__.__kwdefaults__)  # type: ignore[misc]  # any class does


def main() -> int:
    """Run until stopped, or with ``--once`` until caught up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--freeze-at", default="")
    parser.add_argument("--clock", default="")
    parser.add_argument("--no-watchdog", action="store_true")
    chosen = parser.parse_args()
    for setting in chosen.set:
        name, _, value = setting.partition("=")
        module, _, constant = name.rpartition(".")
        found = importlib.import_module(module)
        assert hasattr(found, constant), name
        setattr(found, constant, type(getattr(found, constant))(value))
    if chosen.freeze_at:
        point, _, times = chosen.freeze_at.partition(":")
        strike_at(point, int(times or 1), signal.SIGSTOP)
    if chosen.clock:
        start, _, rate = chosen.clock.partition(",")
        clock(float(start), float(rate))
    if chosen.no_watchdog:
        watchdog.STALLED_LOOP_SECS = 1e9  # type: ignore[misc]  # for this process only
    configure_logging(json=True)
    return asyncio.run(worker.run_worker(load(chosen.config).worker_settings(once=chosen.once)))


if __name__ == "__main__":
    sys.exit(main())
