"""How commands speak: data on standard output, talk on standard error; tables for people, JSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from backbone.errors import BackboneError, places_of
from backbone.problems import InvalidDeploymentError

SCHEMA_VERSION: Final = 1
STYLES: Final = {
    "OK": "green", "complete": "green", "published": "green", "create": "green",
    "duplicate": "cyan", "skipped": "cyan", "PAUSED": "cyan", "redriven": "cyan", "change": "yellow",
    "HELD": "yellow", "held": "yellow", "LATE": "yellow", "aborted": "yellow",
    "rejected": "red", "STUCK": "red", "FAILING": "red", "refuse": "red",
}  # fmt: skip

talk = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """Tell a person something that is not data."""
    talk.print(text, style=style or None, markup=False)


def json_line(content: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    sys.stdout.write(orjson.dumps(content).decode() + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Print a table: with lines and colours on a terminal, tab-separated when piped."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_styled(str(cell)) for cell in row))
    Console(highlight=False).print(made)


def _styled(cell: str) -> str:
    style = STYLES.get(cell)
    escaped = cell.replace("[", r"\[")
    return f"[{style}]{escaped}[/{style}]" if style else escaped


def problem(error: BackboneError) -> None:
    """Print a problem that is the user's to mend: what, code, what to do; never a trace."""
    if isinstance(error, InvalidDeploymentError):
        for fault in error.problems:
            say(str(fault))
    say(f"error {error.code}: {error.message}", "red")
    if error.guidance:
        say(f"  what to do: {error.guidance}")


def ours(error: BaseException) -> None:
    """Say that a problem is a fault of Backbone itself; its text may hold data and is not shown."""
    place = "".join(places_of(error, 1))
    say(f"error internal.error: unexpected {type(error).__name__} at {place}; this is a fault of Backbone", "red")
    say("  what to do: run the command again with --debug and report the trace, without any record's data")
