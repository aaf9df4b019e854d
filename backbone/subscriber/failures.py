"""What went wrong with an event, in the log: where it lies and what kind of error it was, never a value."""

from typing import Any

import structlog

from backbone.errors import places_of
from backbone.subscriber.errors import UnreadableError

log = structlog.get_logger(__name__)


def note_failure(record: Any, error: BaseException, code: str, tries: int) -> None:
    """Log a failure. The message of a foreign error may hold a value; its kind and its line of code do not."""
    ours = {"message": error.message, "guidance": error.guidance} if isinstance(error, UnreadableError) else {}
    log.warning(
        "event.failed", topic=record.topic, partition=record.partition, offset=record.offset, tries=tries,
        error=type(error).__name__, code=code, at="".join(places_of(error, 1)), **ours,
    )  # fmt: skip
