"""Java where nothing but Python is installed: the packaged JDK, Kafka's own jars, and Eclipse's compiler.

The jars of the embedded broker hold ``kafka-clients`` and Jackson. The compiler and the command-line tools come from
Maven Central once, are checked against ``jars.lock`` and kept in the user's cache.
"""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from jgo.maven import MavenContext

from backbone.embedded.jars import cache_folder, find_jars, find_java, only_one

LOCK = Path(__file__).with_name("jars.lock")
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
COMPILER = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
RELEASE = "-17"
"""What the embedded broker asks for at least."""


class NotTheJarError(Exception):
    """A jar that was fetched is not the one that was locked."""


@cache
def kafka_jars() -> tuple[Path, ...]:
    """Return the jars of the embedded broker."""
    return tuple(find_jars(find_java()))


@cache
def locked_jar(artifact: str) -> Path:
    """Return a jar of the lock by its artifact's name; it is fetched where the cache has none."""
    lines = [line.split() for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    ((digest, coordinates),) = [line for line in lines if line[1].split(":")[1] == artifact]
    group, name, version = coordinates.split(":")
    jar = cache_folder() / f"{name}-{version}-{digest[:12]}.jar"
    jar.parent.mkdir(parents=True, exist_ok=True)
    with only_one(jar.with_suffix(".lock")):  # one of the test workers fetches it, and the others wait
        if not jar.is_file():
            fetched = MavenContext(timeout=60).project(group, name).at_version(version).artifact().resolve()
            if hashlib.sha256(fetched.read_bytes()).hexdigest() != digest:
                message = f"{coordinates} is not the jar that was locked"
                raise NotTheJarError(message)
            filling = jar.with_suffix(".filling")
            shutil.copyfile(fetched, filling)
            filling.rename(jar)
    return jar


def compile_java(source: Path, folder: Path) -> None:
    """Compile one source file into a folder, with Kafka's jars on its path."""
    subprocess.run(
        [
            find_java(), *COMPILER, "-jar", locked_jar("ecj"), RELEASE, "-proc:none", "-warn:none",
            "-encoding", "UTF-8", "-cp", classpath(), "-d", folder, source,
        ],
        check=True, timeout=100,
    )  # fmt: skip


def classpath(*more: Path) -> str:
    """Return some places and Kafka's jars as Java takes them."""
    return os.pathsep.join(str(place) for place in (*more, *kafka_jars()))


def java_command(main_class: str, *places: Path, options: tuple[str, ...] = ()) -> list[str]:
    """Return how to run a class that lies in one of the places."""
    return [str(find_java()), QUIET, *options, "-cp", classpath(*places), main_class]
