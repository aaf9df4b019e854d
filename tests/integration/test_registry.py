"""Publishing to a schema registry over real HTTP: what is written, what is left alone, and what is never shown."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from backbone.errors import ConfigurationError, UnreachableError
from backbone.registry import (
    DEFAULT_COMPATIBILITY,
    Access,
    Compatibility,
    Registry,
    RegistryFormat,
    Step,
    Subject,
    access,
    subjects,
)
from schemas.families import FAMILIES
from tests.integration.registry_server import State, running

FORMATS: tuple[RegistryFormat, ...] = ("jsonschema", "avro")
formats = pytest.mark.parametrize("kind", FORMATS)
PASSWORD = "s3cret-never-shown"  # noqa: S105 - a password of a registry of this test


@pytest.fixture
def state() -> State:
    """Give a registry that holds nothing yet."""
    return State()


@pytest.fixture
def url(state: State) -> Iterator[str]:
    """Give the address of a running registry."""
    with running(state) as address:
        yield address


def publish(url: str, kind: RegistryFormat, families: dict[str, ModuleType] = FAMILIES) -> list[Step]:
    """Plan and apply, as the command does; return the plan."""
    mode = DEFAULT_COMPATIBILITY[kind]
    with Registry(access(url, {})) as registry:
        steps = list(registry.plan(subjects(families, kind), mode))
        for step in steps:
            registry.apply(step, mode)
    return steps


def command(url: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a script does."""
    return subprocess.run(
        [sys.executable, "-m", "backbone", "schemas", "publish", "--registry", url, *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@formats
def test_every_event_becomes_a_subject_with_its_mode(url: str, state: State, kind: RegistryFormat) -> None:
    """The registry holds each schema as it was generated, once, under the mode that our rules of change need."""
    steps = publish(url, kind)
    assert {step.action for step in steps} == {"create"}
    wanted = {subject.name: json.loads(subject.schema) for subject in subjects(FAMILIES, kind)}
    assert len(wanted) == sum(len(module.EVENTS) for module in FAMILIES.values())
    assert {name: json.loads(versions[0][2]) for name, versions in state.versions.items()} == wanted
    assert state.modes == dict.fromkeys(wanted, DEFAULT_COMPATIBILITY[kind])


@formats
def test_publishing_again_writes_nothing(url: str, state: State, kind: RegistryFormat) -> None:
    """A second run finds everything there and changes nothing."""
    publish(url, kind)
    before = len(state.writes)
    assert {step.action for step in publish(url, kind)} == {"unchanged"}
    assert len(state.writes) == before
    assert {len(versions) for versions in state.versions.values()} == {1}


def test_both_formats_stand_beside_each_other(url: str, state: State) -> None:
    """JSON Schema and Avro of one event are two subjects and never two versions of one."""
    publish(url, "jsonschema")
    publish(url, "avro")
    assert {len(versions) for versions in state.versions.values()} == {1}
    assert len(state.versions) == 2 * sum(len(module.EVENTS) for module in FAMILIES.values())


def test_an_added_optional_field_is_a_new_version_and_a_removed_one_is_refused(url: str, state: State) -> None:
    """The registry's own verdict is asked for before anything is written."""
    old = Subject("s", "JSON", json.dumps({"type": "object", "properties": {"a": {}}}))
    more = Subject("s", "JSON", json.dumps({"type": "object", "properties": {"a": {}, "b": {}}}))
    mode: Compatibility = "BACKWARD_TRANSITIVE"
    with Registry(access(url, {})) as registry:
        for subject, action in ((old, "create"), (more, "new-version"), (more, "unchanged"), (old, "unchanged")):
            (step,) = registry.plan([subject], mode)
            assert step.action == action
            registry.apply(step, mode)
        less = Subject("s", "JSON", json.dumps({"type": "object", "properties": {"b": {}}}))
        (step,) = registry.plan([less], mode)
        assert (step.action, step.detail) == ("refuse", "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL a")
        assert len(state.versions["s"]) == 2


def test_a_mode_that_somebody_changed_is_set_back(url: str, state: State) -> None:
    """The mode is part of what is published."""
    publish(url, "avro")
    name = next(iter(state.modes))
    state.modes[name] = "NONE"
    assert [step.subject.name for step in publish(url, "avro") if step.action == "set-compatibility"] == [name]
    assert state.modes[name] == "FULL_TRANSITIVE"


def test_a_schema_that_is_none_is_refused_with_the_registrys_reason(url: str) -> None:
    """The registry's words reach the person, with a code that the runbook explains."""
    broken = Step("create", Subject("s", "AVRO", '{"type": "record"}'))
    with Registry(access(url, {})) as registry, pytest.raises(ConfigurationError, match="422 42201") as caught:
        registry.apply(broken, "FULL")
    assert caught.value.code == "registry.refused"


def test_a_busy_registry_is_asked_again_and_then_given_up(url: str, state: State) -> None:
    """A passing 503 goes unnoticed; one that stays is an unreachable dependency."""
    subject = next(subjects(FAMILIES, "avro"))
    with Registry(access(url, {})) as registry:
        state.failures = 2
        assert [step.action for step in registry.plan([subject], "FULL")] == ["create"]
        state.failures = 100
        with pytest.raises(UnreachableError) as caught:
            list(registry.plan([subject], "FULL"))
    assert caught.value.code == "registry.unreachable"


def test_the_command_plans_first_then_publishes(url: str, state: State) -> None:
    """A dry run writes nothing and shows what a run then does; `--json` is one object a subject."""
    dry = command(url, "--dry-run", "--json")
    assert dry.returncode == 0
    assert state.writes == []
    rows = [json.loads(line) for line in dry.stdout.splitlines()]
    assert {(row["action"], row["dry_run"]) for row in rows} == {("create", True)}
    assert command(url).returncode == 0
    assert {row["subject"] for row in rows} == state.versions.keys()


def test_the_command_writes_nothing_where_one_schema_would_be_refused(url: str, state: State) -> None:
    """All or none: a plan with a refusal ends with 1 before the first write."""
    publish(url, "avro", {"planning.v1": FAMILIES["planning.v1"]})
    name, versions = next(iter(state.versions.items()))
    older = json.loads(versions[0][2])
    older["fields"].append({"name": "gone", "type": "string"})
    state.versions[name] = [(1, "AVRO", json.dumps(older, sort_keys=True))]
    before = list(state.writes)
    ran = command(url, "--format", "avro")
    assert ran.returncode == 1
    assert f"refuse\t{name}\tREADER_FIELD_MISSING_DEFAULT_VALUE gone" in ran.stdout
    assert state.writes == before


def test_credentials_are_used_and_never_shown(url: str, state: State, tmp_path: Path) -> None:
    """From the address, from the environment or from a file; a refusal names the address without them."""
    state.credentials = f"publisher:{PASSWORD}"
    named = url.replace("://", f"://publisher:{PASSWORD}@")
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    user = {"BACKBONE_REGISTRY_USERNAME": "publisher"}
    ran = [
        command(named, "--dry-run"),
        command(url, "--dry-run", BACKBONE_REGISTRY_PASSWORD=PASSWORD, **user),
        command(url, "--dry-run", BACKBONE_REGISTRY_PASSWORD_FILE=str(file), **user),
        command(url, "--dry-run"),
        command(named.replace("publisher", "other"), "--debug"),
    ]
    assert [process.returncode for process in ran[:4]] == [0, 0, 0, 3]
    assert "registry.denied" in ran[3].stderr
    assert all(PASSWORD not in process.stdout + process.stderr for process in ran)
    assert PASSWORD not in repr(access(named))


def test_an_address_without_a_registry_is_unreachable() -> None:
    """Exit 3, with one sentence and no trace."""
    ran = command("http://127.0.0.1:1")
    assert ran.returncode == 3
    assert "error registry.unreachable: the registry at http://127.0.0.1:1 does not answer" in ran.stderr


@pytest.mark.parametrize("wrong", ["registry:8081", "file:///etc", "http://"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    """Only http and https, with a host."""
    with pytest.raises(ConfigurationError) as caught:
        access(wrong, {})
    assert caught.value.code == "registry.bad-address"


def test_a_token_is_a_bearer() -> None:
    """A path, a port and an IPv6 host stay in the address; the token does not."""
    assert access("https://[::1]:81/apis/ccompat/v7/", {"BACKBONE_REGISTRY_TOKEN": "t"}) == Access(
        "https://[::1]:81/apis/ccompat/v7", "Bearer t"
    )


def test_nothing_that_publishes_events_knows_a_registry() -> None:
    """Producers never depend on a registry: loading the worker loads no registry client."""
    code = "import sys, backbone.worker, backbone.kafka.producer; sys.exit('backbone.registry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
