"""What a reader begins with: the page on subscribing as it stands, a scaffold, a trial without any broker."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_the_page_on_subscribing_works_as_it_stands(broker: str, organisation: str, tmp_path: Path) -> None:
    """Its service handles the events of its commands, its test passes, and its other commands do what they say."""
    page = (ROOT / "docs" / "subscribing.md").read_text()
    service, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "service.py").write_text(service.replace("E09000099", organisation))
    (tmp_path / "test_service.py").write_text(test.replace("E09000099", organisation))
    environment = {
        **os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": "example-department",
        "PYTHONPATH": str(tmp_path),
    }  # fmt: skip

    async def run(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *words, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, words
        return said.decode()

    async def run_lines(beginning: str) -> list[str]:
        lines = re.findall(rf"^({beginning}.*?)(?:  |$)", page, re.MULTILINE)
        return [
            await run(*line.replace("E09000099", organisation).replace("127.0.0.1:9092", broker).split())
            for line in lines
        ]

    assert len(await run_lines("backbone subscriber topics ")) == len(await run_lines("backbone sample ")) == 1
    process = await asyncio.create_subprocess_exec(
        sys.executable, "service.py", cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        printed = [await asyncio.wait_for(process.stdout.readline(), 30) for _ in range(10)]
        assert {line.split()[0].decode() for line in printed} == {organisation}
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
    assert "1 passed" in await run("pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    (shown,) = await run_lines("backbone subscriber seek potholes .*--dry-run")
    assert "\tfrom\tto\t" in shown
    moves = [json.loads(line) for line in (await run(
        "backbone", "subscriber", "seek", "potholes", "--to", "earliest", "--dry-run", "--json"
    )).splitlines()]  # fmt: skip
    assert sum(move["from"] for move in moves if move["topic"].startswith(organisation)) >= 10
    assert len(await run_lines("backbone dead list ")) == 1
    assert len(await run_lines("backbone dead retry .*--dry-run")) == 1


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
    compose = ("check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    assert (await command(*compose))[0] == 0
    code, said = await command("backbone", "subscriber", "asyncapi", "service:subscriber")
    assert (code, json.loads(said)["asyncapi"]) == (0, "3.0.0")
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
