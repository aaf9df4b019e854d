"""What a subscriber reads and writes, as AsyncAPI 3.0: its topics from the contracts, and what FastStream knows.

``subscriber.app.schema`` is a specification as FastStream's tools take it, so that ``faststream docs gen`` and the
like show all of it. Nothing is loaded from anywhere.
"""

import json
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, Final, Protocol

from faststream.specification.asyncapi import AsyncAPI
from ruamel.yaml import YAML

from backbone.contracts.asyncapi import family_document, references
from backbone.subscriber.dead import PREFIX
from backbone.subscriber.routes import Route, Routes
from schemas.families import FAMILIES

TEXT: Final = {"type": "string"}
LETTER_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "kind": {"enum": ["dead", "retry", "settled", "discarded"], "description": "What happened to the letter"},
    "id": {"description": "Where the original lies: topic/partition/offset"},
    "code": {"description": "Why it was set aside; an entry of the runbook"},
    "tries": {"pattern": "^[0-9]+$", "description": "How often it was tried"},
    "at": {"format": "date-time", "description": "When this was written"},
    "null": {"enum": ["true", "false"], "description": "Whether the original has no value"},
    "unkeyed": {"enum": ["true", "false"], "description": "Whether the original has no key"},
}
DESCRIPTION: Final = (
    "Events are read with isolation.level=read_committed, in order within a case, each handled or set aside on the "
    "dead-letter topic with its original bytes."
)


class Described(Protocol):
    """What is described: a subscriber."""

    name: str
    app: Any

    @property
    def group(self) -> str:
        """Return the consumer group."""
        ...

    @property
    def dead_letter_topic(self) -> str:
        """Return where events go that cannot be handled."""
        ...

    def complete_routes(self) -> Routes:
        """Return the routes, with those of the four facts."""
        ...


class Document:
    """A specification as FastStream's tools take it."""

    def __init__(self, content: dict[str, Any]) -> None:
        """Keep the document."""
        self._content = content

    @property
    def title(self) -> str:
        """Return its title."""
        return str(self._content["info"]["title"])

    def to_jsonable(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return self._content

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self._content)

    def to_yaml(self) -> str:
        """Return it as YAML."""
        out = StringIO()
        YAML(typ="safe", pure=True).dump(self._content, out)
        return out.getvalue()


class Specification(AsyncAPI):
    """FastStream's own document of a broker, with what the subscriber reads and sets aside."""

    def __init__(self, described: Described) -> None:
        """Take the subscriber; ``title``, ``version`` and ``description`` may be changed."""
        super().__init__(title=described.name, description=DESCRIPTION)
        self._described = described

    def to_specification(self) -> Any:
        """Return the document."""
        content: dict[str, Any] = super().to_specification().to_jsonable()
        servers = [{"$ref": f"#/servers/{name}"} for name in content.get("servers", {})]
        components = content.setdefault("components", {})
        for part in (*_read(self._described), _letters(self._described)):
            for channel in part["channels"].values():
                channel["servers"] = servers
            for section in ("channels", "operations"):
                content.setdefault(section, {}).update(part[section])
            for section, found in part["components"].items():
                components.setdefault(section, {}).update(found)
        return Document(content)


def document_of(described: Described) -> dict[str, Any]:
    """Return the whole document of a subscriber."""
    found: dict[str, Any] = described.app.schema.to_specification().to_jsonable()
    return found


def _read(described: Described) -> Iterable[dict[str, Any]]:
    """Yield, for each family, the contract's document as far as handlers want its events."""
    wanted: dict[str, list[Route]] = {}
    for routes in described.complete_routes().by_type.values():
        for route in routes:
            wanted.setdefault(route.model.topic_suffix, []).append(route)
    for suffix, routes in sorted(wanted.items()):
        document = family_document(suffix, FAMILIES[suffix])
        names = {route.model.__name__ for route in routes}
        (channel,) = document["channels"].values()
        channel["messages"] = {name: found for name, found in channel["messages"].items() if name in names}
        organisations = sorted({name for route in routes for name in route.organisations} - {"*"})
        if organisations:
            channel["parameters"]["organisation"]["description"] += f"; here: {', '.join(organisations)}"
        (operation,) = document["operations"].values()
        operation["messages"] = [found for found in operation["messages"] if found["$ref"].rpartition("/")[2] in names]
        operation["bindings"]["kafka"]["groupId"] = {**TEXT, "enum": [described.group]}
        messages = {
            reference.rpartition("/")[2]: document["components"]["messages"][reference.rpartition("/")[2]]
            for reference in references(channel["messages"])
        }
        schemas = _reached(messages, document["components"]["schemas"])
        yield {
            "channels": document["channels"],
            "operations": document["operations"],
            "components": {"messages": messages, "schemas": schemas},
        }


def _reached(messages: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas that messages lead to."""
    reached: dict[str, Any] = {}
    waiting = list(references(messages))
    while waiting:
        name = waiting.pop().rpartition("/")[2]
        if name not in reached:
            reached[name] = schemas[name]
            waiting.extend(references(schemas[name]))
    return {name: reached[name] for name in sorted(reached)}


def _letters(described: Described) -> dict[str, Any]:
    channel = "#/channels/dead_letters"
    headers = {f"{PREFIX}{name}": {**TEXT, **rule} for name, rule in LETTER_HEADERS.items()}
    message = {
        "name": "dead-letter",
        "title": "An event that could not be handled, and what became of it",
        "description": "The record as it was read: key, value and headers, and behind them the headers named here.",
        "headers": {"type": "object", "properties": headers, "required": list(headers)},
        "payload": {"description": "The original value, byte for byte; empty once the letter is settled"},
    }
    return {
        "channels": {
            "dead_letters": {
                "address": described.dead_letter_topic,
                "title": "Dead letters",
                "messages": {"DeadLetter": {"$ref": "#/components/messages/DeadLetter"}},
            }
        },
        "operations": {
            f"{action}_dead_letters": {
                "action": action,
                "channel": {"$ref": channel},
                "messages": [{"$ref": f"{channel}/messages/DeadLetter"}],
            }
            for action in ("send", "receive")
        },
        "components": {"messages": {"DeadLetter": message}},
    }
