"""Receive one type of event with aiokafka alone: pip install aiokafka."""

import asyncio
import json
import os
import signal

from aiokafka import AIOKafkaConsumer

TYPE = b"org.councilbackbone.servicerequests.status-changed.v1"
handled: dict[bytes, None] = {}  # the last ids; better: a table of yours, written in the transaction of the work


async def handle(event_id: str, data: dict[str, object]) -> None:
    # your work; when it raises, the program ends, and nothing is committed past this event
    print(event_id, data["case_ref"], flush=True)


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    topic = os.environ.get("BACKBONE_TOPIC", "E09000099.servicerequests.v1")
    servers = os.environ.get("BACKBONE_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    group = {"group_id": os.environ.get("BACKBONE_GROUP", "your-service"), "auto_offset_reset": "earliest"}
    behaviour = {"isolation_level": "read_committed", "enable_auto_commit": False}
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, **group, **behaviour) as consumer:
        while not stopping.is_set():
            for records in (await consumer.getmany(timeout_ms=500, max_records=100)).values():
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("ce_type") == TYPE and headers["ce_id"] not in handled:
                        await handle(headers["ce_id"].decode(), json.loads(record.value))
                        handled[headers["ce_id"]] = None
                        if len(handled) > 100_000:
                            del handled[next(iter(handled))]
            await consumer.commit()


asyncio.run(main())
