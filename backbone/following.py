"""Reading a topic for ever, and saying so where it cannot be read: once a cause in the log, and as a stall."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import structlog

from backbone.errors import BackboneError, TransientError
from backbone.kafka.readers import CONNECTING, From, TopicRecord
from backbone.waiting import Reason, Wait, Waits

PAUSE_SECS: Final = 1.0

log = structlog.get_logger(__name__)


class Followed(Protocol):
    """What can be followed."""

    def follow(self, topic: str, *, begin: From, attached: Callable[[], None]) -> AsyncIterator[TopicRecord]:
        """Yield a topic's records for ever; call ``attached`` when they are being read."""
        ...


class _Attachment:
    """Whether a topic is being read, and what keeps it from that."""

    def __init__(self, topic: str, waits: Waits) -> None:
        self._topic = topic
        self._waits = waits
        self._wait: Wait | None = None
        self._said = ""

    def missing(self) -> Wait:
        """Wait to be attached, since now if we were."""
        self._wait = self._wait or self._waits.begin(CONNECTING)
        return self._wait

    def failed(self, error: BackboneError) -> None:
        """Show at once what is wrong; log it once, unless it is the broker, of which every feed tells."""
        wait = self.missing()
        wait.reason = Reason(error.code, f"{self._topic} to be readable: {error.message}", error.guidance)
        wait.patience_secs = 0.0
        if error.code not in {self._said, CONNECTING.code}:
            log.warning("topic.unread", topic=self._topic, code=error.code, message=error.message)
        self._said = error.code

    def attached(self) -> None:
        """Note that it is being read."""
        if self._wait is not None:
            self._waits.end(self._wait)
        self._wait, self._said = None, ""


async def follow(
    broker: Followed, topic: str, take: Callable[[TopicRecord], None], waits: Waits, begin: Callable[[], From]
) -> None:
    """Give every record of a topic to ``take``, for ever; ``begin`` says where, each time that it is begun anew.

    While the topic cannot be read, that is among ``waits`` with the cause's code. A record that ``take`` cannot read
    is logged and passed over: it must not stop those behind it.
    """
    attachment = _Attachment(topic, waits)
    while True:
        attachment.missing()
        try:
            async for record in broker.follow(topic, begin=begin(), attached=attachment.attached):
                try:
                    take(record)
                except ValueError as error:
                    kind = type(error).__name__  # its text may hold what was written there
                    log.error("topic.record-unreadable", topic=topic, offset=record.offset, error=kind)  # noqa: TRY400
            raise TransientError(f"{topic} is missing", code="topic.missing", guidance="run `backbone topics apply`")
        except BackboneError as error:
            attachment.failed(error)
        await asyncio.sleep(PAUSE_SECS)
