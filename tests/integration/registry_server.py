"""A schema registry for tests: Confluent's REST interface, as its reference documents it, over real HTTP.

No registry server can be had from the package registries: Apicurio's and Confluent's servers are not on Maven Central
in a form that runs, Karapace is not on PyPI. This one is faithful where the client depends on it: subjects, versions,
lookup by schema, compatibility by mode, configuration by subject, their error codes, and basic authentication. Like
Apicurio, it refuses a configuration for a subject that has no version yet.
"""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fastavro
import jsonschema_rs
import uvicorn
from fastavro.schema import SchemaParseException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class State:
    """What a registry remembers, and what was asked of it."""

    versions: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    credentials: str = ""
    failures: int = 0
    """How many further calls are answered with 503."""

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Return the calls that changed something or could have."""
        return [(method, path) for method, path in self.calls if method == "PUT" or path.endswith("/versions POST")]


def error(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse({"error_code": code, "message": message}, status_code=status)


def canonical(kind: str, text: str) -> str:
    """Return a schema in the form in which it is compared; raises ValueError for one that is none."""
    schema = json.loads(text)
    if kind == "AVRO":
        try:
            fastavro.parse_schema(json.loads(text))
        except (SchemaParseException, fastavro.schema.UnknownType) as caught:
            raise ValueError(str(caught)) from caught
    else:
        jsonschema_rs.meta.validate(schema)
    return json.dumps(schema, sort_keys=True)


def incompatibilities(kind: str, mode: str, old: str, new: str) -> list[str]:
    """Return why data of the old schema is not right under the new one, and the other way round where the mode asks."""
    pairs = {"BACKWARD": [(old, new)], "FORWARD": [(new, old)], "FULL": [(old, new), (new, old)], "NONE": []}
    return [
        reason
        for writer, reader in pairs[mode.removesuffix("_TRANSITIVE")]
        for reason in (_avro if kind == "AVRO" else _json)(json.loads(writer), json.loads(reader))
    ]


def _avro(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> Iterator[str]:
    there = {entry["name"]: entry for entry in writer["fields"]}
    for entry in reader["fields"]:
        if entry["name"] not in there and "default" not in entry:
            yield f"READER_FIELD_MISSING_DEFAULT_VALUE {entry['name']}"


def _json(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> Iterator[str]:
    for name in writer.get("properties", {}).keys() - reader.get("properties", {}).keys():
        yield f"PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL {name}"
    for name in set(reader.get("required", ())) - set(writer.get("required", ())):
        yield f"REQUIRED_ATTRIBUTE_ADDED {name}"


class Server:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def call(self, request: Request) -> Response:
        """Check what every call has in common, then hand on to what the path names."""
        state, subject = self.state, request.path_params.get("subject", "")
        shown = f"{request.url.path} {request.method}" if request.method == "POST" else request.url.path
        state.calls.append((request.method, shown))
        if state.failures:
            state.failures -= 1
            return error(503, 50301, "try again")
        wanted = f"Basic {base64.b64encode(state.credentials.encode()).decode()}"
        if state.credentials and request.headers.get("authorization") != wanted:
            return error(401, 40101, "no such user")
        body = await request.json() if request.method != "GET" else {}
        return getattr(self, f"{request.method.lower()}_{request.scope['endpoint_name']}")(subject, body)  # type: ignore[no-any-return]

    def _schema(self, body: Mapping[str, Any]) -> tuple[str, str]:
        kind = body.get("schemaType", "AVRO")
        return kind, canonical(kind, body["schema"])

    def post_subject(self, subject: str, body: Mapping[str, Any]) -> Response:
        """Look a schema up."""
        if subject not in self.state.versions:
            return error(404, 40401, f"Subject '{subject}' not found.")
        wanted = self._schema(body)
        for number, kind, schema in self.state.versions[subject]:
            if (kind, schema) == wanted:
                number_of_schema = self.state.ids[wanted]
                return JSONResponse({"subject": subject, "version": number, "id": number_of_schema, "schema": schema})
        return error(404, 40403, "Schema not found")

    def get_versions(self, subject: str, _body: Mapping[str, Any]) -> Response:
        """List versions."""
        if subject not in self.state.versions:
            return error(404, 40401, f"Subject '{subject}' not found.")
        return JSONResponse([number for number, _, _ in self.state.versions[subject]])

    def post_versions(self, subject: str, body: Mapping[str, Any]) -> Response:
        """Register a schema: a repetition is no new version, an incompatible one is refused."""
        try:
            kind, schema = self._schema(body)
        except ValueError as caught:
            return error(422, 42201, f"Invalid schema: {caught}")
        versions = self.state.versions.get(subject, [])
        if (kind, schema) not in [(other, text) for _, other, text in versions]:
            if versions and self._reasons(subject, kind, schema):
                return error(409, 409, "Schema being registered is incompatible with an earlier schema")
            self.state.ids.setdefault((kind, schema), len(self.state.ids) + 1)
            self.state.versions[subject] = [*versions, (len(versions) + 1, kind, schema)]
        return JSONResponse({"id": self.state.ids[kind, schema]})

    def _reasons(self, subject: str, kind: str, schema: str) -> list[str]:
        mode = self.state.modes.get(subject, "BACKWARD")
        _, latest_kind, latest = self.state.versions[subject][-1]
        return ["type changed"] if kind != latest_kind else incompatibilities(kind, mode, latest, schema)

    def post_compatibility(self, subject: str, body: Mapping[str, Any]) -> Response:
        """Say whether a schema could follow the latest one."""
        if subject not in self.state.versions:
            return error(404, 40401, f"Subject '{subject}' not found.")
        reasons = self._reasons(subject, *self._schema(body))
        return JSONResponse({"is_compatible": not reasons, "messages": reasons})

    def get_config(self, subject: str, _body: Mapping[str, Any]) -> Response:
        """Return a subject's own mode."""
        if subject not in self.state.modes:
            return error(404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured")
        return JSONResponse({"compatibilityLevel": self.state.modes[subject]})

    def put_config(self, subject: str, body: Mapping[str, Any]) -> Response:
        """Set a subject's own mode."""
        if subject not in self.state.versions:
            return error(404, 40401, f"Subject '{subject}' not found.")
        mode = body["compatibility"]
        if mode.removesuffix("_TRANSITIVE") not in {"BACKWARD", "FORWARD", "FULL", "NONE"}:
            return error(422, 42203, "Invalid compatibility level")
        self.state.modes[subject] = mode
        return JSONResponse({"compatibility": mode})


def application(state: State) -> Starlette:
    server = Server(state)

    def route(path: str, name: str, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            request.scope["endpoint_name"] = name
            return await server.call(request)

        return Route(path, endpoint, methods=list(methods))

    latest = "/compatibility/subjects/{subject}/versions/latest"
    return Starlette(
        routes=[
            route("/subjects/{subject}/versions", "versions", "GET", "POST"),
            route("/subjects/{subject}", "subject", "POST"),
            route(latest, "compatibility", "POST"),
            route("/config/{subject}", "config", "GET", "PUT"),
        ]
    )


@contextmanager
def running(state: State) -> Iterator[str]:
    """Serve on a port of its own; give the address without credentials."""
    config = uvicorn.Config(application(state), port=0, log_level="critical", ws="none", lifespan="off")
    server, started = uvicorn.Server(config), threading.Event()
    startup = server.startup

    async def announced(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(10), "the registry did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
