"""What a running subscriber tells: `/livez`, `/readyz` and `/metrics`. Never a value of an event."""

import time
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from backbone.end_points import EndPoints, Readiness, application
from backbone.subscriber.runtime import Runtime

LABELS: Final = ("subscriber",)


class Figures:
    """A collector of Prometheus over a running subscriber."""

    def __init__(self, name: str, runtime: Runtime) -> None:
        """Take what is looked at when somebody asks."""
        self._name = name
        self._runtime = runtime

    def collect(self) -> Iterable[Metric]:
        """Yield every figure as it is now."""
        runtime, tally = self._runtime, self._runtime.engine.tally
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
        for (topic, partition), behind in runtime.lag().items():
            lag.add_metric([self._name, topic, str(partition)], behind)
        yield lag
        behind_secs = time.time() - tally.last_timestamp_ms / 1_000 if any(runtime.lag().values()) else 0.0
        yield self._gauge(
            "backbone_subscriber_delay_seconds", "Age of the last event handled while behind", behind_secs
        )
        oldest = runtime.engine.oldest_waiting_secs
        yield self._gauge(
            "backbone_subscriber_oldest_waiting_seconds", "For how long a case has been held back", oldest
        )
        yield self._gauge("backbone_subscriber_open_letters", "Dead letters that are not settled", len(runtime.open))
        yield self._gauge("backbone_subscriber_ready", "1 while it can do its work", float(runtime.ready))

    def _counter(self, name: str, text: str, count: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=LABELS)
        family.add_metric([self._name], count)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=LABELS)
        family.add_metric([self._name], value)
        return family


def end_points(address: str, name: str, runtime: Runtime) -> EndPoints:
    """Return the end points over a running subscriber; nothing listens yet."""
    registry = CollectorRegistry()
    registry.register(Figures(name, runtime))

    def readiness(verbose: bool) -> Readiness:  # noqa: FBT001 - the end points' own signature
        del verbose
        if runtime.ready:
            return Readiness()
        return Readiness(runtime.engine.stalled or "subscriber.starting", "not ready")

    return EndPoints(address, application(readiness, registry))
