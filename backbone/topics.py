"""Which topics a deployment needs, with which settings, and how that differs from what there is. Pure.

Provisioning creates topics and changes safe settings. It never deletes, never grows a topic whose keys have their
place (events, state), and what would lose data is refused with a code.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from backbone.config import Deployment
from backbone.errors import ConfigurationError
from backbone.feed import STATE_PARTITIONS
from backbone.kafka.admin import TopicSpec
from backbone.state import DAY_MS

FOREVER: Final = "-1"
COMPACTED: Final[Mapping[str, str]] = {
    "cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "3600000",
    "max.compaction.lag.ms": "3600000", "min.cleanable.dirty.ratio": "0.01",
}  # fmt: skip
"""State: only the newest record of each key counts, and a start must not read long."""

LEAST_MESSAGE_BYTES: Final = 1_048_588
"""Kafka's own default for the largest batch; our largest message fits."""


@dataclass(frozen=True, slots=True)
class Step:
    """One difference: a topic to create, a setting to change, or a refusal."""

    action: Literal["create", "change", "refuse"]
    topic: str
    detail: str
    code: str = ""
    spec: TopicSpec | None = None
    settings: Mapping[str, str] | None = None


def wanted_topics(deployment: Deployment) -> tuple[TopicSpec, ...]:
    """Return every topic that the deployment writes to."""
    kafka, topics, names = deployment.model.kafka, deployment.model.topics, deployment.topics
    safe = {
        "min.insync.replicas": str(kafka.min_insync_replicas), "unclean.leader.election.enable": "false",
        # retention goes by the broker's clock: a worker whose clock is years behind must not have its events deleted
        "message.timestamp.type": "LogAppendTime",
    }  # fmt: skip

    def spec(name: str, partitions: int, settings: Mapping[str, str]) -> TopicSpec:
        return TopicSpec(name, partitions, kafka.replication_factor, {**safe, **settings})

    def kept(days: int) -> dict[str, str]:
        return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS), "retention.bytes": FOREVER}

    events = dict.fromkeys(name for feed in deployment.feeds for name in feed.setup().event_topics)
    return (
        spec(names.state, STATE_PARTITIONS, COMPACTED),
        spec(names.control, 1, {**COMPACTED, "min.cleanable.dirty.ratio": "0.5"}),
        spec(names.status, 1, {**kept(1), "retention.ms": "3600000"}),
        spec(names.receipts, topics.receipts.partitions, kept(topics.receipts.retention_days)),
        spec(names.rejects, topics.rejects.partitions, kept(topics.rejects.retention_days)),
        *(spec(name, topics.events.partitions, kept(topics.events.retention_days)) for name in events),
    )


def plan(wanted: Iterable[TopicSpec], existing: Mapping[str, TopicSpec]) -> list[Step]:
    """Return the steps that lead from what exists to what is wanted, refusals included."""
    steps: list[Step] = []
    for spec in wanted:
        found = existing.get(spec.name)
        if found is None:
            detail = f"{spec.partitions} partitions, {spec.settings['cleanup.policy']}"
            steps.append(Step("create", spec.name, detail, spec=spec))
        else:
            steps += _differences(spec, found)
    return steps


def _differences(spec: TopicSpec, found: TopicSpec) -> list[Step]:
    steps = []
    if found.partitions != spec.partitions:
        detail = f"has {found.partitions} partitions; {spec.partitions} are wanted, and their number never changes"
        steps.append(Step("refuse", spec.name, detail, code="topic.partitions-differ"))
    if found.replication_factor < spec.replication_factor:
        detail = f"has {found.replication_factor} replicas; {spec.replication_factor} are wanted"
        steps.append(Step("refuse", spec.name, detail, code="topic.replication-too-low"))
    if found.settings.get("cleanup.policy") != spec.settings["cleanup.policy"]:
        detail = f"its cleanup.policy is {found.settings.get('cleanup.policy')}; it must be"
        steps.append(
            Step("refuse", spec.name, f"{detail} {spec.settings['cleanup.policy']}", code="topic.cleanup-policy")
        )
        return steps
    changed = {
        name: value
        for name, value in spec.settings.items()
        if name != "cleanup.policy" and found.settings.get(name) != value
    }
    if int(found.settings.get("max.message.bytes", LEAST_MESSAGE_BYTES)) < LEAST_MESSAGE_BYTES:
        changed["max.message.bytes"] = str(LEAST_MESSAGE_BYTES)
    if changed:
        detail = ", ".join(f"{name}: {found.settings.get(name)} to {value}" for name, value in changed.items())
        steps.append(Step("change", spec.name, detail, settings=changed))
    return steps


def refusals(wanted: Iterable[TopicSpec], existing: Mapping[str, TopicSpec]) -> list[Step]:
    """Return why a worker must not run: topics that are missing, or whose settings would lose data.

    A retention that is longer than wanted, or other settings that lose nothing, are left to `topics plan`.
    """
    found: list[Step] = []
    for step in plan(wanted, existing):
        if step.action == "create":
            found.append(Step("refuse", step.topic, "is missing", code="topic.missing"))
        elif step.action == "refuse":
            found.append(step)
        elif step.settings is not None:
            found += _losing(step, existing[step.topic])
    return found


def _losing(step: Step, found: TopicSpec) -> list[Step]:
    assert step.settings is not None
    losing = []
    wanted_ms, there_ms = step.settings.get("retention.ms"), found.settings.get("retention.ms", FOREVER)
    if wanted_ms is not None and there_ms != FOREVER and int(there_ms) < int(wanted_ms):
        losing.append(Step("refuse", step.topic, "keeps records too short", code="topic.retention-too-short"))
    if "retention.bytes" in step.settings:
        losing.append(Step("refuse", step.topic, "drops records above a size", code="topic.retention-bytes"))
    if "unclean.leader.election.enable" in step.settings:
        losing.append(Step("refuse", step.topic, "may elect unclean leaders", code="topic.unclean-election"))
    if "max.message.bytes" in step.settings:
        losing.append(Step("refuse", step.topic, "takes small messages only", code="topic.message-size"))
    replicas = step.settings.get("min.insync.replicas")
    if replicas is not None and int(found.settings.get("min.insync.replicas", "1")) < int(replicas):
        losing.append(Step("refuse", step.topic, "has min.insync.replicas too low", code="topic.min-insync-too-low"))
    return losing


class TopicsRefusedError(ConfigurationError):
    """Refuse to run on topics that would lose data."""

    def __init__(self, steps: Iterable[Step]) -> None:
        """Name every topic and its fault."""
        self.steps = tuple(steps)
        listed = "; ".join(f"{step.topic} {step.detail} [{step.code}]" for step in self.steps)
        guidance = "run `backbone topics plan`, then `backbone topics apply`; what that refuses is a decision to take"
        super().__init__(listed, code=self.steps[0].code, guidance=guidance)


def raise_for(steps: Iterable[Step]) -> None:
    """Raise TopicsRefusedError where there is a refusal."""
    found = [step for step in steps if step.action == "refuse"]
    if found:
        raise TopicsRefusedError(found)
