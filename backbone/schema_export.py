"""The vocabulary as JSON Schema: generated, committed, and compared byte by byte."""

import importlib.resources
import json
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from schemas.families import FAMILIES

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
        described["examples"] = list(module.EXAMPLES[event_class])
    return {
        "$schema": DIALECT,
        "$id": f"urn:backbone:schema:{name.replace('.', ':')}",
        "title": name,
        "description": (module.__doc__ or "").strip(),
        "$comment": "What writers may send; readers pass over unknown fields. ce_type names the definition.",
        # several events have the same shape, so that data may be right for more than one of them
        "anyOf": [{"$ref": TEMPLATE.format(model=event_class.__name__)} for event_class in module.EVENTS],
        "$defs": defs,
    }


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
