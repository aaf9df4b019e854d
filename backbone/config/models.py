"""The shape of the deployment file. Unknown keys are refused; secrets are given by reference only."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backbone.feed import STATE_PARTITIONS
from backbone.kafka.connection import SaslMechanism, SecurityProtocol
from backbone.seen import WINDOW_DEFAULT, WINDOW_MAX
from backbone.sources.files import FilesSettings
from schemas.shared import Organisation

RESERVED_FEEDS: Final = frozenset({"backbone", "shared", "dead"})

Days = Annotated[int, Field(ge=1, le=36_500)]
FeedName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class Strict(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OrganisationModel(Strict):
    """Whose deployment it is: GSS code or registered slug, and a name for people.

    ``case_secret`` is a reference as passwords are. It hides case references that are personal.
    """

    id: Organisation
    name: str = ""
    case_secret: str | None = None


class KafkaModel(Strict):
    """How to reach the cluster. The password is a reference: ``${NAME}`` or ``file:PATH``."""

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    replication_factor: Annotated[int, Field(ge=1, le=15)] = 3
    min_insync_replicas: Annotated[int, Field(ge=1, le=15)] = 2


class EventTopicsModel(Strict):
    """Family topics."""

    partitions: Annotated[int, Field(ge=1, le=1_000)] = 6
    retention_days: Days = 7


class KeptTopicModel(Strict):
    """A service topic that keeps records for a time."""

    partitions: Annotated[int, Field(ge=1, le=100)] = 1
    retention_days: Days


class TopicsModel(Strict):
    """How long things are kept."""

    events: EventTopicsModel = EventTopicsModel()
    rejects: KeptTopicModel = KeptTopicModel(retention_days=30)
    receipts: KeptTopicModel = KeptTopicModel(retention_days=400)


class SpoolModel(Strict):
    """Where unpacked and fetched documents lie while they are read."""

    folder: str = ".backbone/spool"
    quota_bytes: Annotated[int, Field(ge=1_048_576)] = 10 * 1_024**3


class FeedModel(Strict):
    """One configured adapter."""

    name: FeedName
    adapter: str
    system: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] | None = None
    layout: str | None = None
    layouts: Annotated[tuple[str, ...], Field(strict=False)] = ()
    encodings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    source: FilesSettings
    options: dict[str, Any] = {}
    duplicates: Literal["seen", "none"] = "seen"
    seen_records: Annotated[int, Field(ge=1, le=WINDOW_MAX)] = WINDOW_DEFAULT
    on_reject: Literal["continue", "hold_case"] = "continue"
    state_partition: Annotated[int, Field(ge=0, lt=STATE_PARTITIONS)] | None = None
    expected_every_secs: Annotated[int, Field(ge=1)] | None = None
    process: FeedName | None = None
    paused: bool = False


class DeploymentModel(Strict):
    """The whole file."""

    organisation: OrganisationModel
    deployment: FeedName = "default"
    source_base: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*:\S+[^:/\s]$")] = "urn:backbone"
    kafka: KafkaModel
    topics: TopicsModel = TopicsModel()
    spool: SpoolModel = SpoolModel()
    feeds: Annotated[tuple[FeedModel, ...], Field(strict=False, min_length=1)]


def resolved(path: str | None, base: Path) -> Path | None:
    """Return a path of the file relative to the deployment's folder."""
    return None if path is None else base / Path(path).expanduser()
