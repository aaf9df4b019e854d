"""A handler over synthetic events on an embedded Kafka, in seconds: what `backbone subscriber try` does."""

import importlib
import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from backbone.embedded import EmbeddedKafka
from backbone.errors import ConfigurationError
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.broker import PlainProducer
from backbone.kafka.connection import KafkaConnection
from backbone.sample import sample_events
from backbone.subscriber.event import Event
from backbone.subscriber.subscriber import Subscriber
from backbone.subscriber.work import Tally
from backbone.testing.events import Publisher
from schemas.families import FAMILIES
from schemas.shared import Event as Data

ORGANISATION = "E09000099"
OPEN_BROKER: dict[str, Any] = dict.fromkeys(
    ("sasl_mechanism", "username", "password", "ca_file", "certificate_file", "key_file")
) | {"security_protocol": "PLAINTEXT"}
"""How the trial's own broker is reached, whatever the service uses in production."""


def find_event(name: str) -> type[Data]:
    """Return an event class by its name, its type, or family and fact (``planning.application-decided``).

    Raises ConfigurationError with the nearest names for one that is unknown or that several families have.
    """
    every: list[type[Data]] = [event for module in FAMILIES.values() for event in module.EVENTS]
    found = [event for event in every if name in {event.__name__, event.event_type, f"{event.family}.{event.fact}"}]
    if len(found) == 1:
        return found[0]
    if found:
        near = [f"{event.family}.{event.fact}" for event in found]
    else:
        known = [known for event in every for known in (event.__name__, f"{event.family}.{event.fact}")]
        near = get_close_matches(name, known, n=4)
    message = f"{name} names {len(found)} events"
    guidance = f"did you mean {', '.join(near)}?" if near else "see `make catalogue` for their names"
    raise ConfigurationError(message, code="subscriber.unknown", guidance=guidance)


def find_subscriber(path: str, model: type[Data]) -> Subscriber:
    """Return the subscriber at ``module:attribute``, or one that prints events of a class."""
    if not path:
        printing = Subscriber("trial")
        printing.on(model)(_print)
        return printing
    return import_subscriber(path)


def import_subscriber(path: str) -> Subscriber:
    """Return the subscriber at ``module:attribute``, looked for in this folder first. Raises ConfigurationError."""
    module, _, attribute = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"{path} cannot be imported ({type(error).__name__})"
        guidance = "name it as module:attribute, from the folder where the module lies"
        raise ConfigurationError(message, code="subscriber.unknown", guidance=guidance) from error
    if not isinstance(found, Subscriber):
        raise ConfigurationError(f"{path} is no Subscriber", code="subscriber.unknown")
    return found


def organisation_for(subscriber: Subscriber, model: type[Data]) -> str:
    """Return an organisation whose events the subscriber's handlers want: the samples' own, or one that they name."""
    routes = subscriber.complete_routes().by_type.get(model.event_type.encode(), [])
    named = [name for route in routes for name in route.organisations]
    candidates = [ORGANISATION, *(name.replace("*", "0" * (10 - len(name))).replace("?", "0") for name in named)]
    return next((one for one in candidates if any(route.hears(f"{one}.") for route in routes)), ORGANISATION)


async def run_trial(subscriber: Subscriber, model: type[Data], count: int) -> tuple[Tally, str]:
    """Publish synthetic events on a Kafka of its own and run the subscriber over them; return what became of them."""
    async with EmbeddedKafka() as kafka:
        connection = KafkaConnection(kafka.bootstrap_servers)
        subscriber.use(
            subscriber.settings.model_copy(
                update={**OPEN_BROKER, "bootstrap_servers": kafka.bootstrap_servers, "begin": "earliest", "http": None}
            )
        )
        organisation = organisation_for(subscriber, model)
        topic = f"{organisation}.{model.topic_suffix}"
        await create_topics(connection, [TopicSpec(topic, 1, 1), TopicSpec(subscriber.dead_letter_topic, 1, 1)])
        speaker = Publisher(organisation, "sample")
        async with PlainProducer(connection) as producer:
            for event in sample_events(model, count, organisation=organisation):
                await producer.send(*speaker.message(event))
        await subscriber.run(until_caught_up=True)
        tally = subscriber.runtime.engine.tally
        return tally, ", ".join(sorted(tally.dead))


async def _print(event: Event[Data]) -> None:
    envelope = json.dumps(event.attributes, indent=2)
    sys.stdout.write(f"{envelope}\n{event.data.model_dump_json(exclude_none=True, indent=2)}\n")
