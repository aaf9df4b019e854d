"""Moments as the envelope and the state write them."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Return a UTC moment with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return int(moment.timestamp() * 1_000)


def as_utc(moment: datetime) -> datetime:
    """Return a moment with its zone; one without is taken as UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
