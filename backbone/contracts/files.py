"""Every generated contract as a file: what `export` writes, what is committed, and whether the two are the same."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, Literal

import schemas
from backbone.contracts.asyncapi import backbone_document, family_document
from backbone.contracts.avro import as_avsc, record_of
from backbone.contracts.dictionary import data_dictionary
from backbone.schema_export import as_text, event_schema, family_schema, file_of

Format = Literal["jsonschema", "asyncapi", "avro", "csv-datadictionary"]
Files = dict[str, str]
"""Contents by path below the folder, with ``/`` on every platform."""


def _json_schemas(families: Mapping[str, ModuleType]) -> Files:
    files = {}
    for name, module in families.items():
        files[file_of(name)] = as_text(family_schema(name, module))
        for event in module.EVENTS:
            files[f"{name.replace('.', '/')}/{event.fact}.schema.json"] = as_text(event_schema(event))
    return files


def _asyncapi(families: Mapping[str, ModuleType]) -> Files:
    each = {f"{name}.asyncapi.json": as_text(family_document(name, module)) for name, module in families.items()}
    return {"backbone.asyncapi.json": as_text(backbone_document(families)), **each}


def _avro(families: Mapping[str, ModuleType]) -> Files:
    return {
        f"{name.replace('.', '/')}/{event.fact}.avsc": as_avsc(record_of(event))
        for name, module in families.items()
        for event in module.EVENTS
    }


def _dictionary(families: Mapping[str, ModuleType]) -> Files:
    return {"data-dictionary.csv": data_dictionary(families)}


FORMATS: Final[dict[Format, Callable[[Mapping[str, ModuleType]], Files]]] = {
    "jsonschema": _json_schemas,
    "asyncapi": _asyncapi,
    "avro": _avro,
    "csv-datadictionary": _dictionary,
}


def contract_files(families: Mapping[str, ModuleType], kind: Format) -> Files:
    """Return the files of one format."""
    return FORMATS[kind](families)


def write_files(folder: Path, files: Files) -> list[Path]:
    """Write files below a folder, always with newlines alone; return where."""
    written = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def committed_folder() -> Path | None:
    """Return the checkout's ``contracts`` folder; None where Backbone is installed and no checkout is there."""
    root = Path(schemas.__file__).parent.parent
    return root / "contracts" if (root / "pyproject.toml").is_file() else None


def differing(folder: Path, families: Mapping[str, ModuleType]) -> list[str]:
    """Return the files below a folder that are not, byte for byte, what is generated; surplus ones too."""
    stale = []
    for kind in FORMATS:
        wanted = contract_files(families, kind)
        there = {path.relative_to(folder / kind).as_posix() for path in (folder / kind).rglob("*") if path.is_file()}
        stale += [f"{kind}/{name}" for name in sorted(there - wanted.keys())]
        for name, text in wanted.items():
            path = folder / kind / name
            if not path.is_file() or path.read_bytes() != text.encode():
                stale.append(f"{kind}/{name}")
    return stale


def write_committed(folder: Path, families: Mapping[str, ModuleType]) -> list[Path]:
    """Write every contract of a checkout anew, and delete the ones that nothing generates any more."""
    written = []
    for kind in FORMATS:
        wanted = contract_files(families, kind)
        for path in sorted((folder / kind).rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(folder / kind).as_posix() not in wanted:
                path.unlink()
        written += write_files(folder / kind, wanted)
    return written
