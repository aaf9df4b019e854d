"""What subscribers show of themselves: figures, logs, traces; and what they never show, the values of events."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backbone.cli import dead
from backbone.embedded.broker import free_port
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import read_topics
from backbone.subscriber import Event, Output, Settings, Subscriber, Transform
from backbone.subscriber.positions import positions_topic
from backbone.subscriber.testing import run_handlers
from backbone.testing.events import Publisher
from backbone.topics import COMPACTED
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import changed, make_topics, number_of, publish, quick, running, until

CANARY = "Canaria Plantedname"
SERVICE = f"""
from backbone.subscriber import PermanentError, Settings, Subscriber
from schemas.servicerequests.v1 import StatusChanged

subscriber = Subscriber("s", Settings(tries=2, first_wait_secs=0.01, after_dead="continue"))

@subscriber.on(StatusChanged, organisations=[subscriber.settings.organisation])
async def handle(event):
    if event.data.service_code == "1":
        raise ValueError("{CANARY} has no such case", event.data, event)
    if event.data.service_code == "2":
        raise PermanentError("{CANARY} moved", code="{CANARY}")
    if event.data.service_code == "3":
        raise PermanentError(event.data.description or "", code="handler.moved")

subscriber.main()
"""


async def test_planted_values_stay_in_the_original(
    broker: str, organisation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logs, figures, errors, commands and the headers that are added to dead letters hold none of them."""
    topic = await make_topics(broker, organisation, partitions=1)
    speaker = Publisher(organisation)
    messages = speaker.messages(changed("canary-plantedname", number, description=CANARY) for number in range(5))
    _, (key, value, headers) = messages[0]
    wrong = [(name, CANARY.encode() if name == "ce_type" else content) for name, content in headers]
    typed = [(name, b"text/" + CANARY.encode() if name == "content-type" else content) for name, content in headers]
    messages += [
        (topic, (key, b'{"state": "' + CANARY.encode() + b'"}', headers)),
        (topic, (key, CANARY.encode(), headers)),
        (topic, (key, value, [*headers, ("ce_" + CANARY, CANARY.encode())])),
        (topic, (key, value, [(name, content) for name, content in wrong if name != "ce_id"])),
        (topic, (key, value, typed)),
        (topic, (key, value, [("x", CANARY.encode())])),
    ]
    await publish(broker, messages)
    (tmp_path / "service.py").write_text(SERVICE)
    port = free_port()
    environment = {
        **os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": organisation,
        "BACKBONE_HTTP": f"127.0.0.1:{port}",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "service.py", cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    seen: dict[str, bytes] = {}
    try:
        async with asyncio.timeout(60):
            while b"backbone_subscriber_handled_total" not in seen.get("figures", b"") or (
                b"open_letters{" not in seen["figures"] or b" 7.0" not in seen["figures"]
            ):
                await asyncio.sleep(0.1)
                async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    try:
                        seen["figures"] = (await client.get("/metrics")).content
                        seen["readiness"] = (await client.get("/readyz")).content
                    except httpx2.ConnectError:
                        continue
    finally:
        process.terminate()
        seen["log"], _ = await process.communicate()
    capsys.readouterr()
    monkeypatch.setenv("BACKBONE_BOOTSTRAP_SERVERS", broker)
    monkeypatch.setenv("BACKBONE_ORGANISATION", organisation)
    assert await dead.list_("s") == await dead.show("s", f"{topic}/0/1") == 0
    assert await dead.retry("s", every=True, dry_run=True) == 0
    told = capsys.readouterr()
    seen["commands"] = (told.out + told.err).encode()
    assert b"handler.permanent" in seen["commands"]
    codes = set()
    async for record in read_topics(KafkaConnection(broker), [f"{organisation}.dead.s"]):
        added = [pair for pair in record.headers if pair[0].startswith("dead_")]
        seen[f"what was added to {dict(added)['dead_id'].decode()}"] = repr(added).encode()
        codes.add(dict(added)["dead_code"].decode())
    assert codes == {
        "handler.failed", "handler.permanent", "handler.moved", "event.schema", "event.undecodable",
        "event.content-type", "event.no-envelope",
    }  # fmt: skip
    assert [place for place, text in seen.items() if b"canar" in text.lower()] == []
    lines = [json.loads(line) for line in seen["log"].splitlines()]
    failed = next(line for line in lines if line["event"] == "event.failed")
    assert (failed["error"], failed["at"]) == ("ValueError", "__main__:10")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Set up OpenTelemetry as a service would, and undo it."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def by_name(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def test_spans_of_handlers_continue_the_producers_trace(spans: InMemorySpanExporter) -> None:
    """A handler does nothing special: its span is within ours, and ours within the one that the envelope names."""
    subscriber, events = Subscriber("s", Settings()), []

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        events.append(event)
        with trace.get_tracer("service").start_as_current_span("effect"):
            if event.data.service_code == "1" and len(events) < 3:
                raise ConnectionError(CANARY)

    await run_handlers(subscriber, [changed("a", 0), changed("b", 1)])
    ours, effects = by_name(spans, f"process {events[0].topic}"), by_name(spans, "effect")
    assert len(ours) == len(effects) == 3
    for event, span, effect in zip(events, ours, effects, strict=True):
        _, trace_id, parent_id, _ = event.traceparent.split("-")
        assert span.context is not None
        assert span.parent is not None
        assert effect.parent is not None
        assert f"{span.context.trace_id:032x}" == trace_id
        assert f"{span.parent.span_id:016x}" == parent_id
        assert effect.parent.span_id == span.context.span_id
        assert (span.attributes or {})["messaging.message.id"] == event.id
    assert [span.status.is_ok for span in ours] == [True, False, True]
    assert (ours[1].attributes or {})["error.type"] == "ConnectionError"
    assert all(not span.events for span in ours)


async def test_a_batch_links_the_traces_of_its_events(spans: InMemorySpanExporter) -> None:
    """One span, linked to each document's trace."""
    subscriber = Subscriber("s", Settings())
    traces: list[str] = []

    @subscriber.on(StatusChanged, batch=10)
    async def handle(events: list[Event[StatusChanged]]) -> None:
        traces.extend(event.traceparent.split("-")[1] for event in events)

    await run_handlers(subscriber, [changed("a", 0), changed("b", 1)])
    (span,) = spans.get_finished_spans()
    assert [f"{link.context.trace_id:032x}" for link in span.links] == traces


async def test_without_an_sdk_no_handler_is_wrapped() -> None:
    """Nobody pays for traces that go nowhere."""
    subscriber = Subscriber("s", Settings())

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        """Do nothing."""

    ((route,),) = [routes for name, routes in subscriber.running_routes().by_type.items() if b"status-changed" in name]
    assert route.handler is handle


async def test_what_handlers_log_has_the_trace_id(capsys: pytest.CaptureFixture[str]) -> None:
    """Structlog merges it into every line that a handler writes, and into ours about its event."""
    import structlog  # noqa: PLC0415

    log = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
    )
    subscriber, wanted = Subscriber("s", Settings(concurrency=2)), []

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        await asyncio.sleep(0)
        wanted.append(event.traceparent.split("-")[1])
        log.info("service.done")

    await run_handlers(subscriber, [changed("a", 0), changed("b", 1)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["trace_id"] for line in lines] == wanted
    assert len(set(wanted)) == 2


async def test_figures_tell_of_lag_and_delay(broker: str, organisation: str) -> None:
    """Offsets that are not done count, and so does the age of the oldest event among them."""
    await make_topics(broker, organisation, partitions=1)
    await publish(broker, Publisher(organisation).messages(changed(f"c{number}", number) for number in range(10)))
    subscriber, go_on = Subscriber("s", quick(broker, organisation)), asyncio.Event()

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if number_of(event) == 4:
            await go_on.wait()

    async with running(subscriber):
        await until(lambda: subscriber.tally.handled == 4)
        await until(lambda: list(subscriber.lag().values()) == [6])
        await until(lambda: subscriber.delay_secs > 0.5)
        assert subscriber.delay_secs < 60
        go_on.set()
        await until(lambda: subscriber.tally.handled == 10)
        await until(lambda: list(subscriber.lag().values()) == [0])
        assert subscriber.delay_secs == 0


async def test_a_transform_has_the_same_end_points(broker: str, organisation: str) -> None:
    """Ready while it holds its lease; its figures are those of subscribers; a missing topic shows at once."""
    topic, out, port = f"{organisation}.servicerequests.v1", f"{organisation}.out", free_port()
    await create_topics(
        KafkaConnection(broker),
        [
            TopicSpec(out, 1, 1), TopicSpec(f"{organisation}.dead.t", 1, 1),
            TopicSpec(positions_topic(organisation, "t"), 12, 1, COMPACTED),
        ],
    )  # fmt: skip
    settings = Settings(bootstrap_servers=broker, organisation=organisation, http=f"127.0.0.1:{port}")
    transform = Transform("t", settings, to=[out])
    transform.on(StatusChanged, organisations=[organisation])(lambda event: Output(b"x"))
    running_task = asyncio.create_task(transform.run())
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await until(lambda: transform.trouble == "subscriber.no-topics")
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "subscriber.no-topics")
            await create_topics(KafkaConnection(broker), [TopicSpec(topic, 1, 1)])
            await publish(broker, Publisher(organisation).messages(changed("c", number) for number in range(5)))
            await until(lambda: transform.tally.handled == 5 and transform.ready)
            assert (await client.get("/readyz")).status_code == 200
            figures = (await client.get("/metrics")).text
            assert 'backbone_subscriber_handled_total{subscriber="t"} 5.0' in figures
            assert f'backbone_subscriber_lag_records{{partition="0",subscriber="t",topic="{topic}"}} 0.0' in figures
    finally:
        transform.stop()
        await asyncio.wait_for(running_task, 30)
