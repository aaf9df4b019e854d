"""How a process ends: the first signal asks, the second means now, and a bound ends what does not end by itself."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
WITHIN_SECS: Final = 8.5
TEARDOWN_SECS: Final = 1.0
"""After our own end, for what the interpreter waits for: a thread that hangs in a network mount, say."""
EXIT_INTERRUPTED: Final = 130

log = structlog.get_logger(__name__)


class Stopping:
    """Take SIGTERM and SIGINT while inside of a ``with``.

    The first one calls ``asked``. A second one ends the process at once with exit code 130. If the block has not been
    left some seconds after the first, the process ends with 0 all the same: exactly once never depends on an orderly
    end.
    """

    def __init__(self, asked: Callable[[], None], within_secs: float = WITHIN_SECS) -> None:
        """Prepare; nothing is taken yet."""
        self._asked = asked
        self._within_secs = within_secs
        self._bound: threading.Timer | None = None

    def __enter__(self) -> Self:
        """Take the signals of the running loop."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        if self._bound is not None:
            self._bound.cancel()

    def _signalled(self) -> None:
        if self._bound is not None:
            os._exit(EXIT_INTERRUPTED)  # the second signal means now
        self._bound = _end_after(self._within_secs, 0)
        self._asked()


def end_process(code: int) -> None:
    """Let the process end with a code soon, even where the interpreter would wait for a thread that hangs."""
    _end_after(TEARDOWN_SECS, code)


def _end_after(secs: float, code: int) -> threading.Timer:
    timer = threading.Timer(secs, _end, (secs, code))
    timer.daemon = True
    timer.start()
    return timer


def _end(secs: float, code: int) -> None:
    log.warning("worker.ended-hard", after_secs=secs)
    sys.stderr.flush()
    os._exit(code)
