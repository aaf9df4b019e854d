"""`backbone catalogue`: the vocabulary as a static site."""

import importlib
from pathlib import Path
from typing import Final

from cyclopts import App

from backbone.adapter import AnyAdapter
from backbone.catalogue.build import build
from backbone.catalogue.coverage import Source, measure
from backbone.cli import output
from backbone.errors import ConfigurationError
from schemas.families import FAMILIES

ADAPTERS: Final = "adapters"
CASES: Final = "adapters.cases"

app = App(name="catalogue", help="The vocabulary as pages that people can read.")


@app.command(name="build")
def build_(folder: Path) -> int:
    """Write the catalogue as a static site that opens from a folder, without a server or a network.

    Parameters
    ----------
    folder
        Where to write; it is made where it is not there, and must be empty or hold an earlier catalogue.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "index.html").is_file())):
        message = f"{folder} holds something else"
        raise ConfigurationError(message, code="config.exists", guidance="name a folder that is empty or not there")
    written = build(folder, FAMILIES, sources())
    output.say(f"{len(written)} files written; open {folder / 'index.html'}", "green")
    return 0


def sources() -> list[Source]:
    """Return what the built-in adapters send, measured by their cases.

    Imports run from adapters to here, so that they are asked for by name.
    """
    adapters: tuple[AnyAdapter, ...] = importlib.import_module(ADAPTERS).ADAPTERS
    folders: dict[str, Path] = importlib.import_module(CASES).FOLDERS
    return [measure(adapter, folders.get(adapter.name), _about(adapter)) for adapter in adapters]


def _about(adapter: AnyAdapter) -> str:
    """Return the first line of the docstring of the module that translates."""
    module = importlib.import_module(adapter.translate.__module__)
    return (module.__doc__ or "").strip().split("\n", 1)[0]
