"""Records of a partition sorted for the engine: what handlers want, what nobody wants, what is no event. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from backbone.subscriber.errors import UnreadableError
from backbone.subscriber.event import check_envelope, check_type, header
from backbone.subscriber.routes import Route, Routes
from backbone.subscriber.work import PartitionRun, Work

JSON: Final = b"application/json"
VERSION: Final = ("ce_specversion", b"1.0")


class Intake:
    """Sort records by the handlers that want them, without parsing anything."""

    def __init__(self, routes: Routes) -> None:
        """Take the handlers."""
        self._routes = routes
        self._plain = routes.plain()

    def sort(self, run: PartitionRun, records: Sequence[Any]) -> tuple[list[Any], list[int]]:
        """Return items for the engine in order, and the offsets of what nobody wants.

        An item is (run, record, handlers), a list of Work for a handler of batches, or Work for a record that is no
        event and will be set aside.
        """
        plain = self._plain
        ready: list[Any] = []
        batches: dict[int, list[Work]] = {}
        unwanted: list[int] = []
        # whoever writes a topic writes the headers in one order: they are looked for where the first record has them
        names = [name for name, _ in records[0].headers] if records else []
        id_at = names.index("ce_id") if "ce_id" in names else 0
        version_at = names.index("ce_specversion") if "ce_specversion" in names else 0
        last = max(id_at, version_at)
        for record in records:
            headers = record.headers
            event_type = content_type = None
            for name, value in headers:
                if name == "ce_type":
                    event_type = value
                    break
                if name == "content-type":
                    content_type = value
            routes: Sequence[Route] = plain.get(event_type) or self._routes.wanting(record.topic, headers)
            if not routes:
                if event_type in self._routes.by_type or not _is_unreadable(event_type, headers):
                    unwanted.append(record.offset)
                else:
                    ready.append(Work(run, record, routes))
            elif (content_type != JSON and not _is_json(headers)) or not (
                (len(headers) > last and headers[id_at][0] == "ce_id" and headers[id_at][1]
                 and headers[version_at] == VERSION)
                or _is_enveloped(headers)
            ):  # fmt: skip
                ready.append(Work(run, record, ()))
            elif routes[0].batch:
                batch = batches.get(id(routes[0]))
                if batch is None or len(batch) >= routes[0].batch:
                    batch = batches[id(routes[0])] = []
                    ready.append(batch)
                batch.append(Work(run, record, routes))
            else:
                ready.append((run, record, routes))
        return ready, unwanted


def _is_enveloped(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Say whether the envelope has what every event must have."""
    try:
        check_envelope(headers)
    except UnreadableError:
        return False
    return True


def check_readable(record: Any, routes: Sequence[Route]) -> None:
    """Raise UnreadableError for a record that is no event, or that no handler takes."""
    check_type(header(record.headers, "ce_type"), header(record.headers, "content-type"))
    check_envelope(record.headers)
    if not routes:
        message = "no handler takes the event any more"
        guidance = "register a handler for it, or discard the letter"
        raise UnreadableError(message, code="event.unwanted", guidance=guidance)


def _is_json(headers: Sequence[tuple[str, bytes]]) -> bool:
    found = header(headers, "content-type")
    return found is None or found.startswith(JSON)


def _is_unreadable(event_type: bytes | None, headers: Sequence[tuple[str, bytes]]) -> bool:
    """Say whether a record that no handler asks for must be looked at: no event, or of a major that is not known."""
    try:
        check_type(event_type, header(headers, "content-type"))
    except UnreadableError as error:
        return error.code != "event.unknown-type"
    return False
