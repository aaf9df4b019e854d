"""What is FastStream's under a subscriber: middlewares, hooks, publishing, and its AsyncAPI document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from faststream import BaseMiddleware
from faststream.kafka.annotations import KafkaMessage
from faststream.middlewares import ExceptionMiddleware

from backbone.subscriber import Event, Settings, Subscriber
from backbone.subscriber.testing import run_handlers
from schemas.planning.v1 import ApplicationDecided
from schemas.servicerequests import v1 as servicerequests
from schemas.servicerequests.v1 import StatusChanged
from schemas.shared import Event as Data

ROOT = Path(__file__).parents[2]


def example(case: str = "700123") -> Data:
    return StatusChanged.model_validate({**servicerequests.EXAMPLES[StatusChanged].full, "case_ref": case})


class Noting(BaseMiddleware[Any, Any]):
    """Notes what it sees."""

    notes: list[Any]

    async def on_receive(self) -> None:  # noqa: D102 - FastStream's
        self.notes.append(("received", self.msg.topic if not isinstance(self.msg, tuple) else len(self.msg)))

    async def consume_scope(self, call_next: Callable[[Any], Any], msg: Any) -> Any:  # noqa: D102
        assert self.context.get_local("message") is msg
        self.notes.append(("consuming", msg.message_id, msg.headers["ce_type"], type(await msg.decode()).__name__))
        return await call_next(msg)

    async def after_processed(  # noqa: D102
        self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> bool | None:
        self.notes.append(("ended", exc_type and exc_type.__name__))
        return await super().after_processed(exc_type, exc_val, exc_tb)


def noting() -> tuple[type[Noting], list[Any]]:
    notes: list[Any] = []
    return type("Noting", (Noting,), {"notes": notes, "__slots__": ()}), notes


async def test_a_middleware_sees_every_try_of_what_is_read() -> None:
    """Kafka's record on receiving, a message around the handler with what FastStream puts there, and how it ended."""
    subscriber = Subscriber("s", Settings(tries=2))
    middleware, notes = noting()
    subscriber.broker.add_middleware(middleware)
    seen: list[Event[StatusChanged]] = []

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        seen.append(event)
        notes.append("handler")
        if len(seen) == 1:
            raise ConnectionError

    assert (await run_handlers(subscriber, [example()])).handled == 1
    event = seen[0]
    consuming = ("consuming", event.id, StatusChanged.event_type, "StatusChanged")
    received = ("received", event.topic)
    assert notes == [
        received, consuming, "handler", ("ended", "ConnectionError"), received, consuming, "handler", ("ended", None),
    ]  # fmt: skip


async def test_a_middleware_sees_a_batch_as_one_message() -> None:
    """As FastStream's own subscribers of batches have it."""
    subscriber = Subscriber("s", Settings())
    middleware, notes = noting()
    subscriber.broker.add_middleware(middleware)

    @subscriber.on(StatusChanged, batch=10)
    async def handle(events: list[Event[StatusChanged]]) -> None:
        notes.append(len(events))

    await run_handlers(subscriber, [example("a"), example("b")])
    assert notes[0] == ("received", 2)
    assert notes[1][0::3] == ("consuming", "list")
    assert notes[2:] == [2, ("ended", None)]


async def test_middlewares_are_nested_as_they_were_added_and_may_swallow_an_error() -> None:
    """The first is outermost; what one of them takes care of counts as handled."""
    subscriber = Subscriber("s", Settings(tries=1))
    order: list[str] = []

    def named(name: str) -> type[BaseMiddleware[Any, Any]]:
        class Named(BaseMiddleware[Any, Any]):
            async def consume_scope(self, call_next: Callable[[Any], Any], msg: Any) -> Any:
                order.append(f"{name} in")
                try:
                    return await call_next(msg)
                finally:
                    order.append(f"{name} out")

        return Named

    def care(error: ValueError) -> None:
        order.append("cared")

    for middleware in (ExceptionMiddleware(handlers={ValueError: care}), named("first"), named("second")):
        subscriber.broker.add_middleware(middleware)

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        raise ValueError

    outcome = await run_handlers(subscriber, [example()])
    assert (outcome.handled, outcome.dead) == (1, [])
    assert order == ["first in", "second in", "second out", "first out", "cared"]


async def test_without_middlewares_nothing_stands_before_a_handler() -> None:
    """The plain path costs what it costs."""
    subscriber = Subscriber("s", Settings())

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        """Do nothing."""

    handlers = [route.handler for found in subscriber.running_routes().by_type.values() for route in found]
    assert handle in handlers


def test_other_settings_leave_what_was_registered() -> None:
    """Hooks, middlewares and publishers of a service survive a trial on a Kafka of its own."""
    subscriber = Subscriber("s", Settings())
    middleware, _ = noting()
    subscriber.broker.add_middleware(middleware)
    publisher = subscriber.broker.publisher("out")
    app, broker = subscriber.app, subscriber.broker
    subscriber.use(Settings(bootstrap_servers="127.0.0.1:19092"))
    assert (subscriber.app, subscriber.broker) == (app, broker)
    assert broker.middlewares == [middleware]
    assert broker.publishers == [publisher]
    subscriber.on(StatusChanged)(print)  # type: ignore[type-var]  # never called
    assert subscriber.asyncapi()["servers"]["development"]["host"] == "127.0.0.1:19092"


def made(**settings: Any) -> Subscriber:
    subscriber = Subscriber("potholes", Settings(organisation="dft", **settings))

    @subscriber.on(StatusChanged, organisations=["E09000022"])
    @subscriber.on(ApplicationDecided)
    async def handle(event: Event[Data]) -> None:
        """Do nothing."""

    @subscriber.broker.publisher("dft.potholes", title="Potholes", schema=StatusChanged)
    async def told(message: KafkaMessage) -> None:
        """Do nothing."""

    return subscriber


@pytest.mark.parametrize("more", [{}, {
    "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", "username": "a", "password": "b",
}])  # fmt: skip
def test_its_document_is_valid_and_tells_what_is_read_and_written(more: dict[str, Any]) -> None:
    """Topics that are read with the contracts' messages, dead letters, and what FastStream knows that is published."""
    subscriber = made(**more)
    document = subscriber.asyncapi()
    schema = json.loads((ROOT / "tests" / "contract" / "asyncapi" / "3.0.0.json").read_text())
    jsonschema_rs.validator_for(schema).validate(document)
    addresses = {channel["address"]: name for name, channel in document["channels"].items()}
    assert addresses.keys() == {
        "{organisation}.servicerequests.v1", "{organisation}.planning.v1", "dft.dead.potholes", "dft.potholes",
    }  # fmt: skip
    read = document["channels"]["servicerequests_v1"]
    assert set(read["messages"]) == {"StatusChanged", "Revoked", "Superseded", "Merged", "Erased"}
    message = document["components"]["messages"]["servicerequests.v1.StatusChanged"]
    assert message["payload"]["$ref"].rpartition("/")[2] in document["components"]["schemas"]
    bindings = document["operations"]["receive_servicerequests_v1"]["bindings"]["kafka"]
    assert bindings["groupId"]["enum"] == [subscriber.group] == ["dft.subscriber.potholes"]
    assert document["operations"]["send_dead_letters"]["action"] == "send"
    assert "b" not in json.dumps(document["servers"]).split('"')
    specification = subscriber.app.schema.to_specification()
    assert specification.to_jsonable() == document == json.loads(specification.to_json())
    assert specification.title == "potholes"
    assert "dft.dead.potholes" in specification.to_yaml()
