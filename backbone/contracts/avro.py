"""Each event as an Avro record, for subscribers whose tools take nothing else. Pure.

What goes over the wire is JSON; an Avro record has the same names and the same values, one to one, so that a bridge
needs no rules of its own. Times and dates therefore stay text: Avro's logical types could not give back a time's own
number of decimals, nor a year before 1. Amounts are exact already, as they count minor units. A closed list is an enum
where all its values are names that Avro allows; otherwise (``planning-officer``, ``00``) it is text that names its
values beside it, and so is a list that may grow.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from backbone.schema_export import event_schema
from schemas.shared import Event

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
INT_MAX: Final = 2**31 - 1
PRIMITIVES: Final = {"string": "string", "number": "double", "boolean": "boolean", "null": "null"}

Avro = str | dict[str, Any] | list[Any]


def namespace_of(event_class: type[Event]) -> str:
    """Return the namespace of an event's record and of its parts: ``org.councilbackbone.planning.v1``."""
    return f"org.councilbackbone.{event_class.family}.v{event_class.major}"


def record_of(event_class: type[Event]) -> dict[str, Any]:
    """Return an event's Avro schema; raises ValueError for a name that Avro does not allow.

    The namespace is the event's own, so that the parts of two events, which may change on different days, never meet
    under one name.
    """
    schema = event_schema(event_class)
    namespace = f"{namespace_of(event_class)}.{event_class.fact.replace('-', '_')}"
    record = _Records(schema.get("$defs", {})).record(event_class.__name__, schema)
    return {**record, "namespace": namespace, "event_type": event_class.event_type}


def as_avsc(record: Mapping[str, Any]) -> str:
    """Return the committed form. Keys keep their order: Avro reads fields in the order in which they stand."""
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


class _Records:
    """Turn definitions into records; one that was written out is named the next time."""

    def __init__(self, defs: Mapping[str, Any]) -> None:
        self.defs = defs
        self.written: set[str] = set()

    def record(self, name: str, node: Mapping[str, Any]) -> dict[str, Any]:
        self.written.add(name)
        required = set(node.get("required", ()))
        fields = [
            self.field(name, field_name, field, required=field_name in required)
            for field_name, field in node.get("properties", {}).items()
        ]
        return {"type": "record", "name": _legal(name), "doc": node.get("description", ""), "fields": fields}

    def field(self, record: str, name: str, field: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
        open_list = bool(field.get("x-open-list", False))
        kind = self.kind(f"{record}{_camel(name)}", field, open_list=open_list)
        made: dict[str, Any] = {"name": _legal(name), "type": kind}
        if field.get("description"):
            made["doc"] = field["description"]
        if not required:
            made |= _optional(kind, field.get("default"))
        made |= {key: field[f"x-{key}"] for key in ("data-category", "data-subject") if f"x-{key}" in field}
        if field.get("x-value-descriptions"):
            made["values"] = field["x-value-descriptions"]
        return made

    def kind(self, name: str, node: Mapping[str, Any], *, open_list: bool = False) -> Avro:
        if "$ref" in node:
            part = node["$ref"].rsplit("/", 1)[-1]
            return part if part in self.written else self.record(part, self.defs[part])
        if "anyOf" in node:
            return self.union(name, node["anyOf"], open_list=open_list)
        values = node.get("enum", [node["const"]] if "const" in node else None)
        if values is not None:
            return self.listed(name, values, open_list=open_list)
        match node.get("type"):
            case "array":
                return {"type": "array", "items": self.kind(f"{name}Item", node.get("items", {}))}
            case "integer":
                return "int" if _fits_int(node) else "long"
            case str(kind) if kind in PRIMITIVES:
                return PRIMITIVES[kind]
        message = f"{name}: Avro has no type for this field"
        raise ValueError(message)

    def union(self, name: str, choices: list[Mapping[str, Any]], *, open_list: bool) -> Avro:
        """Return a union with null first, so that null can be the default; equal branches are one."""
        kinds: list[Any] = []
        for choice in sorted(choices, key=lambda choice: choice.get("type") != "null"):
            kind = self.kind(name, choice, open_list=open_list)
            kinds += [branch for branch in (kind if isinstance(kind, list) else [kind]) if branch not in kinds]
        return kinds[0] if len(kinds) == 1 else kinds

    def listed(self, name: str, values: list[Any], *, open_list: bool) -> Avro:
        if open_list or not all(isinstance(value, str) and NAME.fullmatch(value) for value in values):
            return "string"
        return {"type": "enum", "name": _legal(name), "symbols": list(values)}


def _optional(kind: Avro, default: Any) -> dict[str, Any]:
    """Return what makes a field optional: its default, with a union whose first branch is the default's type."""
    if default is not None:
        return {"default": default}
    branches = kind if isinstance(kind, list) else [kind]
    null_first = ["null", *(branch for branch in branches if branch != "null")]
    return {"type": null_first if len(null_first) > 1 else "null", "default": None}


def _fits_int(node: Mapping[str, Any]) -> bool:
    low, high = node.get("minimum"), node.get("maximum")
    return low is not None and high is not None and low >= -INT_MAX and high <= INT_MAX


def _legal(name: str) -> str:
    if not NAME.fullmatch(name):
        message = f"{name} is no name that Avro allows"
        raise ValueError(message)
    return name


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
