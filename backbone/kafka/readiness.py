"""When a broker is ready for us: its transaction and group coordinators answer, not only its port."""

import asyncio
import logging
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from backbone.kafka import guards
from backbone.kafka.connection import KafkaConnection

PROBE: Final = "backbone-readiness"
TRY_SECS: Final = 5.0
PAUSE_SECS: Final = 0.1


async def wait_until_ready(connection: KafkaConnection) -> None:
    """Return when InitProducerId and FindCoordinator succeed; try for ever, so give a deadline from outside."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    while not await _answers(connection):
        await asyncio.sleep(PAUSE_SECS)


async def _answers(connection: KafkaConnection) -> bool:
    producer = AIOKafkaProducer(**connection.options(), transactional_id=PROBE, request_timeout_ms=5_000)
    admin = AIOKafkaAdminClient(**connection.options(), request_timeout_ms=5_000)
    try:
        async with asyncio.timeout(TRY_SECS):
            await producer.start()
            await admin.start()
            await admin.find_coordinator(PROBE)
    except (KafkaError, OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        await guards.discard(producer)
        await admin.close()
