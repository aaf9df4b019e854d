"""`backbone schemas`: export the vocabulary, check that it may be released as it is, and publish it to a registry."""

from datetime import UTC, datetime
from pathlib import Path

import stamina
from cyclopts import App

from backbone.cli import output
from backbone.compatibility import compare_families
from backbone.contracts.files import (
    FORMATS,
    Format,
    committed_folder,
    contract_files,
    differing,
    write_committed,
    write_files,
)
from backbone.contracts.released import earlier_schemas
from backbone.registry import DEFAULT_COMPATIBILITY, Compatibility, Registry, RegistryFormat, access, subjects
from backbone.schema_export import drift, export, family_schema, release_all
from schemas.families import FAMILIES

app = App(name="schemas", help="The common vocabulary as contracts.")


@app.command(name="export")
def export_(folder: Path, *, format: Format | None = None) -> int:  # noqa: A002 - the option is called so
    """Write the vocabulary's contracts below a folder.

    Parameters
    ----------
    folder
        Where to write.
    format
        One format alone, straight into the folder; by default every format, each in a folder of its own.
    """
    for kind in FORMATS if format is None else (format,):
        into = folder / kind if format is None else folder
        for path in write_files(into, contract_files(FAMILIES, kind)):
            output.say(str(path))
    return 0


@app.command
def generate() -> int:
    """Write every committed contract of a checkout anew: beside the families, and in `contracts`."""
    folder = committed_folder()
    if folder is None:
        output.say("this is no checkout: there is nothing committed to write", "red")
        return 2
    written = [*export(folder.parent / "schemas"), *write_committed(folder, FAMILIES)]
    output.say(f"{len(written)} files written", "green")
    return 0


@app.command
def check(*, against: str | None = None, release: bool = False, json: bool = False) -> int:
    """Check that committed contracts are what the modules give, and that no change since the release breaks anybody.

    Parameters
    ----------
    against
        A folder with schemas of an earlier release, or a git ref of this checkout; by default the release that ships.
    release
        Write the schemas of today as the released ones: part of making a release.
    json
        One JSON object a change.
    """
    stale = [f"{name}: the committed schema" for name in drift()]
    folder = committed_folder()
    stale += [] if folder is None else [f"contracts/{name}:" for name in differing(folder, FAMILIES)]
    for name in stale:
        output.say(f"{name} is not what the modules give; run `backbone schemas generate`")
    today = {name: family_schema(name, module) for name, module in FAMILIES.items()}
    changes = compare_families(earlier_schemas(against), today, datetime.now(UTC).date())
    breaking = sum(change.breaking for change in changes)
    for change in changes:
        if json:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **change.as_json()})
        else:
            kind = "breaking" if change.breaking else "compatible"
            output.say(f"{change.family} {kind}: {change.path}: {change.kind} ({change.reason})")
    if stale or breaking:
        if breaking:
            output.say(f"{breaking} breaking: undo them, or put them into a new major version beside this one", "red")
        return 1
    if release:
        release_all()
    output.say(f"{len(FAMILIES)} families: committed contracts are current, and no change breaks anybody", "green")
    return 0


@app.command
def publish(
    *,
    registry: str,
    format: RegistryFormat = "jsonschema",  # noqa: A002 - the option is called so
    compatibility: Compatibility | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Mirror every event's schema to a schema registry; what is there already stays as it is.

    The whole plan is made first: where the registry would refuse one schema, nothing is written.

    Parameters
    ----------
    registry
        Address of the Confluent-compatible interface. Credentials: in the address, or BACKBONE_REGISTRY_USERNAME and
        BACKBONE_REGISTRY_PASSWORD, or BACKBONE_REGISTRY_TOKEN, each also with _FILE.
    format
        JSON Schema or Avro.
    compatibility
        The mode of each subject; by default BACKWARD_TRANSITIVE for JSON Schema and FULL_TRANSITIVE for Avro.
    dry_run
        Show the plan and write nothing.
    json
        One JSON object a subject.
    """
    stamina.instrumentation.set_on_retry_hooks([])  # the default hook would log to the data channel
    mode = compatibility or DEFAULT_COMPATIBILITY[format]
    with Registry(access(registry)) as client:
        steps = list(client.plan(subjects(FAMILIES, format), mode))
        rows = [(step.action, step.subject.name, step.detail) for step in steps]
        if json:
            for action, subject, detail in rows:
                row = {"action": action, "subject": subject, "detail": detail, "dry_run": dry_run}
                output.json_line({"schema_version": output.SCHEMA_VERSION, **row})
        else:
            output.table(("action", "subject", "detail"), rows)
        refused = sum(step.action == "refuse" for step in steps)
        if refused:
            output.say(f"the registry would refuse {refused} of {len(steps)} schemas; nothing was written", "red")
            return 1
        due = [step for step in steps if step.action != "unchanged"]
        if dry_run:
            output.say(f"dry run: {len(due)} of {len(steps)} subjects would change")
            return 0
        for step in due:
            client.apply(step, mode)
    output.say(f"{len(due)} of {len(steps)} subjects changed", "green")
    return 0
