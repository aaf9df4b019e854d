"""The vocabulary as JSON Schema: generated, committed, and compared byte by byte."""

import copy
import importlib
import importlib.resources
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from schemas.families import FAMILIES
from schemas.shared import Event

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE: Final = "#/$defs/{model}"


def family_schema(name: str, module: ModuleType) -> dict[str, Any]:
    """Return a family's JSON Schema 2020-12: one definition an event, and each event's type and examples beside it."""
    _, definitions = models_json_schema(
        [(event_class, "validation") for event_class in module.EVENTS], ref_template=TEMPLATE, title=name
    )
    defs = definitions["$defs"]
    for event_class in module.EVENTS:
        described = defs[event_class.__name__]
        described["x-event-type"] = event_class.event_type
        described["x-classification"] = event_class.classification
        described["examples"] = list(examples_of(module, event_class))
    sunset = sunset_of(module)
    return {
        "$schema": DIALECT,
        "$id": f"urn:backbone:schema:{name.replace('.', ':')}",
        "title": name,
        "description": (module.__doc__ or "").strip(),
        "$comment": "What writers may send; readers pass over unknown fields. ce_type names the definition.",
        # several events have the same shape, so that data may be right for more than one of them
        "anyOf": [{"$ref": TEMPLATE.format(model=event_class.__name__)} for event_class in module.EVENTS],
        "$defs": defs,
        **({"x-sunset": sunset} if sunset else {}),
    }


@cache
def event_schema(event_class: type[Event]) -> dict[str, Any]:
    """Return one event's JSON Schema 2020-12 with the parts that it needs; its fields keep the model's order."""
    family = _family(f"{event_class.family}.v{event_class.major}")
    own = copy.deepcopy(family["$defs"][event_class.__name__])
    parts = sorted(_needed(own, family["$defs"], set()))
    return {
        "$schema": DIALECT,
        "$id": event_class.dataschema,
        "$comment": f"The data of {event_class.event_type}; readers pass over unknown fields.",
        **own,
        **({"$defs": {part: family["$defs"][part] for part in parts}} if parts else {}),
    }


@cache
def _family(name: str) -> dict[str, Any]:
    return family_schema(name, FAMILIES[name])


def _needed(node: Any, defs: Mapping[str, Any], found: set[str]) -> set[str]:
    """Return the names of the definitions that a node leads to."""
    for reference in _references(node):
        if reference not in found:
            found.add(reference)
            _needed(defs[reference], defs, found)
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value.rsplit("/", 1)[-1]
            elif name != "examples":
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def examples_of(module: ModuleType, event_class: type[Event]) -> Sequence[dict[str, Any]]:
    """Return an event's examples: the module's own ``EXAMPLES``, else those of ``examples.py`` beside it."""
    found = getattr(module, "EXAMPLES", None)
    if found is None:
        found = importlib.import_module(f"{module.__package__}.examples").EXAMPLES
    examples: Sequence[dict[str, Any]] = found[event_class]
    return examples


def sunset_of(module: ModuleType) -> str:
    """Return the date (ISO 8601) until which a major version is published, or nothing where none is set."""
    return str(getattr(module, "SUNSET", None) or "")


def as_text(schema: dict[str, Any]) -> str:
    """Return the committed form: sorted keys, two spaces, one newline at the end."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def file_of(name: str) -> str:
    """Return where a family's schema lies: ``servicerequests/v1.schema.json``."""
    return f"{name.replace('.', '/')}.schema.json"


def export(folder: Path) -> list[Path]:
    """Write every family's schema below a folder; return the files."""
    written = []
    for name, module in FAMILIES.items():
        path = folder / file_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(family_schema(name, module)), encoding="utf-8")
        written.append(path)
    return written


def committed(name: str, kind: str = "schema") -> dict[str, Any] | None:
    """Return the schema that ships beside a family: ``schema`` as it is now, ``released`` as it last was."""
    file = importlib.resources.files("schemas").joinpath(file_of(name).replace(".schema.", f".{kind}."))
    if not file.is_file():
        return None
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def drift() -> list[str]:
    """Return the families whose committed schema is not, byte for byte, what their module gives."""
    folder = importlib.resources.files("schemas")
    stale = []
    for name, module in FAMILIES.items():
        file = folder.joinpath(file_of(name))
        if not file.is_file() or file.read_bytes() != as_text(family_schema(name, module)).encode():
            stale.append(name)
    return stale


def release_all() -> None:
    """Make the committed schemas of a checkout the released ones."""
    folder = Path(str(importlib.resources.files("schemas")))
    for name in FAMILIES:
        released = folder / file_of(name).replace(".schema.", ".released.")
        released.write_text((folder / file_of(name)).read_text(encoding="utf-8"), encoding="utf-8")
