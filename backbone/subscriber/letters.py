"""The dead letters of a subscriber as commands see them: listed, shown, and asked to be tried again."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from backbone.errors import ConfigurationError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.dead_letters import DeadLetterTopic, now
from backbone.kafka.readers import ensure_not_denied, partition_counts, read_topics
from backbone.subscriber.dead import Kind, Letter, Letters, message_of, read_letter
from backbone.subscriber.errors import BEHIND_DEAD


async def open_letters(connection: KafkaConnection, topic: str) -> Letters:
    """Return the letters that are open, with their originals.

    Raises FatalError where the topic is denied, ConfigurationError where there is none.
    """
    await ensure_not_denied(connection, [topic])
    if topic not in await partition_counts(connection, [topic]):
        message = f"there is no topic {topic}"
        guidance = "is the subscriber's name right, and BACKBONE_ORGANISATION? `backbone subscriber topics` makes it"
        raise ConfigurationError(message, code="subscriber.unknown", guidance=guidance)
    letters = Letters(bodies=True)
    async for record in read_topics(connection, [topic]):
        found = read_letter(record.key, record.value, record.headers)
        if found is not None:
            letters.apply(*found)
    return letters


def with_their_cases(letters: Letters, chosen: Iterable[Letter]) -> list[Letter]:
    """Return the chosen letters, those before them in their cases, and those that were only parked behind; in order."""
    wanted: dict[str, Letter] = {}
    for letter in chosen:
        parked = True
        for one in letters.of_case(letter):
            if one.offset > letter.offset:
                parked = parked and one.code == BEHIND_DEAD
            if parked:
                wanted[one.id] = one
    return sorted(wanted.values(), key=lambda letter: (letter.place, letter.offset))


async def try_again(connection: KafkaConnection, topic: str, letters: Sequence[Letter]) -> None:
    """Ask for letters to be tried again; the instance that owns their partition does so, or the next that does."""
    await _write(connection, topic, "retry", letters)


async def discard(connection: KafkaConnection, topic: str, letters: Sequence[Letter]) -> None:
    """Close letters that nobody will handle. A transform does so itself, in a transaction; others learn of it."""
    await _write(connection, topic, "discarded", letters)


async def _write(connection: KafkaConnection, topic: str, kind: Kind, letters: Sequence[Letter]) -> None:
    writer = DeadLetterTopic(connection, topic, lambda *_: None)
    try:
        for letter in letters:
            await writer.write(message_of(kind, replace(letter, at=now())))
    finally:
        await writer.close()
