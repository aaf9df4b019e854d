"""Traces: what handlers log carries the producer's trace id, and their spans continue the producer's trace.

The first costs next to nothing: a context variable of structlog's naming, whose text is made when a line is written.
Tasks that a handler starts and waits for have it, too.
The second is there when the process has set up an OpenTelemetry SDK, and only then.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Link, NoOpTracerProvider, ProxyTracerProvider, SpanKind, Status, StatusCode

from backbone.subscriber.event import Event, trace_id_of
from backbone.subscriber.routes import Handler, Route
from backbone.subscriber.work import PartitionRun

MOST_LINKS: Final = 100


class InHand:
    """The record that a worker has in hand: its trace id is found when a line is written, and costs nothing else."""

    __slots__ = ("record", "run")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.record: Any = None
        self.run: PartitionRun | None = None

    def __str__(self) -> str:
        """Return the 32 digits of the trace, or nothing."""
        return "" if self.record is None else trace_id_of(self.record.headers)

    __repr__ = __str__
    __structlog__ = __str__


TRACE_ID: Final[ContextVar[InHand | None]] = ContextVar("structlog_trace_id", default=None)
"""Set once a worker. structlog merges context variables of such names into what is logged."""


def is_set_up() -> bool:
    """Say whether the process has an OpenTelemetry SDK that spans go to."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider | NoOpTracerProvider)


def in_trace(route: Route, group: str) -> Handler:
    """Return a route's handler within a span that continues the producer's trace, or links the traces of a batch."""
    tracer = trace.get_tracer("backbone.subscriber")
    handler = route.handler

    async def handle(taken: Any) -> None:
        events: Sequence[Event[Any]] = taken if route.batch else (taken,)
        first = events[0]
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": group,
            "messaging.destination.name": first.topic,
            "messaging.destination.partition.id": str(first.partition),
        }
        if route.batch:
            attributes["messaging.batch.message_count"] = len(events)
            places: dict[str, Any] = {"links": _links(events)}
        else:
            attributes |= {"messaging.message.id": first.id, "messaging.kafka.offset": first.offset}
            places = {"context": first.trace}
        with tracer.start_as_current_span(
            f"process {first.topic}", kind=SpanKind.CONSUMER, attributes=attributes,
            record_exception=False, set_status_on_exception=False, **places,
        ) as span:  # fmt: skip
            try:
                await handler(taken)
            except Exception as error:
                # the message of a foreign error may hold a value; its kind does not
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    return handle


def _links(events: Sequence[Event[Any]]) -> list[Link]:
    one_each = {event.traceparent: event for event in events}
    contexts = [trace.get_current_span(event.trace).get_span_context() for event in one_each.values()]
    return [Link(context) for context in contexts if context.is_valid][:MOST_LINKS]
