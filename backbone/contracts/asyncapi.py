"""The vocabulary as AsyncAPI 3.0: where events are, how they are keyed, what their headers and data hold. Pure.

One document a family and one for the whole backbone, each complete in itself. An organisation's topics differ by their
first part alone, so that a channel's address has it as a parameter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from backbone.contracts.envelope import envelope_schema, example_headers
from backbone.schema_export import event_schema, examples_of, family_schema, sunset_of
from schemas.shared import Event
from schemas.shared.markings import ENVELOPE_CATEGORY

VERSION: Final = "3.0.0"
TEXT: Final[dict[str, Any]] = {"type": "string"}
CASE_REFERENCE: Final[dict[str, Any]] = {**TEXT, "description": "The case reference, as UTF-8 text"}

PROTOCOLS: Final[dict[str, Any]] = {
    "scramSha512": {
        "type": "scramSha512",
        "description": "SASL SCRAM-SHA-512 over TLS, with the subscriber's own name and password.",
    },
    "scramSha256": {
        "type": "scramSha256",
        "description": "SASL SCRAM-SHA-256 over TLS, with the subscriber's own name and password.",
    },
    "plain": {
        "type": "plain",
        "description": "SASL PLAIN over TLS, where the cluster takes neither of the others.",
    },
    "clientCertificate": {
        "type": "X509",
        "description": "Mutual TLS: the subscriber's certificate names its principal.",
    },
}
"""The ways of logging in that the backbone's own clients have."""

GENERAL: Final = (
    "Events of council services in a common vocabulary. A record's key is the case reference, so that the events of "
    "one case come in order. Its value is the data as JSON; its headers are a CloudEvents 1.0 envelope in binary mode. "
    "Read with isolation.level=read_committed: what is in an aborted transaction was never said. Pass over fields that "
    "you do not know, and events of a type that you do not know. The same fact always has the same ce_id. What you may "
    "read is settled by a data-sharing agreement."
)


def family_document(name: str, module: ModuleType) -> dict[str, Any]:
    """Return one family's document; ``name`` is the family with its major version, as in ``planning.v1``."""
    summary = (module.__doc__ or "").strip()
    return _document(f"urn:backbone:asyncapi:{name.replace('.', ':')}", name, f"{summary}\n\n{GENERAL}", {name: module})


def backbone_document(families: Mapping[str, ModuleType]) -> dict[str, Any]:
    """Return the document of every family."""
    return _document("urn:backbone:asyncapi", "Backbone", GENERAL, families)


