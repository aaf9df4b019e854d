"""Three brokers as child processes: replication, leader changes and in-sync replicas on one machine.

Each is a combined node with the settings of the single one, but for replicas: three of everything, two in sync. They
need about 250 MB each and ten seconds to be ready on two cores.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from backbone.embedded.broker import EmbeddedKafka, Member, Proxied, free_port, new_cluster_id

REPLICATED: Final[Mapping[str, str]] = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "controlled.shutdown.enable": "true",
    "replica.lag.time.max.ms": "5000",
}


class EmbeddedCluster:
    """Start brokers together; ``async with`` gives the cluster when every broker is ready.

    ``proxied`` adds a listener behind a proxy to each. ``brokers`` may be killed, paused and started one by one.
    Raises EmbeddedKafkaError.
    """

    def __init__(
        self, *, size: int = 3, proxied: Sequence[Proxied] = (), extra: Mapping[str, str] | None = None
    ) -> None:
        """Prepare; nothing is started before ``async with``."""
        self.path = Path(tempfile.mkdtemp(prefix="backbone-cluster-"))
        controllers = [free_port() for _ in range(size)]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        cluster = new_cluster_id()
        self.brokers = [
            EmbeddedKafka(
                self.path / str(number),
                port=free_port(),
                extra={**REPLICATED, **(extra or {})},
                member=Member(number, cluster, port, voters),
                proxied=proxied[number - 1] if proxied else None,
            )
            for number, port in enumerate(controllers, 1)
        ]

    @property
    def bootstrap_servers(self) -> str:
        """Return the addresses of every broker."""
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    async def __aenter__(self) -> Self:
        """Start every broker and wait until all are ready."""
        await asyncio.gather(*(broker.start() for broker in self.brokers))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every broker and remove the data."""
        await asyncio.gather(*(broker.stop() for broker in self.brokers))
        shutil.rmtree(self.path, ignore_errors=True)
