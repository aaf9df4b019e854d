"""`backbone receipts`: what happened to every document."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from cyclopts import App

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import Deployment, load
from backbone.receipts import Counts, Receipt

app = App(name="receipts", help="What happened to every record of every document.")


async def read_receipts(deployment: Deployment, *, since_days: int = 400) -> AsyncIterator[Receipt]:
    """Yield receipts, oldest first."""
    from backbone.kafka.readers import read_topics  # noqa: PLC0415 - the clients are loaded when they are needed

    since = datetime.now(UTC) - timedelta(days=since_days)
    begin = int(since.timestamp() * 1_000)
    async for record in read_topics(deployment.connection, [deployment.topics.receipts], begin=begin):
        if record.value is not None:
            yield Receipt.model_validate_json(record.value)


@app.command(name="list")
async def list_(*, config: Config = HERE, feed: str | None = None, days: int = 7, json: bool = False) -> int:
    """List the receipts of the last days.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    feed
        Only this feed's.
    days
        How far to look back.
    json
        One JSON object a receipt.
    """
    deployment = load(config)
    rows = []
    async for receipt in read_receipts(deployment, since_days=days):
        if feed not in {None, receipt.feed}:
            continue
        if json:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **receipt.model_dump()})
        else:
            rows.append(row_of(receipt))
    if not json:
        output.table(COLUMNS, rows, numbers=COLUMNS[3:8])
    return 0


COLUMNS = (
    "feed", "document", "outcome", "records", "published", "duplicate", "skipped", "rejected", "code", "finished",
)  # fmt: skip


def row_of(receipt: Receipt) -> tuple[object, ...]:
    """Return a receipt as a row under ``COLUMNS``."""
    outcome = f"{receipt.outcome}, late" if receipt.late else receipt.outcome
    return (
        receipt.feed, receipt.document, outcome, receipt.records, receipt.published, receipt.duplicate,
        receipt.skipped, receipt.rejected, receipt.code, receipt.finished_at[:19] + "Z",
    )  # fmt: skip


@app.command
async def verify(*, config: Config = HERE) -> int:
    """Check that every receipt balances and that no ordinal is missing or there twice. Exit code 1 if not.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    """
    deployment = load(config)
    faults: list[tuple[str, str, str]] = []
    ordinals: dict[str, int] = {}
    count = 0
    async for receipt in read_receipts(deployment):
        count += 1
        counts = Counts(receipt.records, receipt.published, receipt.duplicate, receipt.skipped, receipt.rejected)
        if not counts.balanced():
            faults.append((receipt.feed, receipt.document, "does not balance"))
        shard = f"{receipt.feed}/{receipt.shard}"
        if shard in ordinals and receipt.ordinal != ordinals[shard] + 1:
            faults.append((receipt.feed, receipt.document, f"ordinal {receipt.ordinal} follows {ordinals[shard]}"))
        ordinals[shard] = receipt.ordinal
    if faults:
        output.table(("feed", "document", "fault"), faults)
        return 1
    output.say(f"{count:,} receipts balance and follow each other", "green")
    return 0
