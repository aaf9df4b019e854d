"""Records that nobody should have written: they are set aside or read for what they are, and never stop a topic."""

import pytest

from backbone.cli import subscriber as command
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import TransactionalProducer
from backbone.kafka.readers import read_topics
from backbone.packed import Message, pack
from backbone.subscriber import Event, Output, Settings, Subscriber, Transform
from backbone.subscriber.letters import open_letters
from backbone.subscriber.positions import positions_topic
from backbone.testing.events import Publisher
from backbone.topics import COMPACTED
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import changed, dead_letters, make_topics, number_of, publish, quick

RECORDED = "2031-06-14T08:05:01.000Z"


async def write_misnamed(broker: str, organisation: str) -> None:
    """Write five events of one batch; the third has a header whose name is no text."""
    messages = [message for _, message in Publisher(organisation).messages(changed(f"c{n}", n) for n in range(5))]
    packed = [pack(message) for message in messages]
    key, value, headers = messages[2]
    packed[2] = pack((key, value, [*headers, ("MISNAMED", b"x")])).replace(b"MISNAMED", b"\xff\xfeMISN\xc3\x28")
    producer = TransactionalProducer(KafkaConnection(broker), f"misnamed-{organisation}")
    await producer.start()
    await producer.publish({(f"{organisation}.servicerequests.v1", 0): packed}, RECORDED)
    await producer.discard()


async def test_a_header_whose_name_is_no_text_stops_nobody(broker: str, organisation: str) -> None:
    """The event is read with the name's wrong bytes replaced, and so are those behind it, each once."""
    await make_topics(broker, organisation, partitions=2)
    await write_misnamed(broker, organisation)
    seen: list[Event[StatusChanged]] = []
    subscriber = Subscriber("s", quick(broker, organisation))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        seen.append(event)

    await subscriber.run(until_caught_up=True)
    assert [number_of(event) for event in seen] == [0, 1, 2, 3, 4]
    assert [name for name, value in seen[2].record.headers if value == b"x"] == ["\ufffd\ufffdMISN\ufffd("]
    assert seen[2].data.case_ref == "c2"


async def test_a_transform_reads_past_it_too(broker: str, organisation: str) -> None:
    """Each event has its outputs once."""
    await make_topics(broker, organisation, partitions=1)
    out = f"{organisation}.out"
    await create_topics(
        KafkaConnection(broker),
        [
            TopicSpec(out, 1, 1), TopicSpec(f"{organisation}.dead.t", 1, 1),
            TopicSpec(positions_topic(organisation, "t"), 12, 1, COMPACTED),
        ],
    )  # fmt: skip
    await write_misnamed(broker, organisation)
    transform = Transform("t", Settings(bootstrap_servers=broker, organisation=organisation), to=[out])
    transform.on(StatusChanged, organisations=[organisation])(lambda event: Output(event.data.case_ref.encode()))
    await transform.run(until_caught_up=True)
    found = [record.value async for record in read_topics(KafkaConnection(broker), [out])]
    assert found == [b"c0", b"c1", b"c2", b"c3", b"c4"]


async def test_a_transform_sets_aside_what_is_too_large_to_read_or_to_write(broker: str, organisation: str) -> None:
    """An input that no event may be, and one whose output no topic takes: letters with their originals, then on."""
    topic, out = f"{organisation}.servicerequests.v1", f"{organisation}.out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BACKBONE_BOOTSTRAP_SERVERS", broker)
        patched.setenv("BACKBONE_ORGANISATION", organisation)
        assert await command.topics("t", transform=True, replication_factor=1) == 0
    await create_topics(
        KafkaConnection(broker), [TopicSpec(topic, 1, 1, {"max.message.bytes": "8000000"}), TopicSpec(out, 1, 1)]
    )
    first, second, third = [message for _, message in Publisher(organisation).messages(changed(c, 0) for c in "abc")]
    large = b'{"x":"' + b"x" * 3_000_000 + b'"}'
    await publish(broker, [(topic, (b"a", large, first[2])), (topic, second), (topic, third)])
    transform = Transform("t", Settings(bootstrap_servers=broker, organisation=organisation), to=[out])

    @transform.on(StatusChanged, organisations=[organisation])
    def larger(event: Event[StatusChanged]) -> Output:
        return Output(b"x" * (2_000_000 if event.data.case_ref == "b" else 1))

    await transform.run(until_caught_up=True)
    letters = (await open_letters(KafkaConnection(broker), transform.dead_letter_topic)).open.values()
    assert [letter.code for letter in letters] == ["event.oversize", "transform.output-too-large"]
    assert [letter.value for letter in letters] == [large, second[1]]
    assert [record.value async for record in read_topics(KafkaConnection(broker), [out])] == [b"x"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_topic_may_be_compressed_in_any_way(broker: str, organisation: str, codec: str) -> None:
    """Whoever runs the cluster chooses: the broker compresses what feeds wrote without."""
    topic = f"{organisation}.servicerequests.v1"
    await create_topics(
        KafkaConnection(broker),
        [TopicSpec(topic, 1, 1, {"compression.type": codec}), TopicSpec(f"{organisation}.dead.s", 1, 1)],
    )
    await publish(broker, Publisher(organisation).messages(changed("c", number) for number in range(50)))
    subscriber = Subscriber("s", quick(broker, organisation))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        assert event.data.case_ref == "c"

    await subscriber.run(until_caught_up=True)
    assert subscriber.tally.handled == 50


async def test_a_value_that_is_too_large_is_set_aside_whole(broker: str, organisation: str) -> None:
    """Larger than an event may be, and than a topic takes by default: the topic of letters is made for it."""
    topic = f"{organisation}.servicerequests.v1"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BACKBONE_BOOTSTRAP_SERVERS", broker)
        patched.setenv("BACKBONE_ORGANISATION", organisation)
        assert await command.topics("s", replication_factor=1) == 0
    await create_topics(KafkaConnection(broker), [TopicSpec(topic, 1, 1, {"max.message.bytes": "8000000"})])
    _, (key, value, headers) = Publisher(organisation).message(changed("c", 0))
    large: Message = (key, b'{"x":"' + b"x" * 3_000_000 + b'"}', headers)
    await publish(broker, [(topic, large), (topic, (b"d", value, headers))])
    subscriber = Subscriber("s", quick(broker, organisation))

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        """Do nothing."""

    await subscriber.run(until_caught_up=True)
    assert subscriber.tally.handled == 1
    assert await dead_letters(broker, organisation) == [("dead", "c", "event.oversize")]
    (letter,) = (await open_letters(KafkaConnection(broker), f"{organisation}.dead.s")).open.values()
    assert (letter.value, list(letter.headers)) == (large[1], large[2])
