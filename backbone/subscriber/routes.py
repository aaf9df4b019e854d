"""Which handler takes which event: by type, organisation and envelope attributes, before anything is parsed. Pure."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import Any, Final

from backbone.errors import ConfigurationError
from backbone.subscriber.event import Headers, header
from schemas.families import FAMILIES
from schemas.shared import Event as Data

Handler = Callable[[Any], Awaitable[None]]
"""A subscriber's: takes an event, or a list of them."""
Taker = Callable[[Any], Any]
"""A subscriber's handler or a transform's function."""
FACTS: Final = ("revoked", "superseded", "merged", "erased")


@dataclass(frozen=True, slots=True)
class Route:
    """A handler and what it wants. ``batch`` is how many events it takes at once; 0 means one, not in a list."""

    handler: Taker
    model: type[Data]
    organisations: tuple[str, ...] = ("*",)
    attributes: tuple[tuple[str, bytes], ...] = ()
    replays: bool = True
    batch: int = 0
    validate: Callable[[Any], Any] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Keep the validator at hand."""
        object.__setattr__(self, "validate", self.model.__pydantic_validator__.validate_json)

    @property
    def picky(self) -> bool:
        """Say whether it wants less than everything of its type."""
        return self.organisations != ("*",) or bool(self.attributes) or not self.replays

    def hears(self, topic: str) -> bool:
        """Say whether the handler wants anything of a topic's organisation."""
        return self.organisations == ("*",) or _speaks(topic, self.organisations)

    def wants(self, topic: str, headers: Headers) -> bool:
        """Say whether the handler wants a record of its type."""
        if not self.hears(topic):
            return False
        if not self.replays and header(headers, "ce_replayid") is not None:
            return False
        return all(header(headers, name) == value for name, value in self.attributes)


@lru_cache(maxsize=4_096)
def _speaks(topic: str, organisations: tuple[str, ...]) -> bool:
    name = topic.partition(".")[0]
    return any(fnmatchcase(name, pattern) for pattern in organisations)


@dataclass(slots=True)
class Routes:
    """All handlers by event type."""

    by_type: dict[bytes, list[Route]] = field(default_factory=dict)

    def add(
        self,
        handler: Taker,
        models: Sequence[type[Data]],
        organisations: Iterable[str],
        attributes: Mapping[str, str],
        *,
        replays: bool,
        batch: int,
    ) -> None:
        """Add a handler for event classes; raises ConfigurationError for what cannot be."""
        if not models:
            raise ConfigurationError("a handler names at least one event class", code="subscriber.no-events")
        wanted = tuple((f"ce_{name}", value.encode()) for name, value in attributes.items())
        for model in models:
            routes = self.by_type.setdefault(model.event_type.encode(), [])
            if (batch or any(route.batch for route in routes)) and routes:
                message = f"{model.__name__} has a handler of batches, which must be its only one"
                raise ConfigurationError(message, code="subscriber.two-handlers")
            routes.append(Route(handler, model, tuple(organisations) or ("*",), wanted, replays, batch))

    def with_facts(self, hooks: Mapping[str, Taker], otherwise: Taker | None) -> "Routes":
        """Return the routes with those of the four facts added for every family that is handled.

        ``hooks`` are handlers by fact; ``otherwise`` is the one of a fact without a hook, or None to pass it over.
        """
        complete = Routes({event_type: list(found) for event_type, found in self.by_type.items()})
        handled: dict[str, list[Route]] = {}
        for found in self.by_type.values():
            for route in found:
                handled.setdefault(route.model.topic_suffix, []).append(route)
        for suffix, routes in handled.items():
            organisations = tuple(dict.fromkeys(name for route in routes for name in route.organisations))
            if "*" in organisations:
                organisations = ("*",)
            replays = any(route.replays for route in routes)
            for model in FAMILIES[suffix].EVENTS:
                if model.fact not in FACTS or model.event_type.encode() in self.by_type:
                    continue
                handler = hooks.get(model.fact, otherwise)
                if handler is not None:
                    complete.add(handler, (model,), organisations, {}, replays=replays, batch=0)
        return complete

    def wrapped(self, wrap: Callable[[Route], Handler]) -> "Routes":
        """Return the routes with what ``wrap`` makes of each one's handler in its place."""
        return Routes({
            event_type: [replace(route, handler=wrap(route)) for route in found]
            for event_type, found in self.by_type.items()
        })  # fmt: skip

    def wanting(self, topic: str, headers: Headers) -> Sequence[Route]:
        """Return the handlers that want a record."""
        found = self.by_type.get(header(headers, "ce_type") or b"", ())
        if not any(route.picky for route in found):
            return found
        return [route for route in found if route.wants(topic, headers)]

    def plain(self) -> dict[bytes | None, list[Route]]:
        """Return the handlers of the types where every handler wants everything."""
        return {name: found for name, found in self.by_type.items() if not any(route.picky for route in found)}

    def known_topics(self) -> list[str]:
        """Return the topics whose names are known: those of organisations that are named without a pattern."""
        return sorted({
            f"{organisation}.{route.model.topic_suffix}"
            for routes in self.by_type.values()
            for route in routes
            for organisation in route.organisations
            if not any(sign in organisation for sign in "*?[")
        })  # fmt: skip

    def topic_pattern(self) -> str:
        """Return a regular expression for the topics that hold what is wanted."""
        wanted: dict[str, set[str]] = {}
        for routes in self.by_type.values():
            for route in routes:
                wanted.setdefault(route.model.topic_suffix, set()).update(route.organisations)
        if not wanted:
            raise ConfigurationError("the subscriber has no handler", code="subscriber.no-events")
        alternatives = []
        for suffix, organisations in sorted(wanted.items()):
            names = "|".join(sorted(_as_expression(pattern) for pattern in organisations))
            alternatives.append(rf"(?:{names})\.{re.escape(suffix)}")
        return f"^(?:{'|'.join(alternatives)})$"


def _as_expression(pattern: str) -> str:
    """Return a shell pattern as an expression for one segment of a topic's name."""
    return translate(pattern).replace("(?s:", "(?:").removesuffix(r"\Z").replace(".*", "[^.]*")
