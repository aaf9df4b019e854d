"""How far a transform has come in each partition that it reads: the records of its positions topic. Pure.

The topic is compacted; keys, with ``<place>`` = topic/partition:

    at/<place>              the offset to read next, and how many transactions led there
    dead/<place>/<offset>   a record that is a dead letter and not settled: it parks what follows in its case

Both are written in the transaction of what they tell of.
"""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from backbone.errors import FatalError
from backbone.packed import Message
from backbone.subscriber.dead import Letter, Letters
from backbone.subscriber.work import Place

VERSION: Final = 1
PARTITIONS: Final = 12
"""Of the positions topic; part of where a position lies, so it never changes."""


@dataclass(slots=True)
class Positions:
    """What is committed of one input partition, folded from its records and kept up to date by whoever commits.

    ``offset`` is None until something has been read.
    """

    place: Place
    offset: int | None = None
    generation: int = 0
    letters: Letters = field(default_factory=Letters)

    @property
    def key(self) -> str:
        """Return the key of the position."""
        return f"at/{named(self.place)}"

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Fold one record of the topic; those of other partitions are passed over.

        Raises FatalError ``state.newer-version`` for what a newer program wrote.
        """
        name = key.decode()
        before, _, offset = name.rpartition("/")
        if name != self.key and before != f"dead/{named(self.place)}":
            return
        content = None if value is None else orjson.loads(value)
        if content is not None and content["v"] > VERSION:
            message = f"the position of {named(self.place)} has version {content['v']}; this program knows {VERSION}"
            raise FatalError(message, code="state.newer-version", guidance="run the newer program, or restore it")
        if name != self.key:
            self._letter(int(offset), content)
        elif content is not None:
            self.offset, self.generation = content["offset"], content["generation"]

    def _letter(self, offset: int, content: dict[str, Any] | None) -> None:
        key = None if content is None or content["key"] is None else base64.b64decode(content["key"])
        letter = self.letter(offset, key)
        known = self.letters.open.get(letter.id, letter)
        self.letters.apply("settled" if content is None else "dead", known)

    def letter(self, offset: int, key: bytes | None) -> Letter:
        """Return a dead letter as far as it counts here."""
        return Letter(f"{named(self.place)}/{offset}", self.place, offset, key, None, (), "", 0, "")

    def move(self, offset: int) -> Message:
        """Move on and return the record that says so."""
        self.offset, self.generation = offset, self.generation + 1
        return self.key.encode(), _json({"offset": offset, "generation": self.generation}), []

    def opened(self, offset: int, key: bytes | None) -> Message:
        """Note a dead letter and return the record that says so."""
        self.letters.apply("dead", self.letter(offset, key))
        encoded = None if key is None else base64.b64encode(key).decode()
        return f"dead/{named(self.place)}/{offset}".encode(), _json({"key": encoded}), []

    def settled(self, letter: Letter) -> Message:
        """Forget a dead letter and return the record that says so."""
        self.letters.apply("settled", letter)
        return f"dead/{named(self.place)}/{letter.offset}".encode(), None, []


def positions_topic(organisation: str, name: str) -> str:
    """Return where the positions of a transform are kept."""
    return f"{organisation}.positions.{name}"


def lease_group_of(organisation: str, name: str) -> str:
    """Return the group whose members share the positions of a transform."""
    return f"{organisation}.transform.{name}"


def transactional_id_of(organisation: str, name: str, place: Place) -> str:
    """Return the one transactional id of a transform's input partition."""
    return f"{organisation}.transform.{name}.{named(place)}"


def named(place: Place) -> str:
    """Return topic and partition as the keys have them."""
    return f"{place[0]}/{place[1]}"


def _json(content: dict[str, Any]) -> bytes:
    return orjson.dumps({"v": VERSION, **content})
