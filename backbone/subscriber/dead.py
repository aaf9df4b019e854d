"""Dead letters: events that could not be handled, on ``<organisation>.dead.<subscriber>``, and what became of them.

The topic is a log. A letter opens with the original record, is wanted again when somebody asks for it, and is settled
when a handler has taken it after all. Whoever owns the partition that it came from tries it again; every instance
follows the log, so that it knows whose cases are parked.
"""

import re
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Final, Literal

from backbone.packed import Message
from backbone.subscriber.work import Key, Place

PREFIX: Final = "dead_"
Kind = Literal["dead", "retry", "settled", "discarded"]
TYPE: Final = re.compile(r"org\.councilbackbone\.[a-z0-9-]{1,40}\.[a-z0-9-]{1,60}\.v[0-9]{1,3}")
ENDS: Final = frozenset({"settled", "discarded"})
"""What closes a letter: a handler took it after all, or somebody said that nobody will."""
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter as its topic says. ``number`` is its place among the letters of its subscriber."""

    id: str
    place: Place
    offset: int
    key: Key
    value: bytes | None
    headers: Headers
    code: str
    tries: int
    at: str
    number: int = 0
    wanted: bool = False
    discarded: bool = False

    @property
    def type(self) -> str:
        """Return the event's type, where it has the form of one: anything else might be a value."""
        found = (dict(self.headers).get("ce_type") or b"").decode("utf-8", "replace")
        return found if TYPE.fullmatch(found) else ""

    @property
    def topic(self) -> str:
        """Return the topic that it came from."""
        return self.place[0]

    @property
    def partition(self) -> int:
        """Return the partition that it came from."""
        return self.place[1]

    @property
    def timestamp(self) -> int:
        """Return no time: a letter counts for no lag."""
        return 0


def letter_id(place: Place, offset: int) -> str:
    """Return a letter's id: the record's place, the same whenever it is set aside again."""
    return f"{place[0]}/{place[1]}/{offset}"


def message_of(kind: Kind, letter: Letter) -> Message:
    """Return the record of the dead-letter topic: the original one, with what happened to it in headers."""
    added = [
        (f"{PREFIX}kind", kind.encode()),
        (f"{PREFIX}id", letter.id.encode()),
        (f"{PREFIX}code", letter.code.encode()),
        (f"{PREFIX}tries", b"%d" % letter.tries),
        (f"{PREFIX}at", letter.at.encode()),
        (f"{PREFIX}null", b"true" if letter.value is None else b"false"),
        (f"{PREFIX}unkeyed", b"true" if letter.key is None else b"false"),
    ]
    value = b"" if kind in ENDS or letter.value is None else letter.value
    headers = [] if kind in ENDS else list(letter.headers)
    return letter.key or b"", value, [*headers, *added]


def read_letter(key: Key, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> tuple[Kind, Letter] | None:
    """Return what a record of the dead-letter topic says, or None for one that is no letter."""
    found = tuple(headers)
    own = {name.removeprefix(PREFIX): content.decode() for name, content in found if name.startswith(PREFIX)}
    kind = own.get("kind")
    if kind not in {"dead", "retry", *ENDS}:
        return None
    topic, partition, offset = own["id"].rsplit("/", 2)
    original = takewhile(lambda pair: not pair[0].startswith(PREFIX), found)  # a producer may add its own at the end
    letter = Letter(
        id=own["id"],
        place=(topic, int(partition)),
        offset=int(offset),
        key=None if own["unkeyed"] == "true" else key,
        value=None if own["null"] == "true" else value,
        headers=tuple(original),
        code=own["code"],
        tries=int(own["tries"]),
        at=own["at"],
    )
    return kind, letter  # type: ignore[return-value]  # one of the four, as was checked


@dataclass(slots=True)
class Letters:
    """The letters that are open, folded from their topic. ``bodies`` keeps originals; else only what parks a case."""

    bodies: bool = False
    open: dict[str, Letter] = field(default_factory=dict)
    _cases: dict[tuple[Place, Key], list[tuple[int, str]]] = field(default_factory=dict)
    """By case, offsets and ids: a case's order is that of its partition, whenever a letter was written."""
    _number: int = 0

    def apply(self, kind: Kind, letter: Letter) -> None:
        """Fold one record of the topic; a letter that is opened again keeps its place."""
        case = (letter.place, letter.key)
        known = self.open.get(letter.id)
        if kind in ENDS:
            if known is not None:
                del self.open[letter.id]
                ids = self._cases[case]
                ids.remove((known.offset, letter.id))
                if not ids:
                    del self._cases[case]
            return
        if known is None:
            self._number += 1
            insort(self._cases.setdefault(case, []), (letter.offset, letter.id))
        number = self._number if known is None else known.number
        kept = letter if self.bodies or kind == "retry" else replace(letter, value=None, headers=())
        at = known.at if known is not None and kind == "retry" else letter.at
        self.open[letter.id] = replace(kept, number=number, wanted=kind == "retry", at=at)

    def knows(self, place: Place, offset: int) -> bool:
        """Say whether the record at that place is open."""
        return letter_id(place, offset) in self.open

    def parks(self, place: Place, key: Key, offset: int) -> bool:
        """Say whether a case has an open letter before an offset. A record without a key is a case of its own."""
        letters = None if key is None else self._cases.get((place, key))
        return letters is not None and letters[0][0] < offset

    def blocks(self, letter: str) -> bool:
        """Say whether an earlier letter of the same case is open, or this one is not."""
        known = self.open.get(letter)
        if known is None:
            return True
        return known.key is not None and self._cases[known.place, known.key][0][1] != letter

    def of_case(self, letter: Letter) -> list[Letter]:
        """Return the open letters of a letter's case, in order."""
        if letter.key is None:
            return [letter]
        return [self.open[name] for _, name in self._cases[letter.place, letter.key]]
