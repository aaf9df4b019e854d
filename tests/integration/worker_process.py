"""Run a worker, until it has caught up or for ever, in this process, killing it with SIGKILL when a named point is reached for the n-th time.

python worker_process.py CONFIG [POINT TIMES [forever]]
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from backbone import points
from backbone.config import load
from backbone.worker import run_worker


def kill_at(point: str, times: int) -> None:
    """Arrange for our own end."""
    left = times

    def hook(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    points.hook = hook


if __name__ == "__main__":
    if len(sys.argv) > 2:  # noqa: PLR2004
        kill_at(sys.argv[2], int(sys.argv[3]))
    sys.exit(asyncio.run(run_worker(load(Path(sys.argv[1])).worker_settings(once="forever" not in sys.argv))))
