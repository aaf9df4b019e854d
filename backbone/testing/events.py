"""Events of a made-up case as records of their topic, for tests of subscribers."""

from collections.abc import Iterable
from itertools import count
from typing import Any

from backbone.event import Encoder, Origin, record_digest, record_key
from backbone.packed import Message, packed_headers, unpack
from backbone.secret import Secret
from schemas.shared import Event

RECORDED = ("ce_recordedtime", b"2031-06-14T08:05:01.000Z")


class Publisher:
    """Encode events as an organisation's feed does: one record each, with ids and sequences of their own."""

    def __init__(self, organisation: str, system: str = "toy", *, late: bool = False) -> None:
        """Say who speaks."""
        self.organisation = organisation
        self._origin = Origin(organisation, system, case_secret=Secret("of tests"))
        self._digest = record_digest(organisation, system)
        self._numbers = count(1)
        self._late = late

    def message(self, event: Event, **attributes: str) -> tuple[str, Message]:
        """Return the topic and the record of an event; ``attributes`` are added to its envelope."""
        number = next(self._numbers)
        encoder = Encoder(
            self._origin, [type(event)], ordinal=1, traceparent=f"00-{number:032x}-{1:016x}-01", late=self._late
        )
        identity = f"{type(event).__name__}/{event.case_ref}/{number}".encode()
        topic, _, packed = encoder.encode(event, record_key(self._digest, identity), number, 0, 0)
        key, value, headers = unpack(packed + packed_headers([RECORDED]))
        added = [(f"ce_{name}", content.encode()) for name, content in attributes.items()]
        return topic, (key, value, [*headers, RECORDED, *added])

    def messages(self, events: Iterable[Event], **attributes: Any) -> list[tuple[str, Message]]:
        """Return the records of events."""
        return [self.message(event, **attributes) for event in events]
