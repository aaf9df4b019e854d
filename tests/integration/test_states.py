"""Every stall shows within five seconds, in /readyz, metrics and `backbone status`, and goes when its cause does."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client.parser import text_string_to_metric_families

from backbone.cli import documents, running
from backbone.config import Deployment, load
from backbone.embedded import EmbeddedKafka
from backbone.embedded.cluster import EmbeddedCluster
from backbone.errors import UnreachableError
from backbone.kafka.admin import alter_settings
from backbone.kafka.broker import PlainProducer
from backbone.kafka.stable_offsets import Place, watch_stable_offsets
from backbone.provisioning import apply, ensure_fit_to_run
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker, run_worker

WITHIN_SECS = 5.0
FEED = "\n  - {{name: {name}, adapter: symology, system: {name}, source: {{type: files, url: {url}, pattern: '*.csv', ready_after_secs: 0, poll_interval_secs: 0.1}}{more}}}"  # noqa: E501 - one line of YAML
BAD = "31/02/2031 09:00,06/01/2031,{},RECORDED,,NI2,N3,RSW,RES,1\n"


def feed(name: str = "hw", url: str = "drop", more: str = "") -> str:
    return FEED.format(name=name, url=url, more=more)


@dataclass
class Watched:
    """A worker in this process, as it looks from outside."""

    worker: Worker
    deployment: Deployment
    client: httpx2.AsyncClient

    async def readyz(self, *, verbose: bool = False) -> httpx2.Response:
        """Ask whether somebody is needed."""
        return await self.client.get("/readyz", params={"verbose": ""} if verbose else {})

    async def metrics(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the value of every sample by name and by its labels' values but for the organisation."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families((await self.client.get("/metrics")).text):
            for sample in family.samples:
                names = sorted(set(sample.labels) - {"organisation"}, key=lambda name: (name != "feed", name))
                labels = tuple(sample.labels[name] for name in names)
                found.setdefault(sample.name, {})[labels] = sample.value
        return found

    async def is_seen(self, name: str, state: str, code: str) -> bool:
        """Say whether /readyz and metrics show a feed in a state."""
        shown = (await self.readyz(verbose=True)).json()["feeds"]
        now = {(one["feed"], one["state"], one["code"] or "") for one in shown}
        figures = await self.metrics()
        in_figures = figures.get("backbone_feed_state", {}).get((name, state)) == 1.0
        causes = figures.get("backbone_feed_cause", {})
        return (name, state, code) in now and in_figures and (not code or causes.get((name, code)) == 1.0)

    async def shows(self, name: str, state: str, code: str, within_secs: float = WITHIN_SECS) -> float:
        """Wait until the feed is seen in a state; return after how many seconds it was."""
        began = time.monotonic()
        while not await self.is_seen(name, state, code):
            if time.monotonic() - began > within_secs:
                seen = (await self.readyz(verbose=True)).text
                pytest.fail(f"{name} did not show as {state} {code} within {within_secs:.0f} s; {seen}")
            await asyncio.sleep(0.05)
        return time.monotonic() - began


@asynccontextmanager
async def watched(deployment: Deployment) -> AsyncIterator[Watched]:
    """Run a worker of the deployment, as `backbone run --http` does."""
    settings = deployment.worker_settings()
    fit = lambda: ensure_fit_to_run(deployment)  # noqa: E731 - as the command line has it
    worker = Worker(replace(settings, http="127.0.0.1:0", fit=fit))
    running_ = asyncio.create_task(worker.run())
    while not worker.http_port:
        await asyncio.sleep(0.01)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{worker.http_port}", timeout=5) as client:
        try:
            yield Watched(worker, deployment, client)
        finally:
            worker.stop()
            await asyncio.wait_for(running_, 30)


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str]) -> Callable[[Deployment], Awaitable[list[dict[str, Any]]]]:
    """Give a function that runs `backbone status --json`."""

    async def run(deployment: Deployment) -> list[dict[str, Any]]:
        capsys.readouterr()
        await running.status(config=deployment.path, json=True)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return run


Status = Callable[[Deployment], Awaitable[list[dict[str, Any]]]]


async def told(status: Status, deployment: Deployment, name: str, state: str, code: str) -> dict[str, Any]:
    """Wait until `backbone status` tells of a feed in a state."""
    began = time.monotonic()
    while True:
        found = await status(deployment)
        for one in found:
            if (one["feed"], one["state"], one["code"] or "") == (name, state, code):
                return one
        if time.monotonic() - began > WITHIN_SECS:
            pytest.fail(f"{name} is not {state} {code} in {found}")
        await asyncio.sleep(0.05)


def drop(deployment: Deployment, *parts: str) -> Path:
    folder = Path(deployment.path.parent, "drop", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def test_states_of_documents_and_sources(deploy: Callable[..., Deployment], status: Status) -> None:
    """A missing folder, no data, a held document, many rejects and a pause each show and go with their cause."""
    deployment = deploy(
        feed("missing", "nowhere") + feed("late", "drop/late", ", expected_every_secs: 2") + feed("held", "drop/held")
        + feed("failing", "drop/failing") + feed("paused", "drop", ", paused: true") + feed("fine", "drop/fine")
        + feed("blocked", "drop/blocked, after: move")
    )  # fmt: skip
    await apply(deployment)
    for name in ("late", "fine"):
        drop(deployment, name)
    (drop(deployment, "held") / "20310106.csv").write_text("<html>503</html>")
    write(drop(deployment, "failing") / "20310106.csv", [BAD.format(799_000 + number) for number in range(30)])
    write(drop(deployment, "blocked") / "20310106.csv", rows(3))
    (drop(deployment, "blocked") / "done").write_text("where a folder should be")
    async with watched(deployment) as seen:
        await seen.shows("missing", "STUCK", "source.folder-missing")
        await seen.shows("blocked", "STUCK", "source.not-put-away")
        await seen.shows("late", "LATE", "feed.late")
        await seen.shows("held", "HELD", "document.unknown-layout")
        await seen.shows("failing", "FAILING", "feed.many-rejects")
        await seen.shows("paused", "PAUSED", "feed.paused")
        await seen.shows("fine", "OK", "")
        answer = await seen.readyz()
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert [one["feed"] for one in problem["feeds"]] == ["failing", "blocked", "missing", "held", "late"]
        assert (problem["status"], problem["code"]) == (503, "feed.many-rejects")
        assert all(one["since"] and one["waits_for"] and one["to_do"] and one["runbook"] for one in problem["feeds"])
        for one in problem["feeds"]:
            assert await told(status, deployment, one["feed"], one["state"], one["code"])
        everything = (await seen.readyz(verbose=True)).json()["feeds"]
        by_status = await status(deployment)
        pick = ("feed", "shard", "worker", "state", "code", "since", "waits_for", "to_do")
        assert [{name: one[name] for name in pick} for one in everything] == [
            {name: one[name] for name in pick} for one in by_status
        ]

        (drop(deployment, "blocked") / "done").unlink()
        await seen.shows("blocked", "OK", "")
        drop(deployment, "..", "nowhere")
        await seen.shows("missing", "OK", "")
        write(drop(deployment, "late") / "20310106.csv", rows(30))
        await seen.shows("late", "OK", "")
        write(drop(deployment, "failing") / "20310107.csv", rows(30))
        await seen.shows("failing", "OK", "")
        sha256 = next(iter(seen.worker.shards[2].status.held))
        async with PlainProducer(deployment.connection) as producer:
            await producer.send(deployment.topics.control, (b"held/?/?", b'{"kind": "no command"}', []))
        assert await documents.discard("held", sha256, config=deployment.path) == 0
        await seen.shows("held", "OK", "")
        figures = await seen.metrics()
        assert figures["backbone_feed_records_total"]["failing", "rejected"] == 30
        assert figures["backbone_feed_records_total"]["failing", "published"] == 30
        assert figures["backbone_feed_documents_total"]["held", "held"] == 1
        assert figures["backbone_feed_rejects_open"]["failing",] == 30


async def test_a_broker_that_is_stopped_or_killed_shows_while_deadlines_run(
    deploy: Callable[..., Deployment], tmp_path: Path, status: Status
) -> None:
    """An idle feed and one in a transaction show a silent broker, and one that is gone; both go on by themselves."""
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        deployment = deploy(feed(), at=kafka.bootstrap_servers)
        await apply(deployment)
        async with watched(deployment) as seen:
            await seen.shows("hw", "OK", "", 30)
            kafka.pause()
            await seen.shows("hw", "STUCK", "broker.unreachable")
            with pytest.raises(UnreachableError):
                await asyncio.wait_for(status(deployment), WITHIN_SECS)
            kafka.resume()
            await seen.shows("hw", "OK", "", 30)
            write(drop(deployment) / "20310106.csv", rows(60_000))
            while not seen.worker.shards[0].tally.events:
                await asyncio.sleep(0.01)
            await kafka.kill()
            await seen.shows("hw", "STUCK", "broker.unreachable")
            with pytest.raises(UnreachableError):
                await asyncio.wait_for(status(deployment), WITHIN_SECS)
            assert (await seen.client.get("/livez")).text == "ok"
            await kafka.start()
            await seen.shows("hw", "OK", "", 60)
            while not seen.worker.shards[0].status.documents:
                await asyncio.sleep(0.05)
        assert faults(await events(deployment.connection, deployment.organisation), list(rows(60_000))) == []


async def test_a_worker_that_starts_without_its_broker_says_so(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    """Before a broker was ever seen, /readyz names it; when it comes the worker goes on."""
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        deployment = deploy(feed(), at=kafka.bootstrap_servers)
        await apply(deployment)
        kafka.pause()
        async with watched(deployment) as seen:
            await seen.shows("hw", "STUCK", "broker.unreachable")
            assert (await seen.metrics())["backbone_worker_ready"] == {(): 0.0}
            kafka.resume()
            await seen.shows("hw", "OK", "", 30)


async def test_topics_that_refuse_or_are_missing_show_with_their_name(
    deploy: Callable[..., Deployment], status: Status
) -> None:
    """Nothing is dropped or acknowledged while a topic takes no records or is gone; the topic is named."""
    deployment = deploy(feed())
    await apply(deployment)
    topic = f"{deployment.organisation}.servicerequests.v1"
    async with watched(deployment) as seen:
        await seen.shows("hw", "OK", "", 20)
        await alter_settings(deployment.connection, topic, {"max.message.bytes": "500"})
        write(drop(deployment) / "20310106.csv", rows(200))
        await seen.shows("hw", "STUCK", "topic.refused")
        assert topic in (await told(status, deployment, "hw", "STUCK", "topic.refused"))["waits_for"]
        await alter_settings(deployment.connection, topic, {"max.message.bytes": "1048588"})
        await seen.shows("hw", "OK", "", 30)
        assert faults(await events(deployment.connection, deployment.organisation), list(rows(200))) == []
        admin = AIOKafkaAdminClient(bootstrap_servers=deployment.connection.bootstrap_servers)
        await admin.start()
        await admin.delete_topics([topic])
        await admin.close()
        write(drop(deployment) / "20310107.csv", rows(300))
        await seen.shows("hw", "STUCK", "topic.missing")
        assert topic in (await told(status, deployment, "hw", "STUCK", "topic.missing"))["waits_for"]
        assert (await seen.metrics())["backbone_feed_stalls_total"]["hw", "topic.missing"] >= 1


async def test_a_topic_below_its_replicas_in_sync_shows_and_loses_nothing(
    deploy: Callable[..., Deployment], status: Status
) -> None:
    """What a broker refuses for now, and the client sends again without a word, shows with its reason."""
    async with EmbeddedCluster() as cluster:
        made = deploy(feed(), at=cluster.bootstrap_servers)
        text = made.path.read_text()
        made.path.write_text(text.replace("_factor: 1, min_insync_replicas: 1", "_factor: 2, min_insync_replicas: 2"))
        deployment = load(made.path)
        await apply(deployment)
        async with watched(deployment) as seen:
            await seen.shows("hw", "OK", "", 30)
            await cluster.brokers[2].kill()
            write(drop(deployment) / "20310106.csv", rows(600))
            await seen.shows("hw", "STUCK", "topic.refused", 20)  # at first its leaders are missing
            for name in (*deployment.worker_settings().written_topics(), deployment.topics.status):
                await alter_settings(deployment.connection, name, {"min.insync.replicas": "1"})
            await seen.shows("hw", "OK", "", 30)
        assert faults(await events(deployment.connection, deployment.organisation), list(rows(600))) == []


async def test_a_transaction_that_hangs_is_an_alarm(deploy: Callable[..., Deployment], status: Status) -> None:
    """A sibling's open transaction in the state partition shows as its own alarm until it is aborted."""
    deployment = deploy(feed(more=", state_partition: 3"))
    await apply(deployment)
    sibling = AIOKafkaProducer(
        **deployment.connection.options(), transactional_id=f"{deployment.organisation}.hanging", acks="all"
    )
    await sibling.start()
    await sibling.begin_transaction()
    await (await sibling.send(deployment.topics.state, b"{}", key=b"other/shard", partition=3))
    async with watched(deployment) as seen:
        await seen.shows("hw", "STUCK", "state.offset-stuck")
        assert (await seen.metrics())["backbone_alarm"]["hw", "state.offset-stuck"] == 1
        one = await told(status, deployment, "hw", "STUCK", "state.offset-stuck")
        assert f"{deployment.topics.state}/3" in one["waits_for"]
        await sibling.abort_transaction()
        await seen.shows("hw", "OK", "")
        assert (await seen.metrics())["backbone_alarm"]["hw", "state.offset-stuck"] == 0
    await sibling.stop()


