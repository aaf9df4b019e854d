"""The example subscribers are run as they stand: other languages and clients, on a real broker."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from backbone.packed import Message
from backbone.sample import sample_events
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import Opened, StatusChanged
from tests.other_languages.java import compile_java, java_command, locked_jar
from tests.other_languages.node import NODE, node_modules

EXAMPLES = Path(__file__).parents[2] / "examples" / "subscribers"
DEADLINE_SECS = 60
SMALL_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m")
LONG = b" " * 60_000
"""JSON may be followed by blanks: thirty such records are more than one fetch brings."""

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Example:
    """One program: how it is made ready in a folder and then called, and how it ends after SIGTERM."""

    command: Callable[[Path], Sequence[str | Path]]
    partitions: int = 2
    stopped: int = 0


def python(name: str) -> Callable[[Path], Sequence[str | Path]]:
    return lambda _: [sys.executable, EXAMPLES / name]


def java(folder: Path) -> Sequence[str | Path]:
    compile_java(EXAMPLES / "Subscriber.java", folder / "classes")
    return java_command("Subscriber", folder / "classes", options=SMALL_JVM)


def node(folder: Path) -> Sequence[str | Path]:
    (folder / "node_modules").symlink_to(node_modules(EXAMPLES))
    shutil.copyfile(EXAMPLES / "subscriber.mjs", folder / "subscriber.mjs")
    return [NODE, folder / "subscriber.mjs"]


def shell(folder: Path) -> Sequence[str | Path]:
    """Put the console consumer on the path, as an installed Kafka does: its script starts this very class."""
    tool = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    script = folder / "kafka-console-consumer.sh"
    started = shlex.join(java_command(tool, locked_jar("kafka-tools"), options=SMALL_JVM))
    script.write_text(f'#!/bin/sh\nexec {started} "$@"\n')
    script.chmod(0o755)
    return ["bash", EXAMPLES / "console_consumer.sh"]


ALL: Mapping[str, Example] = {
    "with_aiokafka.py": Example(python("with_aiokafka.py")),
    "with_confluent_kafka.py": Example(python("with_confluent_kafka.py")),
    "Subscriber.java": Example(java, stopped=128 + signal.SIGTERM),  # so a JVM ends, however clean
    "subscriber.mjs": Example(node),
    "console_consumer.sh": Example(shell, partitions=1),
}


@pytest.fixture(params=ALL)
def example(request: pytest.FixtureRequest) -> Example:
    """Give each example in turn."""
    return ALL[request.param]


class Running:
    """An example that runs: its lines, and its end."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: Path) -> None:
        """Take the process and where it complains."""
        assert process.stdout is not None
        self._process, self._stdout, self._stderr = process, process.stdout, stderr

    async def lines(self, count: int) -> list[str]:
        """Return the next lines as soon as they are printed."""
        found: list[str] = []
        async with asyncio.timeout(DEADLINE_SECS):
            while len(found) < count:
                line = await self._stdout.readline()
                assert line, f"it ended after {found}: {self._stderr.read_text()}"
                found.append(line.decode().rstrip("\n"))
        return found

    async def stop(self) -> tuple[list[str], int]:
        """Ask it to end; return what it printed until it did, and its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> tuple[list[str], int]:
        """Wait for its end; return what it printed until then, and its exit code."""
        async with asyncio.timeout(DEADLINE_SECS):
            rest = (await self._stdout.read()).decode().splitlines()
            return rest, await self._process.wait()


@dataclass(frozen=True)
class Place:
    """Where an example runs and what it reads."""

    broker: str
    topic: str
    folder: Path
    command: Sequence[str | Path]
    partitions: int

    @asynccontextmanager
    async def start(self) -> AsyncIterator[Running]:
        """Run the example; whatever happens, nothing of it is left."""
        path = [str(self.folder), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        stderr = self.folder / "stderr"
        with stderr.open("wb") as complaints:
            process = await asyncio.create_subprocess_exec(
                *self.command, stdout=asyncio.subprocess.PIPE, stderr=complaints, start_new_session=True,
                cwd=self.folder,
                env={
                    **os.environ, "PATH": os.pathsep.join(path), "BACKBONE_BOOTSTRAP_SERVERS": self.broker,
                    "BACKBONE_TOPIC": self.topic, "BACKBONE_GROUP": self.topic, "BACKBONE_STATE": str(self.folder),
                },
            )  # fmt: skip
        try:
            yield Running(process, stderr)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def write(self, *transactions: tuple[Sequence[Message], bool]) -> None:
        """Write the messages of each transaction by turns to the partitions, and commit or abort it."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker, transactional_id=self.topic, max_batch_size=100_000)
        await producer.start()
        try:
            for messages, committed in transactions:
                await producer.begin_transaction()
                for number, (key, value, headers) in enumerate(messages):
                    partition = number % self.partitions
                    await producer.send(self.topic, value, key=key, headers=headers, partition=partition)
                await (producer.commit_transaction() if committed else producer.abort_transaction())
        finally:
            await producer.stop()

    async def committed(self) -> int:
        """Return how far the first partition is committed, by the group or by the example's own file."""
        own = self.folder / f"{self.topic}-0.offset"
        if own.exists():
            return int(own.read_text() or 0)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(self.topic)
        finally:
            await admin.close()
        known = found.get(TopicPartition(self.topic, 0))
        return 0 if known is None else max(int(known.offset), 0)


