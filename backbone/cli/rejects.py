"""`backbone rejects`: records that were set aside, and how they go through again."""

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from cyclopts import App

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import Deployment, load
from backbone.control import Command, message_of
from backbone.errors import ConfigurationError
from backbone.feed import STATE_PARTITIONS
from backbone.moments import rfc3339
from backbone.redrive import repaired
from backbone.rejects import REPAIR_TYPE, Reject
from backbone.rejects import message_of as reject_message
from backbone.state import ShardState
from backbone.worker_settings import placed

app = App(name="rejects", help="Records that were set aside: look, repair, feed through again.")
REDRIVE_WAIT_SECS: Final = 60.0


async def open_rejects(deployment: Deployment, feed: str | None = None) -> dict[str, str]:
    """Return the ids of rejects that are not settled, with their feed, from the state topic."""
    from backbone.kafka.readers import read_topics  # noqa: PLC0415 - the clients are loaded when they are needed

    settings = deployment.worker_settings()
    states: dict[tuple[int, str], ShardState] = {}
    for running in settings.feeds:
        for shard in running.source.shards():
            key = f"{running.name}/{shard}"
            states[placed(running, shard, STATE_PARTITIONS), key] = ShardState(key, 0)
    async for record in read_topics(deployment.connection, [deployment.topics.state]):
        for (partition, _), state in states.items():
            if partition == record.partition and (record.key or b"").startswith(b"rej/"):
                state.apply(record.key or b"", record.value)
    return {
        entry.id: key.partition("/")[0]
        for (_, key), state in states.items()
        for entry in state.rejects.values()
        if feed in {None, key.partition("/")[0]}
    }


async def _newest(deployment: Deployment, wanted: dict[str, str]) -> AsyncIterator[Reject]:
    from backbone.kafka.readers import read_topics  # noqa: PLC0415

    newest: dict[str, Reject] = {}
    async for record in read_topics(deployment.connection, [deployment.topics.rejects]):
        key = (record.key or b"").decode()
        if key in wanted and record.value is not None:
            newest[key] = Reject.model_validate_json(record.value)
    for reject in sorted(newest.values(), key=lambda reject: (reject.feed, reject.sequence)):
        yield reject


@app.command(name="list")
async def list_(*, config: Config = HERE, feed: str | None = None, code: str | None = None, json: bool = False) -> int:
    """List the rejects that are not settled; the records themselves are not shown.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    feed
        Only this feed's.
    code
        Only those with this reason code.
    json
        One JSON object a reject, without the record.
    """
    deployment = load(config)
    rows = []
    async for reject in _newest(deployment, await open_rejects(deployment, feed)):
        if code not in {None, reject.code}:
            continue
        if json:
            shown = reject.model_dump(exclude={"raw", "identity"})
            output.json_line({"schema_version": output.SCHEMA_VERSION, **shown})
        else:
            rows.append((
                reject.id, reject.feed, reject.code, reject.field, reject.legacy_code, reject.document,
                reject.record_number, "" if reject.offset is None else reject.offset,
            ))  # fmt: skip
    if not json:
        columns = ("id", "feed", "code", "field", "legacy code", "document", "record", "byte")
        output.table(columns, rows, numbers=("record", "byte"))
    return 0


@app.command
async def show(id: str, *, config: Config = HERE, reveal: bool = False) -> int:  # noqa: A002 - the option's name
    """Show one reject; its record is masked unless it is revealed.

    Parameters
    ----------
    id
        The reject's id.
    config
        The deployment file, or its folder.
    reveal
        Print the record as it was: it may hold personal data. Its JSON can be edited and given to redrive --repair.
    """
    deployment = load(config)
    async for reject in _newest(deployment, {id: ""}):
        shown: dict[str, Any] = reject.model_dump(exclude={"identity"})
        if not reveal:
            shown["raw"] = dict.fromkeys(reject.raw, "********")
        sys.stdout.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    raise ConfigurationError("there is no such reject", code="reject.unknown", guidance="see `backbone rejects list`")


@app.command
async def redrive(
    feed: str,
    *id: str,  # noqa: A002 - the argument's name
    config: Config = HERE,
    code: str = "",
    repair: Path | None = None,
    dry_run: bool = False,
    wait: bool = True,
) -> int:
    """Feed open rejects through the pipeline again, with today's adapter and options: same ids, in order.

    Parameters
    ----------
    feed
        The feed whose rejects they are.
    id
        These only; without any, all that are open.
    config
        The deployment file, or its folder.
    code
        Only those with this reason code.
    repair
        A JSON file with the one record as it should have been; name its id.
    dry_run
        Say how many, and do nothing.
    wait
        Wait until the worker that owns the feed has done it.
    """
    deployment = load(config)
    deployment.feed(feed)
    known = await open_rejects(deployment, feed)
    chosen = [
        reject
        async for reject in _newest(deployment, known)
        if (not id or reject.id in id) and code in {"", reject.code}
    ]
    output.say(f"{len(chosen):,} of {len(known):,} open rejects of {feed}")
    if dry_run or not chosen:
        return 0
    if repair is not None:
        if len(chosen) != 1:
            raise ConfigurationError("a repair is for one reject: name its id", code="reject.repair-which")
        await _repair(deployment, chosen[0], repair)
    command = Command(
        kind="redrive", feed=feed, ids=tuple(id), code=code, at=rfc3339(datetime.now(UTC)), by=getpass.getuser()
    )
    return await send_command(deployment, command, wait=wait)


async def _repair(deployment: Deployment, reject: Reject, file: Path) -> None:
    from backbone.kafka.broker import PlainProducer  # noqa: PLC0415

    try:
        raw = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        message = f"{file} is no JSON file ({type(error).__name__})"
        raise ConfigurationError(message, code="reject.repair-unreadable") from None
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{file} is no JSON object", code="reject.repair-unreadable")
    record = raw.get("raw", raw)
    mended = repaired(reject, record, rfc3339(datetime.now(UTC)))
    source = deployment.feed(reject.feed).origin.source
    message_out = reject_message(mended, source=source, traceparent="", event_type=REPAIR_TYPE)
    async with PlainProducer(deployment.connection) as producer:
        await producer.send(deployment.topics.rejects, message_out)


async def send_command(deployment: Deployment, command: Command, *, wait: bool) -> int:
    """Write a command to the control topic and wait until its shards have obeyed it; return the exit code."""
    from backbone.cli.running import newest  # noqa: PLC0415
    from backbone.kafka.broker import PlainProducer  # noqa: PLC0415

    async with PlainProducer(deployment.connection) as producer:
        offset = await producer.send(deployment.topics.control, message_of(command))
    if not wait:
        output.say("the command is written; the worker that owns the feed will obey it")
        return 0
    try:
        async with asyncio.timeout(REDRIVE_WAIT_SECS):
            while True:
                found = [entry for entry in await newest(deployment) if entry.feed == command.feed]
                if found and all(entry.control > offset for entry in found):
                    output.say("done; see `backbone receipts list`", "green")
                    return 0
                await asyncio.sleep(0.5)
    except TimeoutError:
        output.say("no worker has obeyed yet: is `backbone run` up? The command stays written", "yellow")
        return 1
