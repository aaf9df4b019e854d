"""Mirror the vocabulary to a schema registry, through the Confluent-compatible REST interface.

Git is the authority and a registry a mirror: nothing that publishes events asks one, and none has to be up. The same
calls work with Confluent's registry, Karapace, Redpanda and Apicurio (its address then ends in ``/apis/ccompat/v7``).

An event is one subject, so that every topic that carries it shares it: ``ce_type`` for JSON Schema, the record's full
name for Avro (what the clients' RecordNameStrategy looks for).
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx2
import stamina

from backbone.contracts.avro import record_of
from backbone.errors import ConfigurationError, UnreachableError
from backbone.schema_export import event_schema

RegistryFormat = Literal["jsonschema", "avro"]
Compatibility = Literal[
    "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE"
]
DEFAULT_COMPATIBILITY: Final[dict[RegistryFormat, Compatibility]] = {
    # our JSON Schemas refuse unknown fields, as writers must, so that a registry sees an added field as backward only
    "jsonschema": "BACKWARD_TRANSITIVE",
    "avro": "FULL_TRANSITIVE",
}
MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
TIMEOUT_SECS: Final = 10.0
ATTEMPTS: Final = 3
VARIABLES: Final = ("BACKBONE_REGISTRY_USERNAME", "BACKBONE_REGISTRY_PASSWORD", "BACKBONE_REGISTRY_TOKEN")
AGAIN: Final = frozenset({429, 502, 503, 504})
SHOWN_CHARACTERS: Final = 300

Action = Literal["create", "new-version", "unchanged", "set-compatibility", "refuse"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One schema to register, as the registry takes it."""

    name: str
    kind: Literal["JSON", "AVRO"]
    schema: str


@dataclass(frozen=True, slots=True)
class Step:
    """What publishing does with one subject, and why."""

    action: Action
    subject: Subject
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a registry is and how to log in. Credentials are never part of ``repr`` nor of the address."""

    url: str
    authorization: str | None = None

    def __repr__(self) -> str:
        """Show the address alone."""
        return f"Access({self.url!r})"


def subjects(families: Mapping[str, ModuleType], kind: RegistryFormat) -> Iterator[Subject]:
    """Yield every event of the families as a subject."""
    for module in families.values():
        for event in module.EVENTS:
            if kind == "avro":
                record = record_of(event)
                yield Subject(f"{record['namespace']}.{record['name']}", "AVRO", json.dumps(record))
            else:
                yield Subject(event.event_type, "JSON", json.dumps(event_schema(event), sort_keys=True))


def access(url: str, environment: Mapping[str, str] = os.environ) -> Access:
    """Take credentials out of a registry's address, else out of the environment.

    ``BACKBONE_REGISTRY_USERNAME`` and ``…_PASSWORD``, or ``…_TOKEN``; each may be ``…_FILE`` and name a file. Raises
    ConfigurationError for an address that is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "the registry's address is no http or https address"
        raise ConfigurationError(message, code="registry.bad-address", guidance="such as https://registry.example:8081")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    bare = urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path.rstrip("/"), "", ""))
    username, password, token = (_variable(environment, name) for name in VARIABLES)
    if parts.username is not None:
        username, password, token = unquote(parts.username), unquote(parts.password or ""), None
    if token is not None:
        return Access(bare, f"Bearer {token}")
    if username is not None:
        pair = f"{username}:{password or ''}"
        return Access(bare, f"Basic {base64.b64encode(pair.encode()).decode()}")
    return Access(bare)


def _variable(environment: Mapping[str, str], name: str) -> str | None:
    file = environment.get(f"{name}_FILE")
    if file is None:
        return environment.get(name)
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"the file that {name}_FILE names cannot be read"
        raise ConfigurationError(message, code="config.secret-missing") from error


