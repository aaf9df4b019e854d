"""Brokers to strike at, each behind a proxy that workers reach them through."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from backbone.embedded import EmbeddedKafka
from backbone.embedded.broker import Proxied, free_port
from backbone.embedded.cluster import EmbeddedCluster
from backbone.testing.kafka_proxy import KafkaProxy

SETTINGS: Final[Mapping[str, str]] = {"log.retention.check.interval.ms": "600000"}


@asynccontextmanager
async def brokers(
    nodes: int, extra: Mapping[str, str] = SETTINGS
) -> AsyncIterator[tuple[Sequence[EmbeddedKafka], list[KafkaProxy], str]]:
    """Give brokers, a proxy before each, and the proxies' addresses."""
    places = [Proxied(free_port(), free_port()) for _ in range(nodes)]
    async with contextlib.AsyncExitStack() as stack:
        if nodes == 1:
            started: Sequence[EmbeddedKafka] = [
                await stack.enter_async_context(EmbeddedKafka(port=free_port(), extra=extra, proxied=places[0]))
            ]
        else:
            cluster = EmbeddedCluster(size=nodes, extra=extra, proxied=places)
            started = (await stack.enter_async_context(cluster)).brokers
        proxies = [await stack.enter_async_context(KafkaProxy(place.port, place.behind)) for place in places]
        yield started, proxies, ",".join(f"127.0.0.1:{place.port}" for place in places)
