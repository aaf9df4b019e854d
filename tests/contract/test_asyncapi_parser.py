"""The official AsyncAPI parser, from npm, takes every document without an error or a warning."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from backbone.embedded.jars import cache_folder
from backbone.subscriber import Settings, Subscriber
from schemas.planning.v1 import ApplicationDecided
from schemas.servicerequests.v1 import StatusChanged

ROOT = Path(__file__).parents[2]
PACKAGE = "@asyncapi/parser@3.6.3"
SCRIPT = """
const fs = require('fs');
const { Parser } = require('@asyncapi/parser');
(async () => {
  const found = {};
  for (const file of process.argv.slice(1)) {
    const { document, diagnostics } = await new Parser().parse(fs.readFileSync(file, 'utf-8'));
    const serious = diagnostics.filter(each => each.severity <= 1).map(each => `${each.code} ${each.path.join('.')}`);
    found[file] = document ? serious : ['no AsyncAPI document', ...serious];
  }
  console.log(JSON.stringify(found));
})();
"""


def program(name: str) -> str:
    """Return the machine's node or npm, else that of the development dependencies."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"there is no {name}: make setup installs one"
    return found


def parser_folder() -> Path:
    """Return where the parser is installed; it is fetched once into the user's cache."""
    folder = cache_folder() / PACKAGE.rpartition("/")[2].replace("@", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            options = ["--silent", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
            path = os.pathsep.join([str(Path(program("node")).parent), os.environ.get("PATH", "")])
            subprocess.run(
                [program("npm"), "install", *options, PACKAGE], cwd=folder, check=True, timeout=300,
                env={**os.environ, "PATH": path},
            )  # fmt: skip
            (folder / "installed").touch()
    return folder


def parsed(*files: Path) -> dict[str, list[str]]:
    """Return what the parser has against each file."""
    printed = subprocess.check_output(
        [program("node"), "-e", SCRIPT, *map(str, files)], cwd=parser_folder(), timeout=110
    )
    found: dict[str, list[str]] = json.loads(printed)
    return found


def test_every_document_is_right_by_the_official_parser() -> None:
    """One a family and one for the whole backbone."""
    files = sorted((ROOT / "contracts" / "asyncapi").glob("*.json"))
    assert len(files) >= 14
    assert parsed(*files) == {str(file): [] for file in files}


def test_a_subscribers_document_is_right_by_the_official_parser(tmp_path: Path) -> None:
    """What it reads, sets aside and publishes through FastStream, with credentials and without."""
    secured = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", "username": "a"}
    files = []
    for name, more in {"open": {}, "secured": secured}.items():
        subscriber = Subscriber(name, Settings.model_validate({"organisation": "dft", "password": "b", **more}))
        subscriber.on(StatusChanged, ApplicationDecided, organisations=["E09*"])(print)  # type: ignore[type-var]
        subscriber.broker.publisher("dft.potholes", title="Potholes", schema=StatusChanged)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(subscriber.asyncapi()))
    assert parsed(*files) == {str(file): [] for file in files}


def test_the_parser_would_find_a_fault(tmp_path: Path) -> None:
    """A document whose operation names a channel that is not there is refused."""
    document = json.loads((ROOT / "contracts" / "asyncapi" / "careevents.v1.asyncapi.json").read_text())
    document["channels"] = {}
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(document))
    assert parsed(broken)[str(broken)] != []
