"""`backbone run`, `backbone status` and `backbone broker`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backbone.board import Board
from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import Deployment, load
from backbone.errors import ConfigurationError, UnreachableError
from backbone.logs import configure_logging
from backbone.moments import epoch_ms
from backbone.problems import did_you_mean
from backbone.status import WORST_FIRST, ShardStatus

ANSWER_SECS: Final = 4.0
RECENT_MS: Final = 15_000


async def run(
    *, config: Config = HERE, once: bool = False, http: str | None = None, process: str | None = None,
    log_json: bool | None = None,
) -> int:  # fmt: skip
    """Run every feed until stopped; SIGTERM ends after the transactions in hand, within ten seconds.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    once
        End when everything that lies ready has its receipt.
    http
        Serve /livez, /readyz and /metrics at HOST:PORT.
    process
        Run only the feeds that name this process; without it, all of them, those in processes of their own.
    log_json
        JSON log lines; by default when standard error is no terminal.
    """
    from backbone.contracts.fit import ensure_as_released  # noqa: PLC0415
    from backbone.processes import Processes, Supervised  # noqa: PLC0415
    from backbone.provisioning import ensure_fit_to_run  # noqa: PLC0415 - the clients are loaded when they are needed
    from backbone.stopping import end_process  # noqa: PLC0415
    from backbone.worker import run_worker  # noqa: PLC0415

    as_json = not sys.stderr.isatty() if log_json is None else log_json
    configure_logging(json=as_json)
    deployment = load(config)
    named = deployment.processes()
    if process is not None and process not in named:
        message = f"no feed names the process {process!r}"
        raise ConfigurationError(message, code="config.no-process", guidance=did_you_mean(process, list(named)))
    ensure_as_released(event for feed in deployment.feeds for event in feed.adapter.emits)
    settings = replace(
        deployment.worker_settings(once=once), http=http, process=process, fit=lambda: ensure_fit_to_run(deployment),
        supervised=Supervised.from_environment(),
    )  # fmt: skip
    if named and process is None:
        arguments = ["run", "--config", str(config), *(["--once"] if once else []),
                     "--log-json" if as_json else "--no-log-json"]  # fmt: skip
        command = [sys.executable, "-m", "backbone", *arguments]
        processes = Processes(command, named, once=once, figures=http is not None)
        settings = replace(settings, process="", processes=processes)
    code = await run_worker(settings)
    end_process(code)
    return code


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
    found = await newest(deployment)
    now_ms = epoch_ms(datetime.now(UTC))
    for feed in deployment.feeds:
        if not any(one.feed == feed.name for one in found):
            found.append(ShardStatus(feed.name, "?", "", paused=feed.model.paused))
    judged = [(one.verdict(now_ms), one) for one in found]
    judged.sort(key=lambda entry: (WORST_FIRST.index(entry[0].state), entry[1].feed, entry[1].shard))
    if json:
        for verdict, one in judged:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **one.as_json(), **verdict.as_json()})
    else:
        columns = ("state", "feed", "shard", "since", "cause", "waits for", "what to do", "waiting", "open rejects")
        rows = [
            (verdict.state, one.feed, one.shard, _clock(verdict.since_ms), verdict.code, verdict.waits_for,
             verdict.to_do, one.waiting, one.open_rejects)
            for verdict, one in judged
        ]  # fmt: skip
        output.table(columns, rows, numbers=("waiting", "open rejects"))
        causes = dict.fromkeys(verdict.code for verdict, _ in judged if not verdict.is_well)
        if causes:
            output.say(f"docs/operations.md has an entry for each cause: {', '.join(causes)}")
    return 0 if all(verdict.is_well for verdict, _ in judged) else 1


async def newest(deployment: Deployment) -> list[ShardStatus]:
    """Return the newest heartbeat of each of the deployment's shards: recent ones, and all where that is not enough."""
    names = {feed.name for feed in deployment.feeds}
    recent = epoch_ms(datetime.now(UTC)) - RECENT_MS
    for begin in (recent, 0):
        board = await _heard(deployment, begin)
        found = [one for one in board.of(deployment.model.deployment) if one.feed in names]
        if {one.feed for one in found} == names:
            break
    return found


async def _heard(deployment: Deployment, begin_ms: int) -> Board:
    """Read heartbeats; a broker that says nothing for four seconds is as good as none."""
    from backbone.kafka.readers import read_topics  # noqa: PLC0415

    board = Board()
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(ANSWER_SECS) as patience:
            async for record in read_topics(deployment.connection, [deployment.topics.status], begin=begin_ms):
                patience.reschedule(clock() + ANSWER_SECS)
                if record.value is not None:
                    board.take(record.value)
    except TimeoutError:
        address = deployment.connection.bootstrap_servers
        message = f"the broker at {address} takes connections and does not answer"
        raise UnreachableError(message, guidance="look at the brokers and the network") from None
    return board


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
