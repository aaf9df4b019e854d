"""What a running subscriber tells: `/livez`, `/readyz` and `/metrics`. Never a value of an event."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from backbone.end_points import EndPoints, Readiness, application
from backbone.subscriber.work import Place, Tally

LABELS: Final = ("subscriber",)


class Watched(Protocol):
    """What the end points tell of: a subscriber or a transform."""

    name: str
    tally: Tally

    @property
    def trouble(self) -> str:
        """Return the code of why it cannot do its work, or nothing when it can."""
        ...

    @property
    def open_letters(self) -> int:
        """Return how many dead letters are not settled."""
        ...

    @property
    def delay_secs(self) -> float:
        """Return the age of the oldest event that is not done."""
        ...

    @property
    def oldest_waiting_secs(self) -> float:
        """Return for how long the case that is held back longest has been."""
        ...

    def lag(self) -> Mapping[Place, int]:
        """Return how many offsets each partition is behind its end."""
        ...


class Figures:
    """A collector of Prometheus over a running subscriber or transform."""

    def __init__(self, watched: Watched) -> None:
        """Take what is looked at when somebody asks."""
        self._name = watched.name
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        """Yield every figure as it is now."""
        watched, tally = self._watched, self._watched.tally
        for name, text, count in (
            ("handled", "Events that every handler has taken", tally.handled),
            ("ignored", "Events that no handler asked for", tally.ignored),
            ("retried", "Tries that failed and were repeated", tally.retried),
            ("unknown_fields", "Events with fields that this version does not know", tally.unknown_fields),
        ):
            yield self._counter(f"backbone_subscriber_{name}", text, count)
        dead = CounterMetricFamily("backbone_subscriber_dead", "Events set aside, by code", labels=[*LABELS, "code"])
        for code, count in tally.dead.items():
            dead.add_metric([self._name, code], count)
        yield dead
        lag = GaugeMetricFamily(
            "backbone_subscriber_lag_records", "Offsets behind the end", labels=[*LABELS, "topic", "partition"]
        )
        for (topic, partition), behind in watched.lag().items():
            lag.add_metric([self._name, topic, str(partition)], behind)
        yield lag
        for name, text, value in (
            ("delay_seconds", "Age of the oldest event that was read and is not done", watched.delay_secs),
            ("oldest_waiting_seconds", "For how long a case has been held back", watched.oldest_waiting_secs),
            ("open_letters", "Dead letters that are not settled", watched.open_letters),
            ("ready", "1 while it can do its work", float(not watched.trouble)),
        ):
            yield self._gauge(f"backbone_subscriber_{name}", text, value)

    def _counter(self, name: str, text: str, count: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=LABELS)
        family.add_metric([self._name], count)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=LABELS)
        family.add_metric([self._name], value)
        return family


def end_points(address: str, watched: Watched) -> EndPoints:
    """Return the end points over a running subscriber or transform; nothing listens yet."""
    registry = CollectorRegistry()
    registry.register(Figures(watched))

    def readiness(verbose: bool) -> Readiness:  # noqa: FBT001 - the end points' own signature
        del verbose
        code = watched.trouble
        return Readiness(code, "not ready", f"docs/operations.md, {code}") if code else Readiness()

    return EndPoints(address, application(readiness, registry))
