"""`backbone subscribe`: look at topics as a subscriber sees them."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

import orjson
from cyclopts import Parameter

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.cli.preview import event_json
from backbone.config import load
from backbone.errors import ConfigurationError
from backbone.kafka.connection import KafkaConnection

From = Annotated[str, Parameter(name="--from", help="earliest, latest, or a time such as 2031-06-14T08:00:00Z.")]


async def subscribe(
    *topic: str,
    config: Config = HERE,
    bootstrap_servers: str | None = None,
    regex: bool = False,
    json: bool = False,
    from_: From = "latest",
    max: int | None = None,  # noqa: A002 - the option's name
    follow: bool = True,
) -> int:
    """Print committed events as they come.

    Parameters
    ----------
    topic
        Names of topics, or regular expressions with --regex.
    config
        The deployment file, for the address of the broker.
    bootstrap_servers
        The address instead of a deployment file.
    regex
        Take the names as regular expressions.
    json
        One CloudEvents object a line.
    from_
        Where to begin.
    max
        End after so many.
    follow
        Go on at the end of the topics; --no-follow ends there.
    """
    from backbone.kafka.readers import matching_topics, read_topics  # noqa: PLC0415

    connection = KafkaConnection(bootstrap_servers) if bootstrap_servers else load(config).connection
    topics = await matching_topics(connection, topic if regex else [_literal(name) for name in topic])
    if not topics:
        message = f"no topic is called {' or '.join(topic)}"
        raise ConfigurationError(message, code="topic.missing", guidance="see `backbone topics plan`")
    shown = 0
    async for record in read_topics(connection, topics, begin=_begin(from_), follow=follow):
        event = event_json((record.key or b"", record.value, list(record.headers)))
        if json:
            output.json_line(event)
        else:
            _pretty(record.topic, event)
        sys.stdout.flush()
        shown += 1
        if max is not None and shown >= max:
            break
    return 0


def _literal(name: str) -> str:
    import re  # noqa: PLC0415 - for this line only

    return re.escape(name)


def _begin(text: str) -> Literal["earliest", "latest"] | int:
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"--from takes earliest, latest or a time, not {text!r}"
        raise ConfigurationError(message, code="config.invalid-value") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def _pretty(topic: str, event: dict[str, object]) -> None:
    kind = str(event.get("type", "")).removeprefix("org.councilbackbone.")
    sys.stdout.write(f"{event.get('time', '-'):20} {kind:36} {event.get('subject', '')!s:16} [{topic}]\n")
    data = event.get("data")
    if isinstance(data, dict):
        sys.stdout.write(f"    {orjson.dumps(data).decode()}\n")
