"""Schemas of an earlier time, to compare with: the release that ships, a folder, or a git ref of this checkout."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import schemas
from backbone.errors import ConfigurationError
from backbone.schema_export import committed
from schemas.families import FAMILIES

FILE: Final = re.compile(r"(?:.*/)?(?P<family>[a-z]+)/(?P<major>v[0-9]+)\.(?P<kind>schema|released)\.json")


CHECKOUT: Final = Path(schemas.__file__).parent.parent


def earlier_schemas(against: str | None, checkout: Path = CHECKOUT) -> dict[str, dict[str, Any]]:
    """Return family schemas by name (``planning.v1``).

    ``against`` is a folder, as `export --format jsonschema` writes it or a checkout's, else a git ref of ``checkout``;
    without it, the released schemas that ship. Raises ConfigurationError where nothing is found.
    """
    if against is None:
        shipped = {name: committed(name, "released") for name in FAMILIES}
        return {name: schema for name, schema in shipped.items() if schema is not None}
    folder = Path(against)
    found = _of_folder(folder) if folder.is_dir() else _of_ref(checkout, against)
    if not found:
        message = f"{against} holds no schemas of families"
        guidance = "name a folder that `backbone schemas export --format jsonschema` wrote, or a git ref"
        raise ConfigurationError(message, code="config.no-schemas", guidance=guidance)
    return found


def _of_folder(folder: Path) -> dict[str, dict[str, Any]]:
    within = folder / "schemas" if (folder / "schemas").is_dir() else folder
    named = _named(path.relative_to(within).as_posix() for path in within.glob("*/v*.json"))
    return {name: json.loads((within / path).read_text(encoding="utf-8")) for name, path in named.items()}


def _of_ref(root: Path, ref: str) -> dict[str, dict[str, Any]]:
    listed = _git(root, ref, "ls-tree", "-r", "--name-only", ref, "--", "schemas")
    named = _named(listed.splitlines())
    return {name: json.loads(_git(root, ref, "show", f"{ref}:{path}")) for name, path in named.items()}


def _named(paths: Iterable[str]) -> dict[str, str]:
    """Return the schema files by family and major version; what was released at that time does not count."""
    matches = (FILE.fullmatch(path) for path in sorted(paths))
    return {
        f"{match['family']}.{match['major']}": match.string for match in matches if match and match["kind"] == "schema"
    }


def _git(root: Path, ref: str, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None or ref.startswith("-"):
        message = f"{ref} is no folder" + (", and git is not installed" if git is None else "")
        raise ConfigurationError(message, code="config.no-schemas", guidance="name a folder or a git ref")
    ran = subprocess.run([git, "-C", str(root), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode != 0:
        message = f"{ref} is neither a folder nor a ref of the checkout in {root}"
        raise ConfigurationError(message, code="config.no-schemas", guidance="name a folder or a git ref")
    return ran.stdout