async def test_two_deployments_with_the_same_names_are_an_alarm(
    deploy: Callable[..., Deployment], status: Status
) -> None:
    """Both sides see the other one, even while nothing is to be done, and neither when it has gone."""
    first, second = (deploy(feed(), deployment=name) for name in ("first", "second"))
    await apply(first)
    async with watched(first) as one:
        await one.shows("hw", "OK", "", 20)
        async with watched(second) as other:
            await other.shows("hw", "OK", "", 20)
            await one.shows("hw", "STUCK", "feed.ids-in-use")
            await other.shows("hw", "STUCK", "feed.ids-in-use")
            assert (await one.metrics())["backbone_alarm"]["hw", "feed.ids-in-use"] == 1
            found = await told(status, first, "hw", "STUCK", "feed.ids-in-use")
            assert "second" in found["waits_for"]
        await one.shows("hw", "OK", "", 2 * WITHIN_SECS)


async def test_a_shard_that_nobody_runs_shows_at_those_who_could(
    deploy: Callable[..., Deployment], status: Status
) -> None:
    """A worker with an older deployment file gets the lease and does not run the feed: the other one says so."""
    old = deploy(feed("a", more=", state_partition: 0"))
    await apply(old)
    async with watched(old) as holder:
        await holder.shows("a", "OK", "", 20)
        new = deploy(feed("a", more=", state_partition: 0") + feed("b", "drop/b", ", state_partition: 0"))
        drop(new, "b")
        async with watched(new) as other:
            assert holder.worker._leased or other.worker._leased
            lacking = holder if 0 in holder.worker._leased else other
            if lacking is holder:
                await other.shows("b", "STUCK", "feed.nobody-runs-it", 2 * WITHIN_SECS)
                await told(status, new, "b", "STUCK", "feed.nobody-runs-it")


