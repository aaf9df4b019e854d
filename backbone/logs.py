"""How programs of ours log: dotted events and bounded fields, never a value of a record."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog


def _spell_out(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make text of what is bound to a context and finds its text only now, such as the trace of an event in hand."""
    for name, value in list(line.items()):
        if hasattr(value, "__structlog__"):
            line[name] = value.__structlog__()
            if not line[name]:
                del line[name]
    return line


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
            _spell_out,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(_Unfailing(sys.stderr)),  # type: ignore[arg-type]  # it writes
        cache_logger_on_first_use=True,
    )
