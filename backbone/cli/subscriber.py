"""`backbone subscriber`: its dead-letter topic, and where it reads next. BACKBONE_... variables say where and who."""

import sys
from datetime import datetime
from json import dumps as json_text
from typing import Annotated, Literal

from cyclopts import App, Parameter

from backbone.cli import output
from backbone.errors import ConfigurationError
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.dead_letters import MAX_LETTER_BYTES
from backbone.kafka.groups import move_group
from backbone.moments import as_utc, epoch_ms
from backbone.subscriber.moving import move_positions
from backbone.subscriber.positions import PARTITIONS, positions_topic
from backbone.subscriber.settings import Settings
from backbone.topics import COMPACTED

app = App(name="subscriber", help="Prepare subscribers and move where they read.")

To = Annotated[str, Parameter(name="--to", help="earliest, latest, or a time such as 2031-06-14T08:00:00Z.")]


@app.command
async def topics(name: str, *, transform: bool = False, replication_factor: int = 3, retention_days: int = 30) -> int:
    """Create the dead-letter topic of a subscriber, and the positions topic of a transform; what exists is left so.

    Parameters
    ----------
    name
        The subscriber.
    transform
        It is a transform: it keeps its positions itself.
    replication_factor
        Copies of each record; 1 on a broker of your own.
    retention_days
        How long a dead letter waits for somebody.
    """
    settings = Settings()
    topic = f"{settings.organisation}.dead.{name}"
    kept = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_days * 86_400_000),
        "max.message.bytes": str(MAX_LETTER_BYTES),
    }
    wanted = [TopicSpec(topic, 1, replication_factor, kept)]
    if transform:
        positions = positions_topic(settings.organisation, name)
        wanted.append(TopicSpec(positions, PARTITIONS, replication_factor, COMPACTED))
    await create_topics(settings.connection(), wanted)
    output.say(f"{', '.join(spec.name for spec in wanted)}: there")
    return 0


@app.command
async def seek(name: str, *, to: To, transform: bool = False, dry_run: bool = False, json: bool = False) -> int:
    """Move where a subscriber reads next, in every partition that it has read; it must not be running.

    Parameters
    ----------
    name
        The subscriber.
    to
        The first event to read.
    transform
        It is a transform: it keeps its positions itself.
    dry_run
        Show what would be moved, and do nothing.
    json
        One JSON object a partition.
    """
    settings = Settings()
    if transform:
        moves = await move_positions(settings.connection(), settings.organisation, name, _moment(to), dry_run=dry_run)
    else:
        moves = await move_group(settings.connection(), settings.group_of(name), _moment(to), dry_run=dry_run)
    columns = ("topic", "partition", "from", "to", "offsets")
    rows = [(move.topic, move.partition, move.before, move.after, move.before - move.after) for move in moves]
    if json:
        for row in rows:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **dict(zip(columns, row, strict=True))})
    else:
        output.table(columns, rows, numbers=columns[1:])
    output.say("nothing was moved: a dry run" if dry_run else f"{len(rows)} partitions were moved")
    return 0


@app.command
def asyncapi(service: str) -> int:
    """Print what a subscriber reads and writes as an AsyncAPI 3.0 document; nothing is connected.

    Parameters
    ----------
    service
        Your subscriber as module:attribute, looked for in this folder.
    """
    from backbone.subscriber.trial import import_subscriber  # noqa: PLC0415 - FastStream is large

    sys.stdout.write(json_text(import_subscriber(service).asyncapi(), indent=2) + "\n")
    return 0


@app.command(name="try")
async def try_(event: str, *, service: str = "", count: int = 1) -> int:
    """Run a handler over a synthetic event on a Kafka of its own: no broker, no council, no set-up.

    Parameters
    ----------
    event
        Its family and fact, such as servicerequests.status-changed, or its type, or its class where that is unique.
    service
        Your subscriber as module:attribute, looked for in this folder; by default one that prints.
    count
        How many events.
    """
    from backbone.subscriber.trial import find_event, find_subscriber, run_trial  # noqa: PLC0415 - FastStream is large

    model = find_event(event)
    tally, codes = await run_trial(find_subscriber(service, model), model, count)
    output.say(f"{tally.handled} handled, {tally.ignored} passed over, {sum(tally.dead.values())} set aside {codes}")
    return 0 if tally.handled == count else 1


def _moment(text: str) -> Literal["earliest", "latest"] | int:
    if text in {"earliest", "latest"}:
        return text  # type: ignore[return-value]  # one of the two
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"--to {text} is not earliest, latest or an ISO time"
        raise ConfigurationError(message, code="config.invalid-value") from error
    return epoch_ms(as_utc(moment))
