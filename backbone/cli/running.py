"""`backbone run`, `backbone status` and `backbone broker`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import stamina

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import Deployment, load
from backbone.errors import UnreachableError
from backbone.logs import configure_logging
from backbone.moments import epoch_ms
from backbone.status import WORST_FIRST, ShardStatus


async def run(*, config: Config = HERE, once: bool = False, log_json: bool | None = None) -> int:
    """Run every feed until stopped; SIGTERM ends after the transactions in hand.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    once
        End when everything that lies ready has its receipt.
    log_json
        JSON log lines; by default when standard error is no terminal.
    """
    from backbone.worker import run_worker  # noqa: PLC0415 - the clients are loaded when they are needed

    configure_logging(json=not sys.stderr.isatty() if log_json is None else log_json)
    deployment = load(config)
    await _until_fit(deployment, once=once)
    return await run_worker(deployment.worker_settings(once=once))


async def _until_fit(deployment: Deployment, *, once: bool) -> None:
    """Wait for the broker with back-off; one-shot runs give up at once."""
    from backbone.provisioning import ensure_fit_to_run  # noqa: PLC0415

    stamina.instrumentation.set_on_retry_hooks([])  # the default hook would log the arguments
    waiting = stamina.retry_context(
        on=UnreachableError, attempts=1 if once else None, timeout=None, wait_initial=0.5, wait_max=15.0
    )
    said = False
    async for attempt in waiting:
        with attempt:
            try:
                await ensure_fit_to_run(deployment)
            except UnreachableError as error:
                if not said:
                    output.say(f"{deployment.connection.bootstrap_servers}: {error.message}; trying again", "yellow")
                said = True
                raise


async def status(*, config: Config = HERE, json: bool = False) -> int:
    """Show how every feed is, worst first. Exit code 1 when one needs somebody.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    json
        One JSON object a shard.
    """
    deployment = load(config)
    newest = await _newest(deployment)
    now_ms = epoch_ms(datetime.now(UTC))
    for feed in deployment.feeds:
        if not any(found.feed == feed.name for found in newest.values()):
            newest[f"{feed.name}/?"] = ShardStatus(feed.name, "?", "", paused=feed.model.paused)
    judged = [(*found.judged(now_ms), found) for found in newest.values()]
    judged.sort(key=lambda entry: (WORST_FIRST.index(entry[0]), entry[2].feed))
    if json:
        for state, code, found in judged:
            output.json_line({
                "schema_version": output.SCHEMA_VERSION, "state": state, "code": code or None, **found.as_json()
            })  # fmt: skip
    else:
        columns = ("state", "feed", "shard", "since", "documents", "waiting", "open rejects", "cause", "what to do")
        rows = [
            (state, found.feed, found.shard, _clock(found.since_ms), found.documents, found.waiting,
             found.open_rejects, code, _advice(code, found))
            for state, code, found in judged
        ]  # fmt: skip
        output.table(columns, rows, numbers=("documents", "waiting", "open rejects"))
    return 0 if all(state in {"OK", "PAUSED"} for state, _, _ in judged) else 1


async def _newest(deployment: Deployment) -> dict[str, ShardStatus]:
    from backbone.kafka.readers import read_topics  # noqa: PLC0415

    newest: dict[str, ShardStatus] = {}
    async for record in read_topics(deployment.connection, [deployment.topics.status]):
        if record.value is not None:
            content = orjson.loads(record.value)
            content.pop("v")
            newest[(record.key or b"").decode()] = ShardStatus(**content)
    return newest


def _advice(code: str, found: ShardStatus) -> str:
    if found.guidance and code == found.stalled_code:
        return found.guidance
    return f"docs/operations.md, {code}" if code else ""


def _clock(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1_000, UTC).strftime("%d %b %H:%M:%SZ") if moment_ms else ""


async def broker(*, folder: Path = Path(".backbone/kafka"), port: int = 9092) -> int:
    """Run a real Kafka in the foreground, for a laptop. Ctrl-C ends it; its data is kept.

    Parameters
    ----------
    folder
        Where its data is kept.
    port
        Its port on 127.0.0.1.
    """
    from backbone.embedded import EmbeddedKafka  # noqa: PLC0415 - Java is looked for when it is needed

    output.say("Starting Kafka; the first time its jars are fetched ...")
    async with EmbeddedKafka(folder.resolve(), port=port) as kafka:
        output.say(f"Kafka is ready at {kafka.bootstrap_servers}; Ctrl-C ends it. Its data is in {folder}", "green")
        async for _ in _signals():
            break
    return 0


async def _signals() -> AsyncIterator[None]:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()
    yield
