"""The dead letters of a subscriber as commands see them: listed, shown, and asked to be tried again."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from backbone.kafka.connection import KafkaConnection
from backbone.kafka.dead_letters import DeadLetterTopic, now
from backbone.kafka.readers import read_topics
from backbone.subscriber.dead import Letter, Letters, message_of, read_letter


async def open_letters(connection: KafkaConnection, topic: str) -> Letters:
    """Return the letters that are open, with their originals."""
    letters = Letters(bodies=True)
    async for record in read_topics(connection, [topic]):
        found = read_letter(record.key, record.value, record.headers)
        if found is not None:
            letters.apply(*found)
    return letters


def with_their_cases(letters: Letters, chosen: Iterable[Letter]) -> list[Letter]:
    """Return the chosen letters and those of their cases that come before them, in order."""
    wanted: dict[str, Letter] = {}
    for letter in chosen:
        for one in letters.of_case(letter):
            if one.number <= letter.number:
                wanted[one.id] = one
    return sorted(wanted.values(), key=lambda letter: letter.number)


async def try_again(connection: KafkaConnection, topic: str, letters: Sequence[Letter]) -> None:
    """Ask for letters to be tried again; the instance that owns their partition does so, or the next that does."""
    writer = DeadLetterTopic(connection, topic, lambda *_: None)
    try:
        for letter in letters:
            await writer.write(message_of("retry", replace(letter, at=now())))
    finally:
        await writer.close()
