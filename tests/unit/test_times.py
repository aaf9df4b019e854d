"""UK local times: both clock changes, every printed form, and the dates that are none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from backbone.errors import RecordError
from backbone.times import CACHED_DAYS, UkClock, iso_date, utc_text
from schemas.shared import UtcTimestamp

LONDON = ZoneInfo("Europe/London")
CLOCK = UkClock()


@settings(max_examples=100)
@given(st.datetimes(datetime(1972, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_local_time_goes_back_to_where_it_came_from(moment: datetime) -> None:
    """Printed in local time and read again, a moment is the same one, or the later one of the repeated hour."""
    moment = moment.replace(second=0, microsecond=0)
    local = moment.astimezone(LONDON)
    text, note = CLOCK.day_first(f"{local:%d/%m/%Y %H:%M}", "at")
    expected = local.replace(fold=1).astimezone(UTC) if note else moment
    assert text == f"{expected:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(("rule", "expected"), [("later", "2031-10-26T01:30:00Z"), ("earlier", "2031-10-26T00:30:00Z")])
def test_the_repeated_hour_is_placed_by_the_rule_and_flagged(rule: str, expected: str) -> None:
    """The hour that October repeats is never passed on in silence."""
    clock = UkClock(rule)  # type: ignore[arg-type]
    assert clock.day_first("26/10/2031 01:30", "at") == (expected, "ambiguous_local_time")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("30/03/2031 01:30", "record.nonexistent-local-time"),
        ("31/06/2031 09:00", "record.bad-date"),
        ("1/06/2031 09:00", "record.bad-date"),
        ("01/06/2031", "record.bad-date"),
        ("01/06/2031 24:00", "record.bad-date"),
        ("01/01/0001 00:00", "record.bad-date"),
        ("01/01/1753 00:00", "record.bad-date"),
        ("19/06/1905 00:00", "record.bad-date"),
        ("01/01/2050 00:00", "record.bad-date"),
        ("31/12/2099 00:00", "record.bad-date"),
        ("31/12/9999 23:59", "record.bad-date"),
        ("14/06/2031 09:\u0660\u0665", "record.bad-date"),
        ("14/\u0660\u0666/2031 09:05", "record.bad-date"),
        ("", "record.bad-date"),
    ],
)
def test_what_is_no_time_is_refused_without_its_value(text: str, code: str) -> None:
    """The field is named and the value is not."""
    with pytest.raises(RecordError) as caught:
        CLOCK.day_first(text, "History")
    assert caught.value.code == code
    assert caught.value.field == "History"
    assert not text or text not in caught.value.message


def test_a_rule_may_refuse_the_repeated_hour() -> None:
    """With `reject` the record is set aside instead."""
    with pytest.raises(RecordError) as caught:
        UkClock("reject").day_first("26/10/2031 01:30", "at")
    assert caught.value.code == "record.ambiguous-time"


def test_fractions_are_cut_and_seconds_kept() -> None:
    """Fractions of up to nine digits occur; the event carries whole seconds."""
    assert CLOCK.iso("2031-06-17T09:59:26.867", "at")[0] == "2031-06-17T08:59:26Z"
    assert utc_text("2031-03-01T12:09:33.9722472", "at") == "2031-03-01T12:09:33Z"
    assert iso_date("04/03/2031", "on") == iso_date("2031-03-04", "on") == "2031-03-04"


@pytest.mark.parametrize(
    "text",
    [
        "2031-06-14T09:05:00Z", "2031-06-14T09:05+01:00", "2031-06-14x09:05", "2031-06-14", "2031-06-14T",
        "0001-01-01T00:00:00", "2099-12-31 00:00:00.0000000", "9999-12-31T23:59:59.999",
    ],
)  # fmt: skip
@pytest.mark.parametrize("read", [CLOCK.iso, utc_text], ids=["local", "utc"])
def test_an_iso_time_with_a_zone_or_that_means_none_is_refused(read: Callable[[str, str], object], text: str) -> None:
    """A time that says its zone is never read as local, and a sentinel is never published as the time of an event."""
    with pytest.raises(RecordError) as caught:
        read(text, "at")
    assert caught.value.code == "record.bad-date"


@settings(max_examples=100)
@given(st.datetimes(datetime(1972, 1, 1), datetime(2037, 12, 31)))  # noqa: DTZ001 - local, without a zone
def test_what_comes_out_fits_the_schema(local: datetime) -> None:
    """Every time that is not refused is a timestamp as events carry it, so the schema has nothing left to refuse."""
    try:
        text, _ = CLOCK.iso(local.isoformat(), "at")
    except RecordError as error:
        assert error.code == "record.nonexistent-local-time"  # noqa: PT017 - most examples raise nothing
        return
    assert TypeAdapter(UtcTimestamp).validate_python(text) == text


def test_memory_stays_flat_over_years_of_days() -> None:
    """A clock forgets, so that a feed that runs for years over all of history does not grow."""
    clock = UkClock()
    start = datetime(1972, 1, 1, tzinfo=UTC)
    for number in range(2 * CACHED_DAYS):
        when = start + timedelta(days=number, minutes=number)
        clock.day_first(f"{when:%d/%m/%Y} 12:{number % 60:02d}:{number // 60 % 60:02d}", "at")
    assert len(clock._days) <= CACHED_DAYS
    assert len(clock._clocks) <= CACHED_DAYS
