"""Events to be checked, from lines of JSON or from Kafka records. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from backbone.conformance_rules import ABSENT, Received

LINE_MAX_BYTES = 1_048_576


def from_lines(lines: Iterable[bytes], name: str) -> Iterator[Received]:
    """Yield an event for each line that is not blank: structured mode, its data as an object or as that one's text."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _from_line(line, f"{name}:{number}")


def _from_line(line: bytes, place: str) -> Received:
    if len(line) > LINE_MAX_BYTES:
        return _unreadable(f"a line of more than {LINE_MAX_BYTES:,} bytes", place)
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _unreadable("a line that is not JSON", place)
    if not isinstance(content, dict):
        return _unreadable("a line that is not a JSON object", place)
    if "specversion" not in content and "type" not in content:
        return _unreadable("a JSON object that is no CloudEvent in structured mode", place)
    data = content.pop("data", ABSENT)
    if "data_base64" in content:
        return _unreadable("an event with binary data; the backbone's is JSON", place)
    return Received(_texts(content), _parsed(data), place)


def from_record(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], place: str) -> Received:
    """Return the event of a Kafka record, in binary or structured mode; one without a value is a tombstone."""
    attributes = {name: content.decode(errors="replace") for name, content in headers}
    readable_key = key.decode(errors="replace") if key is not None else ""
    if attributes.get("content-type", "").startswith("application/cloudevents"):
        found = _from_line(value or b"", place)
        return replace(found, key=readable_key)
    ours = {name.removeprefix("ce_"): content for name, content in attributes.items() if name.startswith("ce_")}
    if "content-type" in attributes:
        ours["datacontenttype"] = attributes["content-type"]
    others = {name: text for name, text in attributes.items() if not name.startswith("ce_") and name != "content-type"}
    if value is None:
        return Received(ours, None, place, readable_key, headers=others)
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        return Received({}, ABSENT, place, readable_key, "a record whose value is not JSON")
    return Received(ours, data, place, readable_key, headers=others)


def _unreadable(why: str, place: str) -> Received:
    return Received({}, ABSENT, place, unreadable=why)


def _texts(content: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in content.items()
        if value is not None
    }


def _parsed(data: Any) -> Any:
    if not isinstance(data, str):
        return data
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data
