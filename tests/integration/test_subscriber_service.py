"""What a reader begins with: the page on subscribing as it stands, a scaffold, a trial without any broker."""

import asyncio
import os
import re
import sys
from pathlib import Path

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.sample import sample_events
from backbone.testing.events import Publisher
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.subscribers import publish

ROOT = Path(__file__).parents[2]


async def test_the_page_on_subscribing_works_as_it_stands(broker: str, organisation: str, tmp_path: Path) -> None:
    """Its service handles an event, its commands work, and its test passes."""
    page = (ROOT / "docs" / "subscribing.md").read_text()
    service, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "service.py").write_text(service.replace("E09000099", organisation))
    (tmp_path / "test_service.py").write_text(test.replace("E09000099", organisation))
    environment = {
        **os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": "example-department",
        "PYTHONPATH": str(tmp_path),
    }  # fmt: skip
    (line,) = re.findall(r"^backbone subscriber topics .*?(?=  )", page, re.MULTILINE)
    made = await asyncio.create_subprocess_exec(sys.executable, "-m", *line.split(), env=environment)
    assert await made.wait() == 0
    await create_topics(KafkaConnection(broker), [TopicSpec(f"{organisation}.servicerequests.v1", 1, 1)])
    (event,) = sample_events(StatusChanged, 1, seed=1)
    await publish(broker, [Publisher(organisation).message(event)])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "service.py", cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        printed = await asyncio.wait_for(process.stdout.readline(), 30)
        assert printed.decode().split() == [organisation, event.case_ref, event.state]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
    tested = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", str(tmp_path),
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await tested.communicate()
    assert "1 passed" in said.decode()
    moved = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "subscriber", "seek", "potholes", "--to", "earliest", "--dry-run", "--json",
        env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await moved.communicate()
    assert b'"from":1,"to":0' in said


async def test_a_new_subscriber_works_as_it_is_made(tmp_path: Path) -> None:
    """`init --subscriber` gives a service whose tests pass; `try` shows it synthetic events on a Kafka of its own."""
    folder = tmp_path / "service"

    async def command(*arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, cwd=folder if folder.exists() else tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    assert (await command("backbone", "init", str(folder), "--subscriber"))[0] == 0
    code, said = await command("pytest", "-q", "-p", "no:cacheprovider")
    assert (code, "1 passed" in said) == (0, True), said
    code, said = await command(
        "backbone", "subscriber", "try", "servicerequests.status-changed", "--service", "service:subscriber",
        "--count", "3",
    )  # fmt: skip
    assert code == 0, said
    assert "3 handled, 0 passed over, 0 set aside" in said
    code, said = await command("backbone", "subscriber", "try", "servicerequest.status-changed")
    assert (code, "did you mean" in said) == (2, True)
    assert (await command("backbone", "init", str(folder), "--subscriber"))[0] == 2
