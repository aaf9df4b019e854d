"""The command line as a new user meets it: an installed wheel, an empty folder, the README's commands."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from backbone.embedded.broker import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the command of a wheel that was built and installed; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(folder),
            str(ROOT),
        ],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    packages = next((folder / "venv" / "lib").glob("python3*")) / "site-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), str(wheel)],
        check=True,
    )
    mine = Path(pytest.__file__).parents[1]
    (packages / "dependencies.pth").write_text(f"{mine}\n")
    command = folder / "backbone"
    command.write_text(f"#!{folder}/venv/bin/python\nfrom backbone.cli import main\nmain()\n")
    command.chmod(0o755)
    return command


def run(command: Path, *arguments: str, cwd: Path, code: int = 0, stderr: bool = False) -> str:
    """Run a command to its end; its exit code must be as expected."""
    done = subprocess.run([str(command), *arguments], cwd=cwd, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if stderr else done.stdout


@pytest.fixture
def council(backbone: Path, tmp_path: Path, broker: str, organisation: str) -> Iterator[Path]:
    """Give a folder that `backbone init` made, pointed at the test's broker and organisation."""
    run(backbone, "init", "my-council", cwd=tmp_path)
    folder = tmp_path / "my-council"
    file = folder / "backbone.yaml"
    file.write_text(file.read_text().replace("127.0.0.1:9092", broker).replace("E09000099", organisation))
    yield folder
    shutil.rmtree(folder)


async def test_the_readmes_commands_work_as_they_stand(backbone: Path, council: Path, organisation: str) -> None:
    """init, check, preview, topics apply, run, status, receipts, rejects, subscribe: from an empty folder."""
    example = next((council / "examples").iterdir())
    run(backbone, "check", cwd=council)
    shown = run(backbone, "preview", "highways-updates", str(example), cwd=council)
    assert "700123" in shown
    assert "record.bad-date" in shown
    assert "create" in run(backbone, "topics", "plan", cwd=council, code=1)
    run(backbone, "topics", "apply", cwd=council)
    assert run(backbone, "topics", "plan", cwd=council) == ""
    shutil.copy(example, council / "drop")
    worker = await asyncio.create_subprocess_exec(
        str(backbone), "run", cwd=council, stderr=asyncio.subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        async with asyncio.timeout(60):
            while "complete" not in await asyncio.to_thread(run, backbone, "receipts", "list", cwd=council):
                await asyncio.sleep(0.2)
        assert "OK\thighways-updates" in await asyncio.to_thread(run, backbone, "status", cwd=council)
        (reject,) = [
            json.loads(line)
            for line in (await asyncio.to_thread(run, backbone, "rejects", "list", "--json", cwd=council)).splitlines()
        ]
        assert reject["code"] == "record.bad-date"
        assert "raw" not in reject
        masked = await asyncio.to_thread(run, backbone, "rejects", "show", reject["id"], cwd=council)
        assert "700128" not in masked
        revealed = await asyncio.to_thread(run, backbone, "rejects", "show", reject["id"], "--reveal", cwd=council)
        (council / "repair.json").write_text(revealed.replace("31/06/2031", "30/06/2031"))
        redrive = ("rejects", "redrive", "highways-updates", reject["id"], "--repair", "repair.json")
        await asyncio.to_thread(run, backbone, *redrive, cwd=council)
    finally:
        worker.send_signal(signal.SIGTERM)
        _, log = await worker.communicate()
    assert worker.returncode == 0, log.decode()
    arguments = ("subscribe", rf"{organisation}\..*\.v1", "--regex", "--from", "earliest", "--no-follow", "--json")
    events = [json.loads(line) for line in run(backbone, *arguments, cwd=council).splitlines()]
    assert sorted(event["subject"] for event in events) == ["700123", "700123", "700124", "700125", "700126", "700128"]
    run(backbone, "receipts", "verify", cwd=council)
    assert run(backbone, "rejects", "list", "--json", cwd=council) == ""


def test_preview_prints_what_programs_read(backbone: Path, council: Path) -> None:
    """One JSON object a record with its outcome and events, and the receipt last; without a broker."""
    example = next((council / "examples").iterdir())
    file = council / "backbone.yaml"
    file.write_text(file.read_text().replace("bootstrap_servers:", "bootstrap_servers: nowhere:1 #"))
    lines = [
        json.loads(line)
        for line in run(backbone, "preview", "highways-updates", str(example), "--json", cwd=council).splitlines()
    ]
    assert [line["outcome"] for line in lines[:-1]] == ["published"] * 4 + ["skipped", "rejected", "published"]
    assert [line["record"] for line in lines[:-1]] == list(range(1, 8))
    assert lines[0]["events"][0]["data"]["state"] == "internal_referral"
    assert lines[-1]["receipt"]["records"] == 7


def test_a_wrong_file_is_said_with_every_line_and_exit_2(backbone: Path, council: Path) -> None:
    """All problems at once, each with place, code and remedy."""
    file = council / "backbone.yaml"
    file.write_text(file.read_text().replace("symology", "symolgy").replace("url: drop", "url: sftp://x/"))
    shown = run(backbone, "check", cwd=council, code=2, stderr=True)
    assert "config.unknown-adapter" in shown
    assert "did you mean symology?" in shown
    assert "config.unsupported-url" in shown
    assert run(backbone, "check", "--json", cwd=council, code=2).count('"line"') == 2


def test_no_broker_is_one_line_with_the_address_and_exit_3(backbone: Path, council: Path) -> None:
    """One-shot commands give up at once and say what was tried."""
    file = council / "backbone.yaml"
    text = file.read_text()
    port = free_port()
    file.write_text(text.replace(text.split('bootstrap_servers: "')[1].split('"')[0], f"127.0.0.1:{port}"))
    for arguments in (("topics", "apply"), ("status",), ("receipts", "list"), ("run", "--once")):
        shown = run(backbone, *arguments, cwd=council, code=3, stderr=True)
        assert "broker.unreachable" in shown


def test_a_worker_refuses_topics_that_are_missing(backbone: Path, council: Path) -> None:
    """Without `topics apply` nothing runs, and the remedy is named."""
    shown = run(backbone, "run", "--once", cwd=council, code=2, stderr=True)
    assert "topic.missing" in shown
    assert "backbone topics apply" in shown


def test_usage_errors_exit_2_and_unknown_feeds_are_named(backbone: Path, council: Path) -> None:
    """What a person mistypes is answered in one line."""
    assert "examples/x" in run(backbone, "preview", "highways-updates", "examples/x", cwd=council, code=2, stderr=True)
    example = next((council / "examples").iterdir())
    shown = run(backbone, "preview", "highway-updates", str(example), cwd=council, code=2, stderr=True)
    assert "did you mean highways-updates?" in shown


def test_an_installed_catalogue_holds_the_examples(backbone: Path, tmp_path: Path) -> None:
    """The wheel has what the pages show: the programs in every language, with the event's own topic."""
    run(backbone, "catalogue", "build", "site", cwd=tmp_path)
    page = (tmp_path / "site" / "events" / "planning.v1" / "application-decided.html").read_text()
    for wanted in ("AIOKafkaConsumer", "new KafkaConsumer", "kafka-crab-js", "kafka-console-consumer.sh"):
        assert wanted in page
    assert page.count("E09000099.planning.v1") >= 5
