"""Read the deployment file, check everything that can be checked without a network, and make feeds of it."""

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from backbone.adapter import Adapter, AnyAdapter
from backbone.config.models import RESERVED_FEEDS, DeploymentModel, FeedModel, resolved
from backbone.config.yaml_file import place, plain, read_yaml
from backbone.errors import ConfigurationError
from backbone.event import HIDING_GUIDANCE, Origin
from backbone.feed import Feed, FeedSetup, ServiceTopics
from backbone.formats.reader import Layout
from backbone.kafka.connection import KafkaConnection
from backbone.preview import layouts_of
from backbone.problems import InvalidDeploymentError, Problem, did_you_mean
from backbone.secret import Secret
from backbone.sources.files import FilesSource
from backbone.sources.filesystem import LocalFolder
from backbone.sources.unpack import Spool
from backbone.worker_settings import WorkerSettings
from schemas.families import event_class as known_event

BUILT_IN: Final = "adapters:ADAPTERS"
_REFERENCE: Final = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """A feed of the file with its adapter found and its options checked."""

    model: FeedModel
    adapter: AnyAdapter
    layouts: tuple[Layout, ...]
    options: BaseModel
    origin: Origin

    @property
    def name(self) -> str:
        """Return the feed's name."""
        return self.model.name

    def setup(self) -> FeedSetup:
        """Return what decides how its records are translated."""
        return FeedSetup(
            name=self.model.name,
            adapter=self.adapter,
            layouts=self.layouts,
            options=self.options,
            origin=self.origin,
            hold_case=self.model.on_reject == "hold_case",
            seen_capacity=self.model.seen_records if self.model.duplicates == "seen" else 0,
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that a deployment file says."""

    path: Path
    model: DeploymentModel
    connection: KafkaConnection
    feeds: tuple[FeedConfig, ...]

    @property
    def organisation(self) -> str:
        """Return the organisation's code."""
        return self.model.organisation.id

    @property
    def topics(self) -> ServiceTopics:
        """Return the organisation's own topics."""
        return ServiceTopics(self.organisation)

    def feed(self, name: str) -> FeedConfig:
        """Return a feed by name; raises ConfigurationError."""
        for feed in self.feeds:
            if feed.name == name:
                return feed
        remedy = did_you_mean(name, [feed.name for feed in self.feeds])
        raise ConfigurationError(f"there is no feed {name!r}", code="config.no-feed", guidance=remedy)

    def processes(self) -> dict[str, tuple[str, ...]]:
        """Return the feeds of each process that feeds name for themselves."""
        named: dict[str, tuple[str, ...]] = {}
        for feed in self.feeds:
            if feed.model.process is not None:
                named[feed.model.process] = (*named.get(feed.model.process, ()), feed.name)
        return named

    def worker_settings(self, *, once: bool = False) -> WorkerSettings:
        """Return what a worker needs to run every feed."""
        return WorkerSettings(
            organisation=self.organisation,
            connection=self.connection,
            feeds=tuple(self._run(feed) for feed in self.feeds),
            deployment=self.model.deployment,
            once=once,
        )

    def _run(self, feed: FeedConfig) -> Feed:
        base, spool = self.path.parent, self.model.spool
        folder = resolved(spool.folder, base)
        assert folder is not None
        place_of = folder / str(os.getpid()) / feed.name
        source = FilesSource(
            feed.model.source, LocalFolder(feed.model.source.folder(base)), Spool(place_of, spool.quota_bytes)
        )
        return Feed(
            setup=feed.setup(),
            source=source,
            paused=feed.model.paused,
            state_partition=feed.model.state_partition,
            reject_retention_days=self.model.topics.rejects.retention_days,
            expected_every_secs=feed.model.expected_every_secs,
            process=feed.model.process or "",
        )


def load(path: Path) -> Deployment:
    """Read a deployment file; raises InvalidDeploymentError with every problem that it has."""
    path = path / "backbone.yaml" if path.is_dir() else path
    document = read_yaml(path)
    return _Loader(path, document).deployment()


class _Loader:
    """Gather problems while making settings of a parsed file."""

    def __init__(self, path: Path, document: Any) -> None:
        self.path = path
        self.document = document
        self.problems: list[Problem] = []

    def deployment(self) -> Deployment:
        folder = str(self.path.parent.resolve())
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that a council's own adapters shadow nothing
        model = self._model()
        content = plain(self.document)
        raw_feeds = content.get("feeds") if isinstance(content, dict) else None
        connection = None if model is None else self._connection(model)
        feeds: list[FeedConfig] = []
        if model is not None:
            self._check_names(model.feeds)
            secret = self._secret(model.organisation.case_secret, ("organisation", "case_secret"))
            speaker = Origin(model.organisation.id, "", model.source_base, secret)
            for index, feed in enumerate(model.feeds):
                made = self._feed(index, feed, speaker)
                if made is not None:
                    feeds.append(made)
        elif isinstance(raw_feeds, list):
            self._check_raw_feeds(raw_feeds)
        if self.problems or model is None or connection is None:
            raise InvalidDeploymentError(self.problems)
        return Deployment(self.path, model, connection, tuple(feeds))

    def problem(self, at: Sequence[str | int], code: str, message: str, remedy: str = "") -> None:
        line, column = place(self.document, at)
        self.problems.append(Problem(str(self.path), line, column, code, message, remedy))

    def _model(self) -> DeploymentModel | None:
        try:
            return DeploymentModel.model_validate(plain(self.document) or {})
        except ValidationError as error:
            self._from_pydantic(error, ())
            return None

    def _from_pydantic(self, error: ValidationError, prefix: tuple[str | int, ...]) -> None:
        faults = error.errors(include_url=False, include_input=False)
        for fault in faults:
            at = (*prefix, *fault["loc"])
            if fault["type"] == "too_short" and any(other["loc"][: len(at)] == at != other["loc"] for other in faults):
                continue  # the list is not empty: what is in it is wrong, and said so
            name = ".".join(str(part) for part in at)
            match fault["type"]:
                case "extra_forbidden":
                    known = _known_keys(DeploymentModel if not prefix else None, fault["loc"])
                    remedy = did_you_mean(str(fault["loc"][-1]), known) if known else ""
                    self.problem(at, "config.unknown-key", f"{name} is no key", remedy)
                case "missing":
                    self.problem(at, "config.missing", f"{name} is missing")
                case _:
                    self.problem(at, "config.invalid-value", f"{name}: {fault['msg']}")

    def _check_raw_feeds(self, raw_feeds: Sequence[Any]) -> None:
        """Look for wrong adapters even where the file's shape is wrong, so that all faults show at once."""
        for index, raw in enumerate(raw_feeds):
            name = raw.get("adapter") if isinstance(raw, dict) else None
            if isinstance(name, str):
                adapter = self._adapter(index, name)
                options = raw.get("options", {})
                if adapter is not None and isinstance(options, dict):
                    self._options(index, adapter, options)

    def _check_names(self, feeds: Sequence[FeedModel]) -> None:
        names: set[str] = set()
        for index, feed in enumerate(feeds):
            at = ("feeds", index, "name")
            if feed.name in names:
                self.problem(at, "config.duplicate-feed", f"feed {feed.name} is there twice", "names are unique")
            if feed.name in RESERVED_FEEDS:
                self.problem(at, "config.reserved-name", f"{feed.name} is reserved", "choose another name")
            names.add(feed.name)

    def _connection(self, model: DeploymentModel) -> KafkaConnection:
        kafka, base = model.kafka, self.path.parent
        password = self._secret(kafka.password, ("kafka", "password"))
        if kafka.min_insync_replicas > kafka.replication_factor:
            at = ("kafka", "min_insync_replicas")
            self.problem(at, "config.invalid-value", "min_insync_replicas is above replication_factor")
        return KafkaConnection(
            bootstrap_servers=kafka.bootstrap_servers,
            security_protocol=kafka.security_protocol,
            sasl_mechanism=kafka.sasl_mechanism,
            username=kafka.username,
            password=password,
            ca_file=resolved(kafka.ca_file, base),
            certificate_file=resolved(kafka.certificate_file, base),
            key_file=resolved(kafka.key_file, base),
        )

    def _secret(self, reference: str | None, at: Sequence[str | int]) -> Secret | None:
        if reference is None:
            return None
        variable = _REFERENCE.fullmatch(reference)
        if variable is not None:
            value = os.environ.get(variable[1])
            if value is None:
                self.problem(at, "config.secret-missing", f"the environment has no {variable[1]}", "set it")
                return None
            return Secret(value)
        if reference.startswith("file:"):
            try:
                return Secret((self.path.parent / reference.removeprefix("file:")).read_text().strip())
            except OSError:
                self.problem(at, "config.secret-missing", "the secret's file cannot be read")
                return None
        remedy = "write ${NAME} or file:PATH"
        self.problem(at, "config.secret-in-file", "a secret stands in the file itself", remedy)
        return None

    def _feed(self, index: int, feed: FeedModel, speaker: Origin) -> FeedConfig | None:
        try:
            feed.source.folder(self.path.parent)
        except ConfigurationError as error:
            self.problem(("feeds", index, "source", "url"), error.code, error.message)
        adapter = self._adapter(index, feed.adapter)
        if adapter is None:
            return None
        options = self._options(index, adapter, feed.options)
        names = (feed.layout,) if feed.layout else feed.layouts
        layouts = self._layouts(index, feed, adapter, names)
        if feed.on_reject == "hold_case" and adapter.identity.case is None:
            at = ("feeds", index, "on_reject")
            self.problem(at, "config.no-case", f"adapter {adapter.name} cannot tell cases, so none can be held")
        for event in adapter.emits:
            if known_event(event.event_type) is not event:
                message = f"{event.__name__} of {adapter.name} is no event of the vocabulary"
                remedy = "import it from schemas.<family>.v<major>; `backbone catalogue build` shows what there is"
                self.problem(("feeds", index, "adapter"), "config.unknown-event", message, remedy)
        hidden = sorted(event_class.__name__ for event_class in adapter.emits if event_class.personal_case_ref)
        if hidden and speaker.case_secret is None:
            message = f"{', '.join(hidden)} of {adapter.name} have personal case references: a secret must hide them"
            self.problem(("feeds", index, "adapter"), "config.no-case-secret", message, HIDING_GUIDANCE)
        if options is None or layouts is None:
            return None
        origin = replace(speaker, system=feed.system or adapter.name)
        return FeedConfig(feed, adapter, layouts, options, origin)

    def _layouts(
        self, index: int, feed: FeedModel, adapter: AnyAdapter, names: Sequence[str]
    ) -> tuple[Layout, ...] | None:
        known = [layout.name for layout in adapter.layouts]
        wrong = [name for name in names if name not in known]
        for name in wrong:
            at = ("feeds", index, "layout" if feed.layout else "layouts")
            self.problem(at, "config.unknown-layout", f"{adapter.name} has no layout {name}", did_you_mean(name, known))
        if wrong:
            return None
        layouts = layouts_of(adapter, names)
        if not feed.encodings:
            return layouts
        try:
            return tuple(replace(layout, encodings=feed.encodings) for layout in layouts)  # type: ignore[type-var]
        except (TypeError, ValueError, LookupError) as error:
            self.problem(("feeds", index, "encodings"), "config.invalid-value", f"encodings: {error}")
            return None

    def _adapter(self, index: int, name: str) -> AnyAdapter | None:
        at = ("feeds", index, "adapter")
        if ":" in name:
            module, _, attribute = name.partition(":")
            try:
                found = getattr(importlib.import_module(module), attribute)
            except (ImportError, AttributeError, ValueError) as error:
                self.problem(at, "config.unknown-adapter", f"{name} cannot be imported ({type(error).__name__})")
                return None
            if not isinstance(found, Adapter):
                self.problem(at, "config.unknown-adapter", f"{name} is no Adapter")
                return None
            return found
        adapters = built_in_adapters()
        if name not in adapters:
            remedy = f"{did_you_mean(name, list(adapters))}; an adapter of your own is named package.module:attribute"
            self.problem(at, "config.unknown-adapter", f"there is no adapter {name}", remedy)
            return None
        return adapters[name]

    def _options(self, index: int, adapter: AnyAdapter, options: Mapping[str, Any]) -> BaseModel | None:
        at = ("feeds", index, "options")
        loaded = {}
        for key, value in options.items():
            is_file = isinstance(value, str) and value.endswith((".yaml", ".yml"))
            try:
                loaded[key] = plain(read_yaml(self.path.parent / value)) if is_file else value
            except InvalidDeploymentError as error:
                self.problems += error.problems
        try:
            made: BaseModel = adapter.options.model_validate(loaded)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                path = (*at, *fault["loc"])
                name = ".".join(str(part) for part in fault["loc"])
                if fault["type"] == "extra_forbidden":
                    remedy = did_you_mean(str(fault["loc"][-1]), list(adapter.options.model_fields))
                    self.problem(path, "config.unknown-key", f"options.{name} is no option of {adapter.name}", remedy)
                else:
                    self.problem(path, "config.invalid-value", f"options.{name}: {fault['msg']}")
            return None
        return made


def built_in_adapters() -> dict[str, AnyAdapter]:
    """Return the adapters that ship with Backbone, by name; found at run time, as imports run one way."""
    module, _, attribute = BUILT_IN.partition(":")
    adapters: Sequence[AnyAdapter] = getattr(importlib.import_module(module), attribute)
    return {adapter.name: adapter for adapter in adapters}


def _known_keys(model: type[BaseModel] | None, location: Sequence[str | int]) -> list[str]:
    """Return the keys that a part of the file may have."""
    if model is None:
        return []
    current: type[BaseModel] = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        found = next(_models(field.annotation), None) if field is not None else None
        if found is None:
            return []
        current = found
    return list(current.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
