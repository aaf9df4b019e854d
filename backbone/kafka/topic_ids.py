"""Which topic it is that bears a name: a topic that was deleted and made anew has another id.

aiokafka asks for metadata in a version without ids, so the request is written out here: Metadata, version 12.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import consumer

NO_ID: Final = bytes(16)
TEXT: Final = CompactString("utf-8")
TAGS: Final = ("tags", TaggedFields)


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka is not typed
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT), TAGS)),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16), ("name", TEXT), ("topic_id", _Uuid), ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)), ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)), TAGS,
                    ),
                ),
                ("authorized_operations", Int32), TAGS,
            ),
        ),
        TAGS,
    )  # fmt: skip


class _Question(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", TEXT), TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
        TAGS,
    )


class _Metadata(Request[_Question]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class([(NO_ID, name, {}) for name in self._topics], False, False, {})


async def topic_ids(connection: KafkaConnection, topics: Sequence[str]) -> dict[str, str]:
    """Return the id of every topic that exists among those asked for. Raises FatalError where one is denied."""
    async with consumer(connection) as client:
        answer = await _ask_any(client._client, _Metadata(topics))  # noqa: SLF001 - see backbone.kafka.readers
        found: dict[str, str] = {}
        for code, name, topic_id, *_ in answer.topics:
            if code == 0:
                found[name] = str(UUID(bytes=topic_id))
            elif for_code(code) is not UnknownTopicOrPartitionError:
                raise for_code(code)(name)
    return found


async def _ask_any(client: Any, request: _Metadata) -> Any:
    """Return the answer of the first broker that gives one."""
    problem: KafkaError = KafkaConnectionError("no broker is known")
    for broker in client.cluster.brokers():
        try:
            return await client.send(broker.nodeId, request)
        except KafkaError as error:
            problem = error
    raise problem
