"""`backbone schemas`: export the vocabulary, and check that it may be released as it is."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

from cyclopts import App

from backbone.cli import output
from backbone.compatibility import compare
from backbone.schema_export import committed, drift, export, family_schema, file_of
from schemas.families import FAMILIES

app = App(name="schemas", help="The common vocabulary as JSON Schema.")


@app.command(name="export")
def export_(folder: Path) -> int:
    """Write every family's JSON Schema below a folder.

    Parameters
    ----------
    folder
        Where to write; `schemas` in a checkout writes the committed files anew.
    """
    for path in export(folder):
        output.say(str(path))
    return 0


@app.command
def check(*, against: Path | None = None, release: bool = False) -> int:
    """Check that committed schemas are what the modules give, and that no change since the release breaks anybody.

    Parameters
    ----------
    against
        A folder with schemas of an earlier release, as `export` writes them; by default the release that ships.
    release
        Write the schemas of today as the released ones: part of making a release.
    """
    stale = drift()
    for name in stale:
        output.say(f"{name}: the committed schema is not what the module gives; run `backbone schemas export schemas`")
    breaking = 0
    for name, module in FAMILIES.items():
        old = _earlier(name, against)
        if old is None:
            continue
        for change in compare(old, family_schema(name, module)):
            breaking += change.breaking
            kind = "breaking" if change.breaking else "compatible"
            output.say(f"{name} {kind}: {change.path}: {change.kind} ({change.reason})")
    if release and not stale and not breaking:
        for name in FAMILIES:
            folder = importlib.resources.files("schemas")
            released = Path(str(folder.joinpath(file_of(name).replace(".schema.", ".released."))))
            released.write_text(Path(str(folder.joinpath(file_of(name)))).read_text(encoding="utf-8"), encoding="utf-8")
    if not stale and not breaking:
        output.say(f"{len(FAMILIES)} families: committed schemas are current, and no change breaks anybody", "green")
    return 1 if stale or breaking else 0


def _earlier(name: str, against: Path | None) -> dict[str, Any] | None:
    if against is None:
        return committed(name, "released")
    path = against / file_of(name)
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
