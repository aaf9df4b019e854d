"""`backbone preview`: what a feed would publish of files, without a broker."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import load
from backbone.errors import ConfigurationError
from backbone.event import structured
from backbone.packed import Message
from backbone.preview import Preview, RecordResult, local_document
from backbone.receipts import Receipt

SHOWN_ROWS = 50


def preview(
    feed: str,
    *file: Path,
    config: Config = HERE,
    json: bool = False,
    row: int | None = None,
    summary: bool = False,
) -> int:
    """Show, record by record, what would be published, skipped and rejected.

    Parameters
    ----------
    feed
        The feed whose adapter and options are used.
    file
        One or more files, in the order in which they would come.
    config
        The deployment file, or its folder.
    json
        One JSON object a record, and the receipt last.
    row
        Only the record with this number, with the source beside the event.
    summary
        Only the counts.
    """
    missing = [str(path) for path in file if not path.is_file()]
    if missing or not file:
        message = f"there is no file {missing[0]}" if missing else "name at least one file"
        raise ConfigurationError(message, code="config.no-file")
    previewed = Preview(load(config).feed(feed).setup())
    held = False
    for path in file:
        receipt = _json(previewed, path, row) if json else _people(previewed, path, row, summary=summary)
        held = held or receipt.outcome == "held"
    return 1 if held else 0


def _json(previewed: Preview, path: Path, row: int | None) -> Receipt:
    for result in previewed.run(local_document(path)):
        if isinstance(result, Receipt):
            output.json_line({"receipt": result.model_dump()})
            return result
        if row in {None, result.number}:
            output.json_line(_record(result))
    raise AssertionError


def _record(result: RecordResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "record": result.number,
        "outcome": result.outcome,
        "events": [event_json(message) for _, message in result.events],
        "reason": result.reason or None,
    }
    if result.reject is not None:
        shown["field"] = result.reject.field or None
        shown["message"] = result.reject.message
        shown["offset"] = result.reject.offset
    return shown


def event_json(message: Message) -> dict[str, Any]:
    """Return an event in CloudEvents' structured mode, with its data as an object."""
    event = structured(message)
    event["data"] = orjson.loads(str(event["data"]))
    return event


def _people(previewed: Preview, path: Path, row: int | None, *, summary: bool) -> Receipt:
    rows: list[tuple[object, ...]] = []
    reasons: Counter[str] = Counter()
    for result in previewed.run(local_document(path)):
        if isinstance(result, Receipt):
            if rows and not summary:
                output.table(("record", "outcome", "case", "event or reason"), rows, numbers=("record",))
            _receipt(result, len(rows), summary=summary)
            return result
        reasons[result.reason] += 1
        if row == result.number:
            _side_by_side(result)
        elif row is None and len(rows) < SHOWN_ROWS:
            rows += _rows(result)
    raise AssertionError


def _rows(result: RecordResult) -> list[tuple[object, ...]]:
    if not result.events:
        said = result.reason if result.reject is None else f"{result.reason}: {result.reject.message}"
        return [(result.number, result.outcome, "", said)]
    rows: list[tuple[object, ...]] = []
    for _, message in result.events:
        event = event_json(message)
        data = event["data"]
        what = str(event["type"]).removeprefix("org.councilbackbone.")
        state = data.get("state") or data.get("status") or data.get("reason") or ""
        rows.append(
            (result.number, result.outcome, event["subject"], f"{what} {state} {event.get('time', '')}".strip())
        )
    return rows


def _side_by_side(result: RecordResult) -> None:
    sys.stdout.write(f"record {result.number}: {result.outcome} {result.reason}\n\nas printed:\n")
    for name, value in dict(result.raw).items():
        sys.stdout.write(f"  {name}: {value}\n")
    for _, message in result.events:
        shown = orjson.dumps(event_json(message), option=orjson.OPT_INDENT_2).decode()
        sys.stdout.write(f"\nevent:\n{shown}\n")
    if result.reject is not None:
        sys.stdout.write(f"\nwould be rejected: {result.reject.message}\n")


def _receipt(receipt: Receipt, shown: int, *, summary: bool) -> None:
    if not summary and receipt.records > shown:
        output.say(f"... the first {shown} rows of {receipt.records:,} records; --json shows all")
    if receipt.outcome == "held":
        output.say(f"{receipt.document}: held as a whole: {receipt.message} [{receipt.code}]", "yellow")
        return
    output.say(
        f"{receipt.document}: {receipt.records:,} records = {receipt.published:,} published + "
        f"{receipt.duplicate:,} duplicate + {receipt.skipped:,} skipped + {receipt.rejected:,} rejected; "
        f"{receipt.events:,} events",
        "green",
    )
    for reason, count in sorted(receipt.reasons.items()):
        output.say(f"  {count:,} {reason}")
