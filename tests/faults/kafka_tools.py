"""Kafka's own command for transactions, which no Python client can stand in for: its jar beside those of the broker."""

import asyncio
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

from backbone.embedded.jars import cache_folder, find_jars, find_java

GROUP, NAME, VERSION = "org.apache.kafka", "kafka-tools", "4.3.1"
DIGEST: Final = "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c"


def tools_jar() -> Path:
    """Return the jar; it is fetched where the cache has none, and verified."""
    jar = cache_folder() / f"{NAME}-{VERSION}-{DIGEST[:12]}.jar"
    if not jar.is_file():
        fetched = MavenContext(timeout=60).project(GROUP, NAME).at_version(VERSION).artifact().resolve()
        assert hashlib.sha256(fetched.read_bytes()).hexdigest() == DIGEST, "it is not the jar that was locked"
        jar.parent.mkdir(parents=True, exist_ok=True)
        filling = jar.with_suffix(f".{os.getpid()}")
        shutil.copyfile(fetched, filling)
        filling.rename(jar)
    return jar


async def kafka_transactions(servers: str, *arguments: str) -> str:
    """Run ``kafka-transactions.sh`` with arguments; return what it prints."""
    java = find_java()
    classpath = os.pathsep.join(map(str, (tools_jar(), *find_jars(java))))
    process = await asyncio.create_subprocess_exec(
        str(java), "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classpath,
        "org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", servers, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()