class Registry:
    """A Confluent-compatible schema registry. Use as a context manager."""

    def __init__(self, where: Access, transport: httpx2.BaseTransport | None = None) -> None:
        """Connect lazily; ``transport`` is for tests."""
        headers = {"Accept": f"{MEDIA_TYPE}, application/json", "Content-Type": MEDIA_TYPE}
        if where.authorization is not None:
            headers["Authorization"] = where.authorization
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT_SECS, transport=transport)
        self._url = where.url

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._client.close()

    def plan(self, wanted: Iterable[Subject], compatibility: Compatibility) -> Iterator[Step]:
        """Yield what has to be done for each subject, without doing it."""
        for subject in wanted:
            yield self._step(subject, compatibility)

    def apply(self, step: Step, compatibility: Compatibility) -> None:
        """Do one step. A new subject gets its compatibility mode after its first version, as not all take it before."""
        path = f"/subjects/{quote(step.subject.name, safe='')}/versions"
        if step.action == "new-version":
            self._set(step.subject, compatibility)
        if step.action in {"create", "new-version"}:
            self._expect("POST", path, _body(step.subject))
        if step.action in {"create", "set-compatibility"}:
            self._set(step.subject, compatibility)

    def _step(self, subject: Subject, compatibility: Compatibility) -> Step:
        name = quote(subject.name, safe="")
        found = self._call("POST", f"/subjects/{name}", _body(subject))
        if found.status_code == 200:
            mode = self._mode(name)
            if mode == compatibility:
                return Step("unchanged", subject, f"version {found.json()['version']}")
            return Step("set-compatibility", subject, f"{mode or 'the default'} becomes {compatibility}")
        if found.status_code != 404:
            raise _refused(found, subject.name)
        versions = self._call("GET", f"/subjects/{name}/versions")
        if versions.status_code == 404:
            return Step("create", subject, compatibility)
        if versions.status_code != 200:
            raise _refused(versions, subject.name)
        latest = f"/compatibility/subjects/{name}/versions/latest?verbose=true"
        verdict = self._expect("POST", latest, _body(subject))
        if verdict.get("is_compatible") is True:
            return Step("new-version", subject, f"after version {max(versions.json())}")
        reasons = "; ".join(str(reason) for reason in verdict.get("messages", ())) or "not compatible"
        return Step("refuse", subject, reasons[:SHOWN_CHARACTERS])

    def _mode(self, name: str) -> str | None:
        found = self._call("GET", f"/config/{name}")
        if found.status_code == 404:
            return None
        if found.status_code != 200:
            raise _refused(found, name)
        return str(found.json().get("compatibilityLevel"))

    def _set(self, subject: Subject, compatibility: Compatibility) -> None:
        self._expect("PUT", f"/config/{quote(subject.name, safe='')}", {"compatibility": compatibility})

    def _expect(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._call(method, path, body)
        if answer.status_code != 200:
            raise _refused(answer, path)
        content: dict[str, Any] = answer.json()
        return content

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        """Call until there is an answer, a few times; every call may be repeated without harm."""
        try:
            for attempt in stamina.retry_context(on=_BusyError, attempts=ATTEMPTS, timeout=None):
                with attempt:
                    return self._once(method, path, body)
        except _BusyError as error:
            message = f"the registry at {self._url} {error}"
            raise UnreachableError(message, code="registry.unreachable", guidance="try again later") from error
        raise AssertionError  # the loop above returns or raises

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
        try:
            answer = self._client.request(method, self._url + path, content=None if body is None else json.dumps(body))
        except httpx2.TransportError as error:
            raise _BusyError(f"does not answer ({type(error).__name__})") from error
        if answer.status_code in AGAIN:
            raise _BusyError(f"is busy ({answer.status_code})")
        if answer.status_code in {401, 403}:
            message = f"the registry at {self._url} refused our credentials ({answer.status_code})"
            guidance = f"set {VARIABLES[0]} and {VARIABLES[1]}, or {VARIABLES[2]}"
            raise UnreachableError(message, code="registry.denied", guidance=guidance)
        return answer


class _BusyError(Exception):
    """The registry may answer the next time."""


def _body(subject: Subject) -> dict[str, Any]:
    """Return a schema as registries take it; Avro is what they assume."""
    return {"schema": subject.schema, **({"schemaType": subject.kind} if subject.kind != "AVRO" else {})}


def _refused(answer: httpx2.Response, what: str) -> ConfigurationError:
    """Return the registry's own words about a refusal."""
    try:
        content = answer.json()
        words = f"{content.get('error_code', '')} {content.get('message', '')}".strip()
    except (ValueError, AttributeError):
        words = "no reason given"
    message = f"the registry refused {unquote(what)}: {answer.status_code} {words[:SHOWN_CHARACTERS]}"
    guidance = "see that the address is the one of its Confluent-compatible interface, and that it takes this format"
    return ConfigurationError(message, code="registry.refused", guidance=guidance)
