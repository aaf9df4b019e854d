"""One Kafka broker (KRaft, combined node) as a child process.

Measured on two cores: about three seconds to ready when the jars are in the cache. The listeners are on 127.0.0.1.
"""

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from backbone.embedded.jars import ELSEWHERE, EmbeddedKafkaError, find_jars, find_java
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readiness import wait_until_ready

READY_DEADLINE_SECS: Final = 90.0
PORT_TRIES: Final = 5
JVM_OPTIONS: Final = (
    "-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
)  # fmt: skip

SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "controlled.shutdown.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.index.size.max.bytes": "1048576",
}
"""The clean-up interval of timed-out transactions stays at its default: shortening it can leave one hanging."""


@dataclass(frozen=True, slots=True)
class Member:
    """A broker's place in a cluster: its number, its controller's port, and all controllers as ``id@host:port``."""

    node_id: int
    cluster_id: str
    controller_port: int
    voters: str


@dataclass(frozen=True, slots=True)
class Proxied:
    """A second listener: the broker listens on ``behind`` and tells clients that it is at ``port``, a proxy's."""

    port: int
    behind: int


@dataclass(frozen=True, slots=True)
class Secured:
    """A second listener where clients sign in with SASL PLAIN and may do what ACLs say; the first one may do all."""

    port: int
    passwords: Mapping[str, str]

    def settings(self) -> dict[str, str]:
        """Return the broker's settings."""
        users = " ".join(f'user_{name}="{password}"' for name, password in self.passwords.items())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return {
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secured.plain.sasl.jaas.config": f"{module} required {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


class EmbeddedKafka:
    """Start a broker on free ports; ``async with`` gives it when it is ready and ends it afterwards.

    ``path`` keeps the data: the next start with the same path goes on with it, on the same port if it is free.
    Without it the data is temporary. ``extra`` adds broker settings; ``member`` makes it one of a cluster,
    ``proxied`` adds a listener behind a proxy and ``secured`` one with users and ACLs. Raises EmbeddedKafkaError.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        port: int | None = None,
        extra: Mapping[str, str] | None = None,
        member: Member | None = None,
        proxied: Proxied | None = None,
        secured: Secured | None = None,
    ) -> None:
        """Prepare; nothing is started before ``start``."""
        self._kept = path is not None
        self.path = path or Path(tempfile.mkdtemp(prefix="backbone-kafka-"))
        self._port = port
        self._fixed_port = port is not None
        self._extra = dict(extra or {})
        self._member = member
        self._proxied = proxied
        self._secured = secured
        self._watcher: asyncio.subprocess.Process | None = None
        self.process_id = 0

    @property
    def bootstrap_servers(self) -> str:
        """Return the address for clients."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        """Start and wait until it is ready."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and remove data that nobody asked to keep."""
        await self.stop()
        if not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)

    async def start(self) -> None:
        """Start, on other ports if the chosen ones were taken meanwhile, and wait until it is ready."""
        java = await asyncio.to_thread(find_java)
        jars = await asyncio.to_thread(find_jars, java)
        classpath = os.pathsep.join(str(jar) for jar in jars)
        self.path.mkdir(parents=True, exist_ok=True)
        for attempt in range(PORT_TRIES):
            port = self._port or free_port()
            member = self._member or _only_member()
            self._port = port
            config = self._write_settings(port, member)
            if not (self.path / "data" / "meta.properties").exists():
                await self._format(java, classpath, config, member.cluster_id)
            await self._launch([str(java), *JVM_OPTIONS, "-cp", classpath, "kafka.Kafka", str(config)])
            try:
                await self._ready()
            except EmbeddedKafkaError:
                await self.stop()
                if "Address already in use" not in self._log_tail() or self._fixed_port or attempt == PORT_TRIES - 1:
                    raise
                self._port = None
            else:
                return

    def _write_settings(self, port: int, member: Member) -> Path:
        listeners = {"PLAINTEXT": port, "CONTROLLER": member.controller_port}
        advertised = {"PLAINTEXT": port}
        if self._proxied is not None:
            listeners["PROXIED"], advertised["PROXIED"] = self._proxied.behind, self._proxied.port
        protocols = dict.fromkeys(listeners, "PLAINTEXT")
        if self._secured is not None:
            listeners["SECURED"] = advertised["SECURED"] = self._secured.port
            protocols["SECURED"] = "SASL_PLAINTEXT"
        settings = {
            **SETTINGS,
            "node.id": str(member.node_id),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "listeners": _listed(listeners),
            "advertised.listeners": _listed(advertised),
            "controller.quorum.voters": member.voters,
            "log.dirs": str(self.path / "data"),
            **(self._secured.settings() if self._secured is not None else {}),
            **self._extra,
        }
        config = self.path / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return config

    async def _format(self, java: Path, classpath: str, config: Path, cluster_id: str) -> None:
        process = await asyncio.create_subprocess_exec(
            str(java), *JVM_OPTIONS, "-cp", classpath,
            "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, printed = await process.communicate()
        if process.returncode != 0:
            message = f"the broker's storage could not be prepared: {_last_line(printed.decode(errors='replace'))}"
            raise EmbeddedKafkaError(message, guidance=f"look at the free space of {self.path}, {ELSEWHERE}")

    async def _launch(self, command: list[str]) -> None:
        (self.path / "server.log").write_bytes(b"")
        watcher = Path(__file__).with_name("watcher.py")
        self._watcher = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(watcher), str(self.path / "server.log"), *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._watcher.stdout is not None
        self.process_id = int(await self._watcher.stdout.readline())

    async def _ready(self) -> None:
        assert self._watcher is not None
        ended = asyncio.create_task(self._watcher.wait())
        ready = asyncio.create_task(wait_until_ready(KafkaConnection(self.bootstrap_servers)))
        done, _ = await asyncio.wait({ended, ready}, timeout=READY_DEADLINE_SECS, return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, ready):
            task.cancel()
        await asyncio.gather(ended, ready, return_exceptions=True)
        if ready not in done:
            message = f"the broker did not become ready: {_last_line(self._log_tail())}"
            raise EmbeddedKafkaError(message, guidance=f"see {self.path / 'server.log'}, {ELSEWHERE}")

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return (self.path / "server.log").read_text(errors="replace")[-20_000:]
        return ""

    async def stop(self) -> None:
        """End in an orderly way; after ten seconds by force. Safe to call twice."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        assert watcher.stdin is not None
        with contextlib.suppress(ConnectionError, ProcessLookupError):
            watcher.stdin.write(b"stop\n")
            await watcher.stdin.drain()
        await watcher.wait()
        watcher.stdin.close()

    async def kill(self) -> None:
        """End at once, as a power failure would; ``start`` goes on with the same data and port."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself: a full disk does that
            os.kill(self.process_id, signal.SIGKILL)
        await watcher.wait()
        assert watcher.stdin is not None
        watcher.stdin.close()

    def pause(self) -> None:
        """Stop answering without ending: SIGSTOP."""
        os.kill(self.process_id, signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again: SIGCONT."""
        os.kill(self.process_id, signal.SIGCONT)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_cluster_id() -> str:
    """Return a cluster id as Kafka's tools take it: 22 characters that do not begin with a dash."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def _only_member() -> Member:
    port = free_port()
    return Member(1, new_cluster_id(), port, f"1@127.0.0.1:{port}")


def _listed(listeners: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())


def _last_line(text: str) -> str:
    """Return the last line that says something other than where in the code it happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    return lines[-1][:300] if lines else "it said nothing"
