"""Kafka's own command for transactions, which no Python client can stand in for."""

import asyncio

from tests.other_languages.java import java_command, locked_jar


async def kafka_transactions(servers: str, *arguments: str) -> str:
    """Run ``kafka-transactions.sh`` with arguments; return what it prints."""
    jar = await asyncio.to_thread(locked_jar, "kafka-tools")
    command = java_command("org.apache.kafka.tools.TransactionsCommand", jar, options=("-XX:TieredStopAtLevel=1",))
    process = await asyncio.create_subprocess_exec(
        *command, "--bootstrap-server", servers, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()
