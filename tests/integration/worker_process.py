"""Run a worker, until it has caught up or for ever, and kill it with SIGKILL at the n-th time of a named point.

python worker_process.py CONFIG [POINT TIMES [forever]]
"""

import asyncio
import sys
from pathlib import Path

from backbone.config import load
from backbone.testing.crash import strike_at
from backbone.worker import run_worker

if __name__ == "__main__":
    if len(sys.argv) > 2:
        strike_at(sys.argv[2], int(sys.argv[3]))
    sys.exit(asyncio.run(run_worker(load(Path(sys.argv[1])).worker_settings(once="forever" not in sys.argv))))
