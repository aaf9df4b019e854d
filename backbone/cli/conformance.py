"""`backbone conformance`: whether events of a supplier or a council are what the vocabulary says."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import load
from backbone.conformance import CODES, Examiner, Report
from backbone.conformance_html import as_html, verdict
from backbone.conformance_input import from_lines, from_record
from backbone.conformance_rules import Received
from backbone.errors import ConfigurationError
from backbone.moments import rfc3339

STDIN: Final = "standard input"
Accept = Annotated[tuple[str, ...], Parameter(help="A code that is reported and does not fail the check.")]


async def conformance(
    *events: str,
    config: Config = HERE,
    bootstrap_servers: str | None = None,
    window: bool = False,
    accept: Accept = (),
    json: bool = False,
    html: Path | None = None,
) -> int:
    """Check events against the vocabulary: schema, envelope, identity, order, life-cycles, privacy.

    Exit code 1 when a rule was broken, or when there was no event to check.

    Parameters
    ----------
    events
        Files of CloudEvents in structured mode, one a line, or names of topics; by default standard input.
    config
        The deployment file that says where the broker is, for topics.
    bootstrap_servers
        The broker's address, instead of a deployment file.
    window
        The events are cut from a longer stream: a case may begin with any event.
    json
        The report as one JSON object.
    html
        Write the report as a page to this file, too.
    """
    unknown = sorted(set(accept) - set(CODES))
    if unknown:
        message = f"--accept takes codes, not {unknown[0]!r}"
        raise ConfigurationError(message, code="config.invalid-value", guidance=f"one of {', '.join(CODES)}")
    if html is not None and not html.parent.is_dir():
        message = f"there is no folder {html.parent} for the page"
        raise ConfigurationError(message, code="config.invalid-value")
    if not events and sys.stdin.isatty():
        message = "name at least one file or topic"
        raise ConfigurationError(message, code="config.no-file", guidance="or give events on standard input")
    examiner = Examiner(window=window, accepted=accept)
    topics = [name for name in events if not Path(name).is_file()]
    for name in (*events, *(() if events else (STDIN,))):
        if name not in topics:
            for received in _lines(name):
                examiner.look(received)
    if topics:
        await _read(topics, config, bootstrap_servers, examiner)
    report = examiner.report()
    if html is not None:
        html.write_text(as_html(report, events or (STDIN,), rfc3339(datetime.now(UTC))), encoding="utf-8")
    if json:
        output.json_line({"schema_version": output.SCHEMA_VERSION, **report.as_json()})
    else:
        _table(report)
    output.say(verdict(report), "red" if report.violations or not report.events else "green")
    sys.stdout.flush()
    return 1 if report.violations or not report.events else 0


def _lines(name: str) -> Iterator[Received]:
    if name == STDIN:
        yield from from_lines(sys.stdin.buffer, name)
        return
    with Path(name).open("rb") as file:
        yield from from_lines(file, Path(name).name)


async def _read(topics: Sequence[str], config: Path, bootstrap_servers: str | None, examiner: Examiner) -> None:
    """Look at the committed records of topics, as far as they go now."""
    looks_like_a_file = [name for name in topics if "/" in name or name.endswith((".json", ".jsonl", ".ndjson"))]
    if looks_like_a_file:
        message = f"there is no file {looks_like_a_file[0]}"
        raise ConfigurationError(message, code="config.no-file")
    from backbone.kafka.connection import KafkaConnection  # noqa: PLC0415 - only topics need a client
    from backbone.kafka.readers import partition_counts, read_topics  # noqa: PLC0415

    connection = KafkaConnection(bootstrap_servers) if bootstrap_servers else load(config).connection
    missing = sorted(set(topics) - set(await partition_counts(connection, topics)))
    if missing:
        message = f"{missing[0]} is neither a file nor a topic"
        raise ConfigurationError(message, code="topic.missing", guidance="see `backbone topics plan`")
    async for record in read_topics(connection, topics):
        place = f"{record.topic}/{record.partition}@{record.offset}"
        examiner.look(from_record(record.key, record.value, record.headers, place))


def _table(report: Report) -> None:
    rows = [
        (
            "violation" if report.is_violation(finding) else "note",
            finding.code,
            finding.event,
            finding.count,
            finding.text,
            ", ".join(finding.examples),
        )
        for finding in report.findings
    ]
    if rows:
        output.table(("kind", "code", "event", "count", "what", "first cases"), rows, numbers=("count",))
    for name, count in sorted(report.ignored.items()):
        output.say(f"ignored {count:,} times: {name}, a field that this version does not know", "yellow")
