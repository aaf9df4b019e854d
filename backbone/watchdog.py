"""Ends a process whose event loop stands still, and says to the outside that one turns."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from backbone.errors import EXIT_HUNG

STALLED_LOOP_SECS: Final = 5.0
ALIVE_FILE: Final = "BACKBONE_ALIVE_FILE"
"""Names a file that is touched every second while the event loop turns: for health checks of containers."""

log = structlog.get_logger(__name__)


class Watchdog:
    """End the process when its event loop stands still: a hung adapter must not look like a healthy worker."""

    def __init__(self, busy_with: Callable[[], str]) -> None:
        """Take a function that names what is running, for the last words."""
        self._busy_with = busy_with
        self._beat = time.monotonic()
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Watch the running loop from a thread of our own."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """Say that the loop turns."""
        self._beat = time.monotonic()

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _watch(self) -> None:
        assert self._loop is not None
        alive = os.environ.get(ALIVE_FILE)
        looked = time.monotonic()
        while not self._ended.wait(1.0):
            if time.monotonic() - looked > STALLED_LOOP_SECS:
                self.beat()  # the whole process stood still, and with it the loop: that is no fault of a feed
            looked = time.monotonic()
            self._loop.call_soon_threadsafe(self.beat)
            if alive and time.monotonic() - self._beat < STALLED_LOOP_SECS:
                with suppress(OSError):  # a full disk; whoever looks at the file sees it grow old
                    Path(alive).touch()
            if time.monotonic() - self._beat > STALLED_LOOP_SECS + 1.0:
                log.critical("worker.hung", code="worker.hung", feeds=self._busy_with())
                os._exit(EXIT_HUNG)
