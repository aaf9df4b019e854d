"""Records of a partition sorted for the engine: what handlers want, what nobody wants, what is no event. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from backbone.kafka.fetched import FetchedRecord, Head
from backbone.subscriber.errors import UnreadableError
from backbone.subscriber.event import check_envelope, check_type, header
from backbone.subscriber.routes import Route, Routes
from backbone.subscriber.work import PartitionRun, Stretch, Work

JSON: Final = b"application/json"
VERSION: Final = ("ce_specversion", b"1.0")
NOBODY: Final[Sequence[Route]] = []
"""Of what no handler wants."""
NO_EVENT: Final[Sequence[Route]] = []
"""Of what is no event."""


class Intake:
    """Sort records by the handlers that want them, without parsing anything that is not needed for that."""

    def __init__(self, routes: Routes) -> None:
        """Take the handlers."""
        self._routes = routes
        self._plain = routes.plain()

    def sort(self, run: PartitionRun, records: Sequence[Any]) -> tuple[list[Any], list[int]]:
        """Return items for the engine in order, and the offsets of what nobody wants.

        An item is a Stretch, a list of Work for a handler of batches, or Work for a record that is no event and will be
        set aside.
        """
        ready: list[Any] = []
        stretch: Stretch | None = None
        batches: dict[int, list[Work]] = {}
        unwanted: list[int] = []
        known: Head | None = None
        alike: Sequence[Route] | None = None
        for record in records:
            # what records of one type and source share is looked at once for all that come together
            if record.__class__ is FetchedRecord:
                head = record.head
                if head is not known:
                    known, alike = head, self._wanted_by_all(head)
            else:
                known = alike = None
            if alike is NOBODY:
                unwanted.append(record.offset)
                continue
            routes = alike if alike is not None and record.has_id() else self._wanted(record)
            if routes is NOBODY:
                unwanted.append(record.offset)
            elif not routes:
                ready.append(Work(run, record, ()))
            elif routes[0].batch:
                batch = batches.get(id(routes[0]))
                if batch is None or len(batch) >= routes[0].batch:
                    batch = batches[id(routes[0])] = []
                    ready.append(batch)
                batch.append(Work(run, record, routes))
            else:
                if stretch is None or routes is not stretch.routes or ready[-1] is not stretch:
                    stretch = Stretch(run, routes)
                    ready.append(stretch)
                stretch.gathered.append(record)
        return ready, unwanted

    def _wanted_by_all(self, head: Head) -> Sequence[Route] | None:
        """Return the handlers of every record that begins so and has an id, or None where each is to be looked at."""
        if head.content_type != JSON or VERSION not in head.headers or head.event_type is None:
            return None
        if head.event_type not in self._routes.by_type and not _is_unreadable(head.event_type, head.headers):
            return NOBODY
        return self._plain.get(head.event_type)

    def _wanted(self, record: Any) -> Sequence[Route]:
        """Return the handlers of a record: none for one that is no event, NOBODY for one that is not for us."""
        headers = record.headers
        event_type = header(headers, "ce_type")
        routes = self._plain.get(event_type) or self._routes.wanting(record.topic, headers)
        if not routes:
            is_event = event_type in self._routes.by_type or not _is_unreadable(event_type, headers)
            return NOBODY if is_event else NO_EVENT
        content_type = header(headers, "content-type")
        if content_type is not None and not content_type.startswith(JSON):
            return NO_EVENT
        try:
            check_envelope(headers)
        except UnreadableError:
            return NO_EVENT
        return routes


def check_readable(record: Any, routes: Sequence[Route]) -> None:
    """Raise UnreadableError for a record that is no event, or that no handler takes."""
    check_type(header(record.headers, "ce_type"), header(record.headers, "content-type"))
    check_envelope(record.headers)
    if not routes:
        message = "no handler takes the event any more"
        guidance = "register a handler for it, or discard the letter"
        raise UnreadableError(message, code="event.unwanted", guidance=guidance)


def _is_unreadable(event_type: bytes | None, headers: Sequence[tuple[str, bytes]]) -> bool:
    """Say whether a record that no handler asks for must be looked at: no event, or of a major that is not known."""
    try:
        check_type(event_type, header(headers, "content-type"))
    except UnreadableError as error:
        return error.code != "event.unknown-type"
    return False
