"""The pure parts around Kafka: Java's partitioning, sharing leases out, topic plans, states of feeds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.kafka.admin import TopicSpec
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.lease import share_out
from backbone.kafka.partitioning import CachedPartitioner, murmur2, partition_of
from backbone.secret import Secret
from backbone.topics import plan, refusals

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From the tests of Apache Kafka's own client."""


def test_murmur2_is_that_of_the_java_client() -> None:
    """Events of a case land where a Java producer would put them."""
    for key, signed in JAVA.items():
        assert murmur2(key) == signed & 0xFFFFFFFF
    partitioner = CachedPartitioner({"t": 6})
    assert [partitioner("t", key) for key in JAVA] == [partition_of(key, 6) for key in JAVA]
    assert partitioner("t", b"21") == partition_of(b"21", 6)


@settings(max_examples=100)
@given(
    st.dictionaries(st.integers(0, 11), st.integers(1, 9), max_size=12),
    st.dictionaries(st.sampled_from("abcde"), st.frozensets(st.integers(0, 11)), min_size=1),
)
def test_leases_are_shared_out_whole_and_fairly(weights: dict[int, int], owned: dict[str, frozenset[int]]) -> None:
    """Every partition has one owner, and no member has more than a fair share and its heaviest partition."""
    shared = share_out(weights, owned, range(12))
    assert sorted(partition for partitions in shared.values() for partition in partitions) == list(range(12))
    fair = -(-sum(weights.values()) // len(owned))
    for partitions in shared.values():
        assert sum(weights.get(partition, 0) for partition in partitions) <= fair + max(weights.values(), default=0)
    assert shared == share_out(weights, owned, range(12))


def test_a_lease_stays_where_it_is_when_that_is_fair() -> None:
    """A member that joins takes over as little as it must."""
    owned = {"a": frozenset(range(12)), "b": frozenset()}
    shared = share_out(dict.fromkeys(range(12), 1), owned, range(12))
    assert [len(partitions) for partitions in shared.values()] == [6, 6]


STATE = TopicSpec("o.backbone.state", 12, 3, {"cleanup.policy": "compact", "min.insync.replicas": "2"})
EVENTS = TopicSpec("o.x.v1", 6, 3, {"cleanup.policy": "delete", "retention.ms": "1000", "retention.bytes": "-1"})


def changed(spec: TopicSpec, partitions: int = 0, **settings: str) -> TopicSpec:
    merged = {**spec.settings, **{name.replace("_", "."): value for name, value in settings.items()}}
    return TopicSpec(spec.name, partitions or spec.partitions, spec.replication_factor, merged)


def test_what_would_lose_data_is_refused_and_what_is_safe_is_changed() -> None:
    """Each difference has its step: create, change, or a refusal with a code."""
    found = {
        STATE.name: changed(STATE, cleanup_policy="delete"),
        EVENTS.name: changed(EVENTS, partitions=12, retention_ms="500"),
    }
    steps = [
        (step.action, step.topic, step.code)
        for step in plan([STATE, EVENTS, TopicSpec("new", 1, 3, {"cleanup.policy": "delete"})], found)
    ]
    assert steps == [
        ("refuse", STATE.name, "topic.cleanup-policy"),
        ("refuse", EVENTS.name, "topic.partitions-differ"),
        ("change", EVENTS.name, ""),
        ("create", "new", ""),
    ]
    assert plan([STATE, EVENTS], {STATE.name: STATE, EVENTS.name: EVENTS}) == []


def test_a_worker_does_not_run_on_topics_that_lose_data() -> None:
    """Missing topics, short retention and few in-sync replicas stop a start; a longer retention does not."""
    assert [step.code for step in refusals([STATE], {})] == ["topic.missing"]
    short = {EVENTS.name: changed(EVENTS, retention_ms="10"), STATE.name: changed(STATE, min_insync_replicas="1")}
    assert [step.code for step in refusals([EVENTS, STATE], short)] == [
        "topic.retention-too-short",
        "topic.min-insync-too-low",
    ]
    assert refusals([EVENTS], {EVENTS.name: changed(EVENTS, retention_ms="99999")}) == []


def test_a_secret_never_shows_itself() -> None:
    """Neither the secret nor the connection prints the password."""
    connection = KafkaConnection("b:9092", "SASL_SSL", "PLAIN", "u", Secret("hunter2"))
    assert "hunter2" not in repr(connection)
    assert connection.options()["sasl_plain_password"] == "hunter2"  # noqa: S105 - it is a test's
    assert connection.librdkafka_options()["sasl.password"] == "hunter2"