async def test_a_duel_ends_one_side_and_its_last_word_stays(deploy: Callable[..., Deployment], status: Status) -> None:
    """Two deployments that take one id from each other again and again: one ends, says why, and exits with 5."""
    fighting = [deploy(feed(), deployment=name) for name in ("first", "second")]
    await apply(fighting[0])
    wanted = list(rows(400))
    for number in range(200):
        write(drop(fighting[0]) / f"2031{number:04}.csv", wanted[2 * number : 2 * number + 2])
    workers = [Worker(deployment.worker_settings()) for deployment in fighting]
    running_ = [asyncio.create_task(worker.run()) for worker in workers]
    await asyncio.wait(running_, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    loser = 0 if running_[0].done() else 1
    assert running_[loser].result() == 5
    assert await told(status, fighting[loser], "hw", "FAILING", "feed.ids-in-use")
    workers[1 - loser].stop()
    assert await running_[1 - loser] in {0, 5}
    assert await run_worker(fighting[0].worker_settings(once=True)) == 0
    assert faults(await events(fighting[0].connection, fighting[0].organisation), wanted) == []


async def test_readers_that_a_hanging_transaction_holds_back_are_an_alarm(
    deploy: Callable[..., Deployment],
) -> None:
    """A feed may run well while nobody can read what it writes: the partition and the offset are named."""
    deployment = deploy(feed())
    await apply(deployment)
    topic = f"{deployment.organisation}.servicerequests.v1"
    hanging = AIOKafkaProducer(
        **deployment.connection.options(), transactional_id=f"{deployment.organisation}.hanging", acks="all"
    )
    await hanging.start()
    await hanging.begin_transaction()
    await (await hanging.send(topic, b"{}", key=b"x", partition=2))
    async with watched(deployment) as seen:
        await seen.shows("hw", "OK", "", 20)
        found: list[Mapping[Place, int]] = []

        def stuck(places: Mapping[Place, int]) -> None:
            found.append(places)
            seen.worker.reporter.readers_wait(places)

        watching = asyncio.create_task(
            watch_stable_offsets(deployment.connection, seen.worker.reporter.written_topics, stuck, 0.2)
        )
        await seen.shows("hw", "STUCK", "topic.offset-stuck")
        assert found[-1] == {(topic, 2): 0}
        assert (await seen.metrics())["backbone_alarm"]["hw", "topic.offset-stuck"] == 1
        await hanging.abort_transaction()
        await seen.shows("hw", "OK", "")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await hanging.stop()


async def test_an_address_in_use_is_one_sentence_and_exit_2(deploy: Callable[..., Deployment]) -> None:
    """Before anything is connected: what is wrong, with the address, and what to do."""
    deployment = deploy(feed())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backbone", "run", "--config", str(deployment.path), "--http", address,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines() == [
        f"error config.address-in-use: nothing can listen on {address}: address already in use",
        "  what to do: choose another address, or stop what uses this one",
    ]
