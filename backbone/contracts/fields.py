"""The fields of an event as a flat list, for people: the data dictionary and the catalogue. Pure.

It is read from the JSON Schema, so that nothing that is shown can differ from what is checked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_origin

from pydantic import TypeAdapter

from backbone.schema_export import event_schema
from schemas.shared import Event, types

ACRONYMS: Final = frozenset({"bs", "epsg", "gss", "id", "iso", "lgsl", "nhs", "uprn", "url", "usrn", "utc"})
WORDS: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "yes or no", "null": "none"}
LONGER: Final = {"ref": "reference"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event, or of a part of it: ``documents[].url`` is a field of each part of a list.

    ``required`` is within its part. ``values`` maps each value of a closed list to what it means.
    """

    path: str
    kind: str
    required: bool
    category: str
    subject: str
    description: str
    values: Mapping[str, str]
    open_list: bool

    @property
    def depth(self) -> int:
        """Return how deep the field lies: 0 for the event's own."""
        return self.path.count(".")


@cache
def fields_of(event_class: type[Event]) -> tuple[Field, ...]:
    """Return every field of an event in the order of its model, each followed by the fields of its part."""
    schema = event_schema(event_class)
    return tuple(_fields(schema, schema.get("$defs", {}), "", ()))


def _fields(node: Mapping[str, Any], defs: Mapping[str, Any], prefix: str, within: tuple[str, ...]) -> Iterator[Field]:
    required = set(node.get("required", ()))
    for name, field in node.get("properties", {}).items():
        alternatives = _alternatives(field)
        held = [part for alternative in alternatives for part in _parts(alternative)]
        listed = any("items" in alternative for alternative in alternatives)
        path = f"{prefix}{name}"
        yield Field(
            path=path,
            kind=" or ".join(dict.fromkeys(_kind(alternative) for alternative in alternatives)),
            required=name in required,
            category=field.get("x-data-category", "none"),
            subject=field.get("x-data-subject", ""),
            description=field.get("description", ""),
            values=_values(field),
            open_list=field.get("x-open-list", False),
        )
        for part in held:
            if part not in within:
                inner = f"{path}[]." if listed else f"{path}."
                yield from _fields(defs[part], defs, inner, (*within, part))


def _values(field: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a list and what they mean, in the order in which the list names them."""
    meanings = field.get("x-value-descriptions", {})
    named = [value for place in (field, *field.get("anyOf", ())) for value in place.get("enum", ())]
    return {value: meanings[value] for value in (*named, *meanings) if value in meanings}


def _alternatives(field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a field may hold, without the null that only says that it may be absent."""
    choices = field.get("anyOf", [field])
    return [choice for choice in choices if choice.get("type") != "null"] or [{"type": "null"}]


def _parts(node: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in node:
        yield node["$ref"].rsplit("/", 1)[-1]
    for choice in (node["items"],) if "items" in node else node.get("anyOf", ()):
        yield from _parts(choice)


def _kind(node: Mapping[str, Any]) -> str:
    """Return a type in words: the name of a shared type, of a part, or of the JSON type with its bounds."""
    if "$ref" in node:
        return _words(node["$ref"].rsplit("/", 1)[-1])
    if "items" in node:
        return f"list of {_kind(node['items'])}"
    if "anyOf" in node:
        return " or ".join(_kind(choice) for choice in node["anyOf"])
    if "enum" in node or "const" in node:
        return "one of a list"
    if "pattern" in node:
        return _named_patterns().get(json.dumps(node["pattern"]), "text of a set form")
    kind = WORDS.get(node.get("type", ""), "any")
    return f"{kind}, {bounds}" if (bounds := _bounds(node)) else kind


def _bounds(node: Mapping[str, Any]) -> str:
    if "maxLength" in node:
        return f"at most {node['maxLength']:,} characters"
    low, high = node.get("minimum", node.get("exclusiveMinimum")), node.get("maximum", node.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{low:g} to {high:g}" if isinstance(low, float) else f"{low} to {high}"
    return "" if low is None and high is None else f"at least {low}" if high is None else f"at most {high}"


@cache
def _named_patterns() -> dict[str, str]:
    """Return the shared types' names by their patterns, so that a UPRN is called one wherever it stands."""
    named: dict[str, str] = {}
    for name, value in vars(types).items():
        if name.startswith("_") or get_origin(value) is None:
            continue
        pattern = TypeAdapter(value).json_schema().get("pattern")
        if pattern is not None:
            named.setdefault(json.dumps(pattern), _words(name))
    return named


def _words(name: str) -> str:
    """Return a class name as people write it: ``UtcTimestamp`` is "UTC timestamp"."""
    words = [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*|[a-z0-9]+", name.removesuffix("Text"))]
    return " ".join(word.upper() if word in ACRONYMS else LONGER.get(word, word) for word in words)