def _document(identifier: str, title: str, description: str, families: Mapping[str, ModuleType]) -> dict[str, Any]:
    events = [event for module in families.values() for event in module.EVENTS]
    return {
        "asyncapi": VERSION,
        "id": identifier,
        "info": {
            "title": title,
            "version": "1" if len(families) > 1 else f"{events[0].major}",
            "description": description,
            "tags": [{"name": name, "description": _first_line(module.__doc__)} for name, module in families.items()],
        },
        "defaultContentType": "application/json",
        "servers": {"cluster": _server()},
        "channels": {_id(name): _channel(name, module) for name, module in families.items()},
        "operations": {f"receive_{_id(name)}": _operation(name, module) for name, module in families.items()},
        "components": {
            "schemas": {
                "envelope": _in_asyncapi(envelope_schema(), ""),
                **{key: schema for name, module in families.items() for key, schema in _schemas(name, module)},
            },
            "messages": {_message_id(event): _message(event, families) for event in events},
            "securitySchemes": PROTOCOLS,
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka-secure",
        "description": "The cluster that serves the organisation; its operator gives the address and the credentials.",
        "variables": {
            "bootstrap": {"description": "Host and port of a broker", "examples": ["kafka.backbone.example:9093"]}
        },
        "security": [{"$ref": f"#/components/securitySchemes/{scheme}"} for scheme in PROTOCOLS],
    }


def _channel(name: str, module: ModuleType) -> dict[str, Any]:
    sunset = sunset_of(module)
    return {
        "address": f"{{organisation}}.{name}",
        "title": name,
        "description": _first_line(module.__doc__),
        "servers": [{"$ref": "#/servers/cluster"}],
        "parameters": {
            "organisation": {
                "description": "Who owns the cases: a council's GSS code, or the registered slug of a national body",
                "examples": ["E09000099", "general-register-office"],
            }
        },
        "messages": {
            event.__name__: {"$ref": f"#/components/messages/{_message_id(event)}"} for event in module.EVENTS
        },
        "bindings": {
            "kafka": {
                "partitions": 6,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": 7 * 86_400_000},
                "bindingVersion": "0.5.0",
            }
        },
        **({"x-sunset": sunset} if sunset else {}),
    }


def _operation(name: str, module: ModuleType) -> dict[str, Any]:
    channel = f"#/channels/{_id(name)}"
    return {
        "action": "receive",
        "channel": {"$ref": channel},
        "title": f"Receive {name}",
        "summary": f"What a subscriber receives of {name}; its consumer group's name begins with its own.",
        "bindings": {
            "kafka": {
                "groupId": {**TEXT, "description": "The subscriber's name, or the name and a suffix"},
                "clientId": TEXT,
                "bindingVersion": "0.5.0",
            }
        },
        "messages": [{"$ref": f"{channel}/messages/{event.__name__}"} for event in module.EVENTS],
    }


def _message(event: type[Event], families: Mapping[str, ModuleType]) -> dict[str, Any]:
    family = f"{event.family}.v{event.major}"
    examples = examples_of(families[family], event)
    fixed: dict[str, dict[str, Any]] = {
        "ce_type": {"const": event.event_type},
        "ce_dataschema": {"const": event.dataschema},
        "ce_dataclassification": {"const": event.classification},
        "ce_datacategory": {"enum": _categories(event)},
    }
    return {
        "name": event.event_type,
        "title": f"{event.family}: {event.fact}",
        "summary": _first_line(event.__doc__),
        "description": (event.__doc__ or "").strip(),
        "contentType": "application/json",
        "tags": [{"name": family}],
        "headers": {
            "type": "object",
            "allOf": [{"$ref": "#/components/schemas/envelope"}],
            "properties": {name: {**TEXT, **rule} for name, rule in fixed.items()},
        },
        "payload": {"$ref": f"#/components/schemas/{family}.{event.__name__}"},
        "bindings": {"kafka": {"key": CASE_REFERENCE, "bindingVersion": "0.5.0"}},
        "examples": [
            {"name": label, "headers": example_headers(event, example), "payload": example}
            for label, example in zip(_labels(examples), examples, strict=True)
        ],
    }


def _labels(examples: Sequence[object]) -> list[str]:
    return [{0: "minimal", 1: "full"}.get(index, f"example-{index + 1}") for index in range(len(examples))]


def _categories(event: type[Event]) -> list[str]:
    """Return the values that the envelope's ``datacategory`` may have: the highest among the fields present."""
    text = repr(event_schema(event))
    return [
        spelt
        for category, spelt in ENVELOPE_CATEGORY.items()
        if category == "none" or f"'x-data-category': '{category}'" in text
    ]


def _schemas(name: str, module: ModuleType) -> Iterator[tuple[str, dict[str, Any]]]:
    for model, definition in family_schema(name, module)["$defs"].items():
        shown = {key: value for key, value in definition.items() if key != "examples"}
        yield f"{name}.{model}", _in_asyncapi(shown, f"{name}.")


def _in_asyncapi(node: Any, prefix: str) -> Any:
    """Return a schema as AsyncAPI's own dialect, draft 7, has it: references into the document, older keywords."""
    if isinstance(node, list):
        return [_in_asyncapi(value, prefix) for value in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key == "$ref":
            made[key] = f"#/components/schemas/{prefix}{value.rsplit('/', 1)[-1]}"
        else:
            made["dependencies" if key == "dependentRequired" else key] = _in_asyncapi(value, prefix)
    return made


def _message_id(event: type[Event]) -> str:
    return f"{event.family}.v{event.major}.{event.__name__}"


def _id(name: str) -> str:
    """Return a family's name as an identifier that code generators can use: ``planning_v1``."""
    return name.replace(".", "_")


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]


def references(node: Any) -> Iterable[str]:
    """Yield every reference of a document, for checking that each leads somewhere."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)