@pytest.fixture
async def place(broker: str, organisation: str, tmp_path: Path, example: Example) -> Place:
    """Give an example, ready to be started, and its topic."""
    topic = f"{organisation}.{StatusChanged.topic_suffix}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, example.partitions, 1)])
    await admin.close()
    command = await asyncio.to_thread(example.command, tmp_path)
    return Place(broker, topic, tmp_path, command, example.partitions)


def line(message: Message) -> str:
    """Return what an example prints of an event."""
    key, _, headers = message
    return f"{dict(headers)['ce_id'].decode()} {(key or b'').decode()}"


def made(speaker: Publisher, kind: type[StatusChanged | Opened], begin: int, end: int) -> list[Message]:
    """Return the records of some sample events, each of a case of its own."""
    return [message for _, message in speaker.messages(sample_events(kind, end)[begin:end])]


def test_the_lock_of_npm_names_digests_and_no_registry() -> None:
    """Whoever installs takes every package from a registry of their own, and gets what was tested."""
    packages = json.loads((EXAMPLES / "package-lock.json").read_text())["packages"]
    fetched = {name: package for name, package in packages.items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in fetched.values())
    assert not any("resolved" in package for package in fetched.values())


async def test_only_what_was_committed_is_handled_once_and_a_restart_goes_on(
    place: Place, organisation: str, example: Example
) -> None:
    """No aborted or unknown event shows, a repeated id is handled once, a second run begins where the first ended."""
    speaker = Publisher(organisation)
    first, later = made(speaker, StatusChanged, 0, 12), made(speaker, StatusChanged, 12, 18)
    never, others = made(speaker, StatusChanged, 20, 50), made(speaker, Opened, 0, 4)
    long = [(key, (value or b"") + LONG, headers) for key, value, headers in never for _ in range(example.partitions)]
    await place.write(
        (never[:4], False), (first[:6], True), (never[4:8], False), (never[8:12], False), (others, True),
        (long, False), (first[:4], True), (first[6:], True),
    )  # fmt: skip
    async with place.start() as running:
        seen = await running.lines(len(first))
        rest, code = await running.stop()
    assert (sorted(seen), rest, code) == (sorted(map(line, first)), [], example.stopped)
    for partition in range(example.partitions):
        wanted = [line(message) for message in first[partition :: example.partitions]]
        assert [each for each in seen if each in wanted] == wanted
    await place.write((never[:2], False), (later, True))
    async with place.start() as running:
        seen = await running.lines(len(later))
        rest, code = await running.stop()
    assert (sorted(seen), rest, code) == (sorted(map(line, later)), [], example.stopped)


async def test_nothing_is_committed_past_an_event_that_cannot_be_handled(place: Place, organisation: str) -> None:
    """An event whose value is no JSON ends the program with an error, and a restart would come back to it."""
    before, wrong, after = made(Publisher(organisation), StatusChanged, 0, 3)
    broken = (wrong[0], b"{", wrong[2])
    step = [[message] for message in (before, broken, after)]
    await place.write(*((messages, True) for messages in step))
    async with place.start() as running:
        seen, code = await running.ended()
    assert code not in {0, -signal.SIGKILL}
    assert seen == [line(before)]
    assert await place.committed() <= 2  # where it lies: behind the first event and the end of that one's transaction
