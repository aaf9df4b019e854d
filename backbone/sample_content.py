"""The content of synthetic events: a family's examples, moved to another case, another place and another time. Pure.

What an example says about its case is said the same way in all events of a case: references, people, places. Only
``Random.random`` is asked, as Python promises its sequence for ever: the same seed gives the same events.
"""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from types import ModuleType
from typing import Any, Final, TypeVar

from schemas.shared import Event
from schemas.shared.examples import Data

_T = TypeVar("_T")

FIRST_NAMES: Final = ("Ann", "Bea", "Cyd", "Dot", "Eli", "Fay", "Gus", "Hal", "Ida", "Jem", "Kit", "Lou")
KEEP_OPTIONAL: Final = 0.9
PLACES: Final = frozenset({"uprn", "usrn", "easting", "northing", "latitude", "longitude"})
NEVER_MOVED: Final = frozenset({"date_of_birth", "organisation"})
_TIMESTAMP = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def chance(random: Random, probability: float) -> bool:
    """Return True as often as the probability says."""
    return random.random() < probability


def choice(random: Random, options: Sequence[_T]) -> _T:
    """Return one of the options."""
    return options[int(random.random() * len(options))]


def usual(random: Random, options: Sequence[_T]) -> _T:
    """Return one of the options; they stand in the order of how usual they are, and the first ones come more often."""
    return options[int(random.random() ** 3 * len(options))]


def between(random: Random, least: int, most: int) -> int:
    """Return a whole number, both ends included."""
    return least + int(random.random() * (most - least + 1))


@dataclass(frozen=True, slots=True)
class Case:
    """What is the same in all events of a case."""

    number: int
    began: datetime
    variation: Data
    place: Data
    first_name: str

    @classmethod
    def invent(cls, random: Random, module: ModuleType, number: int, began: datetime) -> "Case":
        """Return a new case; its number tells it from all others."""
        easting, northing = between(random, 400_000, 409_999), between(random, 300_000, 309_999)
        place: Data = {
            "uprn": f"1000{between(random, 0, 99_999_999):08d}",
            "usrn": f"471{between(random, 0, 99_999):05d}",
            "easting": float(easting),
            "northing": float(northing),
            "latitude": round(52.1 + (northing - 300_000) / 111_000, 6),
            "longitude": round(-1.9 + (easting - 400_000) / 68_000, 6),
        }
        return cls(number, began, choice(random, module.examples.VARIATIONS), place, choice(random, FIRST_NAMES))


def content_of(
    random: Random, module: ModuleType, event_class: type[Event], case: Case, moment: datetime, organisation: str
) -> Data:
    """Return the data of an event of a case at a moment, with some of what may be left out left out."""
    example = module.EXAMPLES[event_class].full
    fields = event_class.model_fields
    data: Data = {}
    for name, value in {
        **example,
        **{name: case.variation[name] for name in example if name in case.variation},
    }.items():
        if value is None or (not fields[name].is_required() and not chance(random, KEEP_OPTIONAL)):
            continue
        data[name] = value
    return _Mover(example, event_class, case, moment).moved(data) | {"organisation": organisation}


class _Mover:
    """Moves the data of an example to another case and time."""

    def __init__(self, example: Data, event_class: type[Event], case: Case, moment: datetime) -> None:
        self.case = case
        self.own = inspect.get_annotations(event_class)
        occurred = example["occurred_at"]
        self.then = _moment(occurred)
        self.to_moment = moment - self.then
        self.to_case = case.began - self.then
        # the longest run of digits of the example's reference is what is counted up
        self.run = max(re.findall("[0-9]+", example["case_ref"]), key=len)
        self.counted = str(int(self.run) + case.number).zfill(len(self.run))
        self.keep_place = event_class.case_ref_is_uprn

    def moved(self, data: Data) -> Data:
        return {
            name: value if name in NEVER_MOVED else self._value(name, value, self._shift(name))
            for name, value in data.items()
        }

    def _shift(self, name: str) -> timedelta:
        """Return by how much: what only this event says, and the times that all events share, go with the event."""
        return self.to_moment if name in self.own or name in Event.model_fields else self.to_case

    def _value(self, name: str, value: Any, shift: timedelta) -> Any:
        if isinstance(value, dict):
            if name in NEVER_MOVED:
                return value
            if "day" in value and "year" in value:
                day = self._day(name, date(value["year"], value["month"], value["day"]), shift)
                return {**value, "year": day.year, "month": day.month, "day": day.day}
            return {inner: self._value(inner, held, shift) for inner, held in value.items()}
        if isinstance(value, list):
            return [self._value(name, held, shift) for held in value]
        if name in PLACES and not self.keep_place:
            return self.case.place[name]
        return self._text(name, value, shift) if isinstance(value, str) else value

    def _text(self, name: str, text: str, shift: timedelta) -> str:
        if _TIMESTAMP.fullmatch(text):
            then = datetime.fromisoformat(text)
            return _stamp(then + (self.to_moment if then == self.then else shift))
        if _DATE.fullmatch(text):
            return self._day(name, date.fromisoformat(text), shift).isoformat()
        if name == "email":
            return f"{self.case.first_name.lower()}@example.org"
        if name == "name" and re.fullmatch("[A-Z][a-z]+ Example", text):
            return f"{self.case.first_name} Example"
        return text.replace(self.run, self.counted)

    def _day(self, name: str, day: date, shift: timedelta) -> date:
        whole_days = (self.then + shift).date() - self.then.date()
        if day == self.then.date() and name != "starts_on":
            whole_days = (self.then + self.to_moment).date() - self.then.date()
        return day + whole_days


def _moment(occurred_at: Any) -> datetime:
    if isinstance(occurred_at, str):
        return datetime.fromisoformat(occurred_at)
    return datetime.fromisoformat(
        f"{occurred_at['year']:04d}-{occurred_at['month']:02d}-{occurred_at['day']:02d}T12:00Z"
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
