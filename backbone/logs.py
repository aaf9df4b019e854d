"""How programs of ours log: dotted events and bounded fields, never a value of a record."""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

import structlog


class _Unfailing:
    """A stream that passes over what cannot be written: a full disk under the log must not stop the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logging(*, json: bool) -> None:
    """Log to standard error: JSON for machines, lines for people. Values of records never get here."""
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty()
    )  # fmt: skip
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(_Unfailing(sys.stderr)),  # type: ignore[arg-type]  # it writes
        cache_logger_on_first_use=True,
    )
