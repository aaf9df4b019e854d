"""The compatibility gate: what it compares with, what it calls breaking, and how a script learns of it."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from backbone.compatibility import compare, compare_families
from backbone.contracts.files import contract_files, write_files
from backbone.contracts.released import earlier_schemas
from backbone.errors import ConfigurationError
from backbone.schema_export import family_schema
from schemas.families import FAMILIES

TODAY = date(2031, 6, 14)
FIELD: dict[str, Any] = {"type": "string", "x-data-category": "none"}


def schema(**fields: Any) -> dict[str, Any]:
    """Return a family of one event."""
    return {"$defs": {"E": {"type": "object", "properties": {"a": FIELD, **fields}, "required": ["a"]}}}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a script does."""
    return subprocess.run(
        [sys.executable, "-m", "backbone", "schemas", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({"type": "number"}, {"type": "integer"}, "type narrowed"),
        ({"type": "integer"}, {"type": "number"}, "type widened"),
        ({"type": "string"}, {"type": "integer"}, "type changed"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}]}, "type narrowed"),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "type widened"),
        ({"type": "string", "pattern": "^a"}, {"type": "string"}, "pattern widened"),
    ],
)
def test_a_type_says_which_way_it_went(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    """Narrowed or widened, the type of a field is breaking, and the author is told which and where."""
    (change,) = compare(schema(k=before), schema(k=after))
    assert (change.path, change.kind, change.breaking) == ("E.k", kind, True)


def test_a_new_major_version_beside_the_old_one_breaks_nobody() -> None:
    """A new version, and a new family, have topics of their own, whatever they hold."""
    changes = compare_families({"x.v1": schema()}, {"x.v1": schema(), "x.v2": {"$defs": {}}, "y.v1": schema()}, TODAY)
    assert [(change.family, change.kind, change.breaking) for change in changes] == [
        ("x.v2", "major version added", False), ("y.v1", "family added", False),
    ]  # fmt: skip


@pytest.mark.parametrize(("sunset", "breaking"), [(None, True), ("2031-06-14", True), ("2031-06-13", False)])
def test_a_version_goes_only_after_its_sunset(sunset: str | None, breaking: bool) -> None:  # noqa: FBT001
    """Readers of a version that is gone were told the day before which they had to move."""
    old = schema() | ({} if sunset is None else {"x-sunset": sunset})
    (change,) = compare_families({"x.v1": old, "x.v2": schema()}, {"x.v2": schema()}, TODAY)
    assert (change.kind, change.breaking) == ("version removed", breaking)


def test_every_change_of_every_family_is_reported_breaking_ones_first() -> None:
    """What must be undone stands at the top, with its family."""
    old = {"x.v1": schema(), "y.v1": schema(k=FIELD)}
    changes = compare_families(old, {"x.v1": schema(k=FIELD), "y.v1": schema()}, TODAY)
    assert [(change.family, change.path, change.breaking) for change in changes] == [
        ("y.v1", "E.k", True), ("x.v1", "E.k", False),
    ]  # fmt: skip


def test_a_folder_is_read_as_export_writes_it_and_as_a_checkout_has_it(tmp_path: Path) -> None:
    """Both layouts give every family, and nothing but families."""
    write_files(tmp_path / "exported", contract_files(FAMILIES, "jsonschema"))
    write_files(tmp_path / "checkout" / "schemas", contract_files(FAMILIES, "jsonschema"))
    (tmp_path / "checkout" / "schemas" / "planning" / "v1.released.json").write_text("{}")
    wanted = {name: family_schema(name, module) for name, module in FAMILIES.items()}
    for folder in ("exported", "checkout"):
        found = earlier_schemas(str(tmp_path / folder))
        assert found.keys() == wanted.keys()
        assert compare_families(found, wanted, TODAY) == []


def test_a_git_ref_is_read_from_history(tmp_path: Path) -> None:
    """What a tag holds is compared with, whatever the files are now."""

    def git(*arguments: str) -> None:
        named = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *named, *arguments], check=True, capture_output=True)

    file = tmp_path / "schemas" / "planning" / "v1.schema.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(schema(k=FIELD)))
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    git("tag", "first")
    file.write_text(json.dumps(schema()))
    assert earlier_schemas("first", tmp_path) == {"planning.v1": schema(k=FIELD)}


@pytest.mark.parametrize("against", ["no-such-ref", "--output=x"])
def test_what_is_neither_a_folder_nor_a_ref_is_said(against: str, tmp_path: Path) -> None:
    """A misspelt ref is the author's to mend and is never passed to git as an option."""
    with pytest.raises(ConfigurationError) as caught:
        earlier_schemas(against, tmp_path)
    assert caught.value.code == "config.no-schemas"


def test_the_gate_ends_with_1_on_a_breaking_change_and_names_it(tmp_path: Path) -> None:
    """A script sees the exit code, a person the family, the place and the reason, a program one object a change."""
    write_files(tmp_path, contract_files(FAMILIES, "jsonschema"))
    assert command("check", "--against", str(tmp_path)).returncode == 0
    path = tmp_path / "planning" / "v1.schema.json"
    older = json.loads(path.read_text())
    older["$defs"]["ApplicationDecided"]["properties"]["gone"] = {"type": "string"}
    del older["$defs"]["Decision"]["properties"]["label"]
    path.write_text(json.dumps(older))
    ran = command("check", "--against", str(tmp_path))
    assert ran.returncode == 1
    assert "planning.v1 breaking: ApplicationDecided.gone: field removed" in ran.stderr
    assert "planning.v1 compatible: Decision.label: optional field added" in ran.stderr
    ran = command("check", "--against", str(tmp_path), "--json")
    changes = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {(change["path"], change["breaking"]) for change in changes} == {
        ("ApplicationDecided.gone", True), ("Decision.label", False),
    }  # fmt: skip
    assert command("check", "--against", "no-such-ref").returncode == 2


def test_export_writes_one_format_or_all(tmp_path: Path) -> None:
    """Without a format each has a folder of its own; with one its files lie in the folder itself."""
    assert command("export", str(tmp_path / "all")).returncode == 0
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
        "jsonschema", "asyncapi", "avro", "csv-datadictionary",
    }  # fmt: skip
    assert command("export", str(tmp_path / "one"), "--format", "csv-datadictionary").returncode == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["data-dictionary.csv"]
    assert command("export", str(tmp_path / "none"), "--format", "xml").returncode != 0
