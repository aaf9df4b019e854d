"""Run a worker, until it has caught up or for ever, and kill it with SIGKILL at the n-th time of a named point.

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
    if len(sys.argv) > 2:
        kill_at(sys.argv[2], int(sys.argv[3]))
    sys.exit(asyncio.run(run_worker(load(Path(sys.argv[1])).worker_settings(once="forever" not in sys.argv))))
