"""One worker over one file in a process of its own; prints what it cost as JSON.

python -m benchmarks.whole_path CONFIG          our worker, exactly once
python -m benchmarks.whole_path plain CONFIG    a plain client: csv.DictReader, a model a row, `send` in transactions
"""

import asyncio
import csv
import json
import resource
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer
from pydantic import BaseModel

from backbone.config import Deployment, load
from backbone.kafka.connection import KafkaConnection
from backbone.worker import run_worker


class PlainEvent(BaseModel):
    """What the plain client makes of a row."""

    case_ref: str
    organisation: str
    occurred_at: str
    state: str


async def plain(deployment: Deployment) -> None:
    """Do the job as a first version would be written: exactly-once transactions, without receipts or a checkpoint."""
    connection: KafkaConnection = deployment.connection
    producer = AIOKafkaProducer(**connection.options(), transactional_id=f"{deployment.organisation}.plain", acks="all")
    await producer.start()
    topic = f"{deployment.organisation}.servicerequests.v1"
    (path,) = sorted((deployment.path.parent / "drop").glob("*.csv"))
    batch: list[PlainEvent] = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                when = time.strptime(row["History Date/Time"], "%d/%m/%Y %H:%M")
            except ValueError:
                continue
            batch.append(
                PlainEvent(
                    case_ref=row["CRNo"], organisation=deployment.organisation,
                    occurred_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", when), state="open",
                )
            )  # fmt: skip
            if len(batch) == 5_000:
                await _send(producer, topic, batch)
                batch = []
    await _send(producer, topic, batch)
    await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, batch: list[PlainEvent]) -> None:
    async with producer.transaction():
        for event in batch:
            headers = [
                ("ce_specversion", b"1.0"),
                ("content-type", b"application/json"),
                ("ce_source", b"urn:backbone:E09000099:symology"),
                ("ce_type", b"org.councilbackbone.servicerequests.status-changed.v1"),
                ("ce_dataschema", b"urn:backbone:schema:servicerequests:StatusChanged:v1"),
                ("ce_dataclassification", b"official"),
                ("ce_datacategory", b"none"),
                ("ce_id", uuid.uuid4().hex.encode()),
                ("ce_subject", event.case_ref.encode()),
                ("ce_time", event.occurred_at.encode()),
                ("ce_recordedtime", datetime.now(UTC).isoformat().encode()),
            ]
            await producer.send(topic, event.model_dump_json().encode(), key=event.case_ref.encode(), headers=headers)


def main() -> None:
    """Run one of the two and print its cost: CPU seconds, wall seconds, greatest resident memory in MB."""
    deployment = load(Path(sys.argv[-1]))
    began, cpu = time.monotonic(), time.process_time()
    if sys.argv[1] == "plain":
        asyncio.run(plain(deployment))
    else:
        asyncio.run(run_worker(deployment.worker_settings(once=True)))
    print(
        json.dumps({
            "cpu_secs": time.process_time() - cpu,
            "wall_secs": time.monotonic() - began,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        })
    )  # fmt: skip


main()
