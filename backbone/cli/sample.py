"""`backbone sample`: synthetic events, to develop with before a council is connected."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

from cyclopts import Parameter
from pydantic import TypeAdapter, ValidationError

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import load
from backbone.errors import ConfigurationError
from backbone.packed import Message
from backbone.sample import ORGANISATION, Sampled, events_of, sample_messages, stream
from backbone.sample_faults import Attributes, as_message, as_structured, bad_events
from schemas.families import FAMILIES
from schemas.shared import Event, Organisation

PARTITIONS = 6
"""Of a topic that is made: as many as topics of events have by default."""


async def sample(
    family: str,
    *,
    event: str | None = None,
    count: int = 10,
    seed: int = 0,
    bad: bool = False,
    organisation: str | None = None,
    topic: str | None = None,
    create: bool = False,
    config: Config = HERE,
    bootstrap_servers: Annotated[
        str | None, Parameter(help="The broker's address, instead of a deployment file.")
    ] = None,
) -> int:
    """Give synthetic events of a family: whole lives of cases, as JSON lines or onto a topic.

    Equal options give equal events. Everything in them is invented.

    Parameters
    ----------
    family
        Such as `planning` or `planning.v1`.
    event
        Only this event, such as `application-decided`, each of a case of its own.
    count
        How many; with --bad, how many bad ones.
    seed
        Another number gives other events.
    bad
        Deliberately bad events; the attribute `samplefault` says what is wrong with each.
    organisation
        Whose events; by default a code that is given to nobody, or the deployment's with --topic.
    topic
        Write to this topic, in binary mode, instead of printing JSON lines.
    create
        Make the topic first where it is not there: for a broker of your own.
    config
        The deployment file that says where the broker is.
    """
    name = _family(family)
    _refuse_nonsense(count, organisation)
    event_class = _event_class(name, event) if event is not None else None
    if topic is None:
        for attributes in _structured(name, event_class, count, seed, organisation or ORGANISATION, bad=bad):
            output.json_line(attributes)
        sys.stdout.flush()
        return 0
    from backbone.kafka.connection import KafkaConnection  # noqa: PLC0415 - only this needs a client
    from backbone.kafka.samples import publish_samples  # noqa: PLC0415

    if bootstrap_servers:
        connection, owner = KafkaConnection(bootstrap_servers), organisation or ORGANISATION
    else:
        deployment = load(config)
        connection, owner = deployment.connection, organisation or deployment.organisation
    if create:
        from backbone.kafka.admin import TopicSpec, create_topics  # noqa: PLC0415

        await create_topics(connection, [TopicSpec(topic, PARTITIONS, 1)])
    messages = _messages(name, event_class, count, seed, owner, bad=bad)
    written = await publish_samples(connection, topic, messages, transactional_id=f"{owner}.sample.{name}")
    output.say(f"{written:,} synthetic events on {topic}", "green")
    return 0


def _refuse_nonsense(count: int, organisation: str | None) -> None:
    if count < 1:
        message = "--count takes a number from 1"
        raise ConfigurationError(message, code="config.invalid-value")
    try:
        TypeAdapter(Organisation).validate_python(organisation or ORGANISATION)
    except ValidationError:
        message = "--organisation takes a GSS code such as E09000099, or a registered slug"
        raise ConfigurationError(message, code="config.invalid-value") from None


def _family(text: str) -> str:
    for name in (text, f"{text}.v1"):
        if name in FAMILIES:
            return name
    message = f"there is no family {text}"
    raise ConfigurationError(message, code="config.invalid-value", guidance=f"one of {', '.join(FAMILIES)}")


def _event_class(family: str, fact: str) -> type[Event]:
    events: tuple[type[Event], ...] = FAMILIES[family].EVENTS
    for event_class in events:
        if fact in {event_class.fact, event_class.__name__, event_class.event_type}:
            return event_class
    message = f"the family {family} has no event {fact}"
    known = ", ".join(event_class.fact for event_class in events)
    raise ConfigurationError(message, code="config.invalid-value", guidance=f"one of {known}")


def _sampled(
    family: str, event_class: type[Event] | None, count: int, seed: int, organisation: str
) -> Iterator[Sampled]:
    if event_class is not None:
        return iter(events_of(event_class, count, seed, organisation))
    return islice(stream(family, seed, organisation), count)


def _structured(
    family: str, event_class: type[Event] | None, count: int, seed: int, organisation: str, *, bad: bool
) -> Iterator[Attributes]:
    if bad:
        yield from bad_events(family, count, seed, event_class=event_class, organisation=organisation)
        return
    sampled = _sampled(family, event_class, count, seed, organisation)
    yield from (as_structured(message, each) for each, _, message in sample_messages(sampled, seed, organisation))


def _messages(
    family: str, event_class: type[Event] | None, count: int, seed: int, organisation: str, *, bad: bool
) -> Iterator[Message]:
    if bad:
        events = bad_events(family, count, seed, event_class=event_class, organisation=organisation)
        return (as_message(event) for event in events)
    sampled = _sampled(family, event_class, count, seed, organisation)
    return (message for _, _, message in sample_messages(sampled, seed, organisation))
