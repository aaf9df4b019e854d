"""Which events each adapter can send, and which of their fields it fills: measured by running its own cases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from backbone.adapter import AnyAdapter
from backbone.event import structured
from backbone.testing.cases import load_cases, run_case
from schemas.shared import Event


@dataclass(frozen=True, slots=True)
class Source:
    """One adapter: the events that it may send, and for each the paths of fields that its cases fill.

    ``filled`` has no entry for an event that no case gives; ``cases`` is how many there are.
    """

    name: str
    version: str
    about: str
    emits: tuple[type[Event], ...]
    filled: Mapping[type[Event], frozenset[str]]
    cases: int


def measure(adapter: AnyAdapter, folder: Path | None, about: str = "") -> Source:
    """Run an adapter's cases and return what came out; without a folder of cases, only what it declares."""
    by_type = {event.event_type: event for event in adapter.emits}
    filled: dict[type[Event], set[str]] = {}
    cases = [] if folder is None else load_cases(folder)
    for case in cases:
        for result in run_case(adapter, case).results:
            for _, message in result.events:
                event = structured(message)
                paths = filled.setdefault(by_type[str(event["type"])], set())
                paths.update(_paths(orjson.loads(str(event["data"])), ""))
    return Source(
        adapter.name, adapter.version, about, adapter.emits,
        {event: frozenset(paths) for event, paths in filled.items()}, len(cases),
    )  # fmt: skip


def _paths(data: Any, prefix: str) -> Iterator[str]:
    """Yield the path of every field that is there, as the field list spells it: ``documents[].url``."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield f"{prefix}{name}"
            yield from _paths(value, f"{prefix}{name}.")
    elif isinstance(data, list):
        for value in data:
            yield from _paths(value, f"{prefix.removesuffix('.')}[].")


def feeding(sources: Sequence[Source], event: type[Event]) -> list[Source]:
    """Return the sources that can send an event."""
    return [source for source in sources if event in source.emits]
