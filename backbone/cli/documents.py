"""`backbone documents`: those that a guard holds, and what to do with them."""

import getpass
from datetime import UTC, datetime

from cyclopts import App

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.cli.receipts import COLUMNS, read_receipts, row_of
from backbone.cli.rejects import send_command
from backbone.config import load
from backbone.control import Command
from backbone.moments import rfc3339
from backbone.receipts import Receipt

app = App(name="documents", help="Documents that are held as a whole.")


@app.command(name="list")
async def list_(*, config: Config = HERE, json: bool = False) -> int:
    """List the documents that are held, newest state of each.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    json
        One JSON object a document.
    """
    newest: dict[tuple[str, str], Receipt] = {}
    async for receipt in read_receipts(load(config)):
        if receipt.outcome != "redriven":
            newest[receipt.feed, receipt.sha256] = receipt
    held = [receipt for receipt in newest.values() if receipt.outcome == "held"]
    if json:
        for receipt in held:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **receipt.model_dump()})
    else:
        output.table((*COLUMNS, "sha256"), [(*row_of(receipt), receipt.sha256) for receipt in held])
    return 0


@app.command
async def release(feed: str, sha256: str, *, config: Config = HERE) -> int:
    """Look at a held document again, after its cause was mended.

    Parameters
    ----------
    feed
        Its feed.
    sha256
        Its digest, as the list shows it.
    config
        The deployment file, or its folder.
    """
    return await _send("release", feed, sha256, config)


@app.command
async def discard(feed: str, sha256: str, *, config: Config = HERE) -> int:
    """Settle a held document as it is: nothing of it will be published.

    Parameters
    ----------
    feed
        Its feed.
    sha256
        Its digest, as the list shows it.
    config
        The deployment file, or its folder.
    """
    return await _send("discard", feed, sha256, config)


async def _send(kind: str, feed: str, sha256: str, config: Config) -> int:
    deployment = load(config)
    deployment.feed(feed)
    content = {"kind": kind, "feed": feed, "sha256": sha256, "at": rfc3339(datetime.now(UTC)), "by": getpass.getuser()}
    return await send_command(deployment, Command.model_validate(content), wait=True)
