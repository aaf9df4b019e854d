"""UK local times without a zone, as legacy systems print them, to UTC text. The only module that imports whenever.

A time in the hour that October repeats is placed by the feed's rule and flagged; one in the hour that March skips
does not exist and is refused. The hot path costs about a microsecond: a day's offset is looked up once, and only the
two days a year on which the clocks change take the long way.
"""

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Final, Literal

from whenever import PlainDateTime, RepeatedTime, SkippedTime, ZonedDateTime

from backbone.errors import RecordError
from schemas.shared.event import TimeNote

AmbiguousTime = Literal["later", "earlier", "reject"]
LONDON: Final = "Europe/London"
CACHED_DAYS: Final = 4_096
CACHED_TEXTS: Final = 16_384
"""Whole times that are remembered: legacy systems print minutes, and a file holds many records of each. 5 MB."""
FIRST_YEAR: Final = 1900
"""Earlier times are a system's way of saying that it has none: 0001-01-01, 1753-01-01."""
SENTINEL_DAYS: Final = frozenset({"1905-06-19", "2050-01-01", "2099-12-31", "9999-12-31"})
"""Days that systems print for "none", "open-ended" or, the first, a spreadsheet's year read as a serial number."""
# Digits are spelt [0-9]: \d also matches those of other scripts.
_DAY_FIRST: Final = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_ISO: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]{1,9})?)?")


@dataclass(frozen=True, slots=True)
class _Day:
    """A day's UTC offset in hours, or None on the days when it changes; the day and the one before as ISO text."""

    offset_hours: int | None
    iso: str
    before: str


@dataclass(slots=True)
class UkClock:
    """Convert UK local times by one rule for the repeated hour, and remember days and times; see ``uk_clock``."""

    ambiguous: AmbiguousTime = "later"
    _days: dict[str, _Day] = field(default_factory=dict)
    _clocks: dict[str, tuple[str, str]] = field(default_factory=dict)
    _texts: dict[str, tuple[str, TimeNote | None]] = field(default_factory=dict)

    def day_first(self, text: str, name: str) -> tuple[str, TimeNote | None]:
        """Convert ``DD/MM/YYYY HH:MM[:SS]``; ``name`` is the field that errors name.

        Returns RFC 3339 UTC text with whole seconds, and a note where the hour was ambiguous. Raises RecordError
        ``record.bad-date`` or ``record.nonexistent-local-time``.
        """
        known = self._texts.get(text)
        if known is None:
            day, _, clock = text.partition(" ")
            if len(self._texts) >= CACHED_TEXTS:
                self._texts.clear()
            known = self._texts[text] = self.convert(day, clock, name)
        return known

    def iso(self, text: str, name: str) -> tuple[str, TimeNote | None]:
        """Convert ``YYYY-MM-DDTHH:MM[:SS[.fraction]]`` (or with a space), likewise; fractions are cut.

        A time that says its own zone or ``Z`` is refused, as it is not local.
        """
        return self.convert(*_parts(text, name), name)

    def convert(self, day: str, clock: str, name: str) -> tuple[str, TimeNote | None]:
        """Convert a day, in either order, and a clock time, likewise."""
        known = self._days.get(day) or self._learn(day, name)
        times = self._clocks.get(clock) or self._learn_clock(clock, name)
        if known.offset_hours == 0:
            return f"{known.iso}T{times[0]}Z", None
        if known.offset_hours == 1:
            earlier = times[1]
            return f"{known.before if earlier[0] == '2' and earlier > times[0] else known.iso}T{earlier}Z", None
        return self._slow(known.iso, times[0], name)

    def _learn(self, day: str, name: str) -> _Day:
        iso = _event_day(day, name)
        when = date.fromisoformat(iso)
        start = ZonedDateTime(when.year, when.month, when.day, tz=LONDON)
        end = ZonedDateTime(when.year, when.month, when.day, 23, 59, tz=LONDON)
        hours = int(start.offset.total("hours")) if start.offset == end.offset else None
        if hours not in {None, 0, 1}:
            hours = None
        if len(self._days) >= CACHED_DAYS:
            self._days.clear()
        known = self._days[day] = _Day(hours, iso, (when - timedelta(days=1)).isoformat())
        return known

    def _learn_clock(self, clock: str, name: str) -> tuple[str, str]:
        match = _CLOCK.fullmatch(clock)
        if match is None:
            raise _no_time(name)
        hour, rest = int(match[1]), f"{match[2]}:{match[3] or '00'}"
        if len(self._clocks) >= CACHED_DAYS:
            self._clocks.clear()
        times = self._clocks[clock] = (f"{hour:02d}:{rest}", f"{(hour - 1) % 24:02d}:{rest}")
        return times

    def _slow(self, iso: str, clock: str, name: str) -> tuple[str, TimeNote | None]:
        local = PlainDateTime.parse_iso(f"{iso}T{clock}")
        try:
            return _utc(local.assume_tz(LONDON, disambiguation="raise")), None
        except SkippedTime:
            message = f"{name} lies in the hour that the clocks skip in March"
            raise RecordError(message, code="record.nonexistent-local-time", field=name) from None
        except RepeatedTime:
            if self.ambiguous == "reject":
                message = f"{name} lies in the hour that the clocks repeat in October"
                guidance = "the feed's option ambiguous_time says what such a time means"
                raise RecordError(message, code="record.ambiguous-time", field=name, guidance=guidance) from None
            return _utc(local.assume_tz(LONDON, disambiguation=self.ambiguous)), "ambiguous_local_time"


def _utc(moment: ZonedDateTime) -> str:
    return moment.to_instant().format_iso()[:19] + "Z"


@cache
def uk_clock(ambiguous: AmbiguousTime = "later") -> UkClock:
    """Return the clock of a rule, which all feeds of a process share, as each remembers some megabytes."""
    return UkClock(ambiguous)


def iso_date(text: str, name: str) -> str:
    """Return a date, printed ``DD/MM/YYYY`` or ``YYYY-MM-DD``, as ISO text; raises RecordError ``record.bad-date``."""
    match = _DAY_FIRST.fullmatch(text)
    if match is not None:
        year, month, day = match[3], match[2], match[1]
    else:
        match = _ISO.fullmatch(text)
        if match is None:
            raise RecordError(f"{name} is not a date", code="record.bad-date", field=name)
        year, month, day = match[1], match[2], match[3]
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise RecordError(f"{name} is not a date of the calendar", code="record.bad-date", field=name) from None


def utc_text(text: str, name: str) -> str:
    """Read a zone-less ISO time as UTC, as some sources mean it; returns RFC 3339 text with whole seconds.

    Raises RecordError ``record.bad-date``, for the days that mean "none" as well.
    """
    day, time_of_day = _parts(text, name)
    clock = _CLOCK.fullmatch(time_of_day)
    if clock is None:
        raise _no_time(name)
    return f"{_event_day(day, name)}T{clock[1]}:{clock[2]}:{clock[3] or '00'}Z"


def _parts(text: str, name: str) -> tuple[str, str]:
    if text[10:11] not in {"T", " "}:
        raise _no_time(name)
    return text[:10], text[11:]


def _event_day(text: str, name: str) -> str:
    """Return the ISO day on which something happened: one that a system prints for "none" is refused."""
    iso = iso_date(text, name)
    if iso < f"{FIRST_YEAR}-" or iso in SENTINEL_DAYS:
        message = f"{name} is a day that systems print where they have none"
        raise RecordError(message, code="record.bad-date", field=name)
    return iso


def _no_time(name: str) -> RecordError:
    return RecordError(f"{name} is not a date and a time of day", code="record.bad-date", field=name)
