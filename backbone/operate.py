"""What a running worker tells: whether somebody is needed, and its figures. Never a value of a record."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.applications import Starlette

from backbone import end_points
from backbone.end_points import Readiness
from backbone.reporting import Reporter, Sight
from backbone.shard import Shard
from backbone.status import ALARMS, WORST_FIRST, ShardStatus, worst
from backbone.tally import Histogram, Tally

FEED: Final = ("organisation", "feed")


def application(
    organisation: str, reporter: Reporter, shards: Sequence[Shard], lease_changes: Callable[[], int]
) -> Starlette:
    """Return the end points over a running worker."""
    registry = CollectorRegistry()
    registry.register(Figures(organisation, reporter, shards, lease_changes))
    ProcessCollector(registry=registry)
    return end_points.application(lambda verbose: readiness(reporter.look(), verbose=verbose), registry)


def readiness(sights: Sequence[Sight], *, verbose: bool = False) -> Readiness:
    """Return the answer of `/readyz`: every shard that needs somebody, worst first; with ``verbose`` the others too."""
    ordered = sorted(sights, key=lambda sight: (WORST_FIRST.index(sight.verdict.state), sight.status.feed))
    needing = [sight for sight in ordered if not sight.verdict.is_well]
    listed = {"feeds": [_as_json(sight) for sight in (ordered if verbose else needing)]}
    if not needing:
        return Readiness(more=listed if verbose else {})
    first = needing[0].verdict
    feeds = len({sight.status.feed for sight in needing})
    detail = f"{feeds} of {len({sight.status.feed for sight in ordered})} feeds need somebody"
    return Readiness(first.code, "feeds need somebody", detail, listed)


def _as_json(sight: Sight) -> dict[str, Any]:
    status, verdict = sight.status, sight.verdict
    where = {"feed": status.feed, "shard": status.shard, "worker": status.worker or None}
    # the anchor of the code's entry, as it is made of the heading
    runbook = f"docs/operations.md#{verdict.code.replace('.', '')}" if verdict.code else None
    return {**where, **verdict.as_json(), "runbook": runbook}


class Figures:
    """A collector of Prometheus over a running worker: every figure as it is when somebody asks."""

    def __init__(
        self, organisation: str, reporter: Reporter, shards: Sequence[Shard], lease_changes: Callable[[], int]
    ) -> None:
        """Take what is looked at."""
        self._organisation = organisation
        self._reporter = reporter
        self._shards = shards
        self._lease_changes = lease_changes

    def collect(self) -> Iterable[Metric]:
        """Yield every figure."""
        sights = self._reporter.look()
        yield from self._counters()
        yield from self._states([sight for sight in sights if sight.told])
        yield from self._documents([sight.status for sight in sights if sight.ours])
        changes = CounterMetricFamily("backbone_lease_changes", "Changes of what this worker runs", labels=FEED[:1])
        changes.add_metric([self._organisation], self._lease_changes())
        yield changes
        ready = GaugeMetricFamily("backbone_worker_ready", "1 while no feed needs somebody", labels=FEED[:1])
        ready.add_metric([self._organisation], float(all(sight.verdict.is_well for sight in sights)))
        yield ready

    def _by_feed(self) -> Iterator[tuple[list[str], list[Tally]]]:
        for feed in dict.fromkeys(shard.feed.name for shard in self._shards):
            yield [self._organisation, feed], [shard.tally for shard in self._shards if shard.feed.name == feed]

    def _counters(self) -> Iterator[Metric]:
        """Tell what has been done since the start, by this worker."""
        records = CounterMetricFamily("backbone_feed_records", "Records, by outcome", labels=(*FEED, "outcome"))
        events = CounterMetricFamily("backbone_feed_events", "Events published", labels=FEED)
        documents = CounterMetricFamily("backbone_feed_documents", "Documents, by outcome", labels=(*FEED, "outcome"))
        stalls = CounterMetricFamily(
            "backbone_feed_stalls", "Times that a feed could not go on", labels=(*FEED, "code")
        )
        fenced = CounterMetricFamily("backbone_feed_fenced", "Times that another owner took over", labels=FEED)
        seconds = HistogramMetricFamily("backbone_transaction_seconds", "From begin to commit", labels=FEED)
        batches = HistogramMetricFamily("backbone_transaction_records", "Records a transaction", labels=FEED)
        end_to_end = HistogramMetricFamily(
            "backbone_feed_end_to_end_seconds", "From a document's own time to its receipt", labels=FEED
        )
        for labels, tallies in self._by_feed():
            for outcome in ("published", "duplicate", "skipped", "rejected"):
                records.add_metric([*labels, outcome], sum(tally.records[outcome] for tally in tallies))
            events.add_metric(labels, sum(tally.events for tally in tallies))
            fenced.add_metric(labels, sum(tally.fenced for tally in tallies))
            for name, count in _summed(tally.documents for tally in tallies).items():
                documents.add_metric([*labels, name], count)
            for code, count in _summed(tally.stalls for tally in tallies).items():
                stalls.add_metric([*labels, code], count)
            _add(seconds, labels, [tally.transaction_secs for tally in tallies])
            _add(batches, labels, [tally.transaction_records for tally in tallies])
            _add(end_to_end, labels, [tally.document_secs for tally in tallies])
        yield from (records, events, documents, stalls, fenced, seconds, batches, end_to_end)

    def _states(self, sights: Sequence[Sight]) -> Iterator[Metric]:
        """Tell how feeds are: those that run here, and those that nobody runs."""
        state = GaugeMetricFamily("backbone_feed_state", "1 for the state that it is in", labels=(*FEED, "state"))
        cause = GaugeMetricFamily("backbone_feed_cause", "1 for the cause of its state", labels=(*FEED, "code"))
        since = GaugeMetricFamily("backbone_feed_state_since_timestamp_seconds", "Since when", labels=FEED)
        alarm = GaugeMetricFamily("backbone_alarm", "1 while somebody has to be woken", labels=(*FEED, "code"))
        for feed in dict.fromkeys(sight.status.feed for sight in sights):
            verdicts = {sight.status.shard: sight.verdict for sight in sights if sight.status.feed == feed}
            labels, verdict = [self._organisation, feed], worst(verdicts)
            for name in WORST_FIRST:
                state.add_metric([*labels, name], float(name == verdict.state))
            for code in dict.fromkeys(one.code for one in verdicts.values() if one.code):
                cause.add_metric([*labels, code], 1.0)
            since.add_metric(labels, verdict.since_ms / 1_000)
            for code in ALARMS:
                alarm.add_metric([*labels, code], float(any(one.code == code for one in verdicts.values())))
        yield from (state, cause, since, alarm)

    def _documents(self, statuses: Sequence[ShardStatus]) -> Iterator[Metric]:
        """Tell how far feeds are that run here."""
        waiting = GaugeMetricFamily("backbone_feed_documents_waiting", "Documents that are not ready yet", labels=FEED)
        held = GaugeMetricFamily("backbone_feed_documents_held", "Documents that somebody must settle", labels=FEED)
        success = GaugeMetricFamily(
            "backbone_feed_last_success_timestamp_seconds", "When a document last ended well", labels=FEED
        )
        lag = GaugeMetricFamily("backbone_feed_lag_seconds", "Age of the document in hand; 0 between", labels=FEED)
        rejects = GaugeMetricFamily("backbone_feed_rejects_open", "Records set aside and not settled", labels=FEED)
        oldest = GaugeMetricFamily(
            "backbone_feed_rejects_oldest_timestamp_seconds", "When the oldest open one was set aside", labels=FEED
        )
        now = datetime.now(UTC).timestamp()
        for feed in dict.fromkeys(status.feed for status in statuses):
            ours = [status for status in statuses if status.feed == feed]
            labels = [self._organisation, feed]
            waiting.add_metric(labels, sum(status.waiting for status in ours))
            held.add_metric(labels, sum(len(status.held) for status in ours))
            rejects.add_metric(labels, sum(status.open_rejects for status in ours))
            lag.add_metric(labels, max(
                max(0.0, now - status.document_at_ms / 1_000) if status.document_at_ms else 0.0 for status in ours
            ))  # fmt: skip
            if all(status.last_success_ms for status in ours):
                success.add_metric(labels, min(status.last_success_ms for status in ours) / 1_000)
            old = [status.oldest_reject_ms for status in ours if status.oldest_reject_ms]
            if old:
                oldest.add_metric(labels, min(old) / 1_000)
        yield from (waiting, held, success, lag, rejects, oldest)


def _summed(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            found[name] = found.get(name, 0) + count
    return found


def _add(family: HistogramMetricFamily, labels: Sequence[str], histograms: Sequence[Histogram]) -> None:
    total = Histogram(histograms[0].bounds)
    for histogram in histograms:
        total.add(histogram)
    family.add_metric(labels, total.buckets(), total.total)
