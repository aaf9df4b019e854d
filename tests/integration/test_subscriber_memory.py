"""A million records go through a subscriber, and it is as large behind them as it was in front."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from backbone.testing.events import Publisher
from tests.integration.subscribers import changed, make_topics

BATCH = 2_000
RECORDS = 1_000_000
MOST_GROWTH_MIB = 24
SERVICE = f"""
import resource, sys
from backbone.subscriber import PermanentError, Settings, Subscriber
from schemas.servicerequests.v1 import StatusChanged

subscriber = Subscriber("s", Settings(concurrency=8, after_dead="continue"))
seen = 0

def memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak // (2 ** 20 if sys.platform == "darwin" else 2 ** 10), flush=True)

@subscriber.on(StatusChanged, organisations=[subscriber.settings.organisation])
async def handle(event):
    global seen
    seen += 1
    if seen % 100_000 == 0:
        memory()
    if seen == {RECORDS}:
        subscriber.app.exit()
    if seen % 1_000 == 0:
        raise ConnectionError  # so that cases are held back and go on

subscriber.main()
"""


async def fill(broker: str, organisation: str) -> None:
    """Publish a million events of 2,000 cases, squeezed, as the broker would otherwise need 300 MB."""
    speaker = Publisher(organisation)
    messages = [message for _, message in speaker.messages(changed(f"c{number}", number) for number in range(BATCH))]
    producer = AIOKafkaProducer(bootstrap_servers=broker, compression_type="gzip", max_batch_size=2_000_000)
    await producer.start()
    batch = producer.create_batch()
    for key, value, headers in messages:
        batch.append(key=key, value=value, timestamp=None, headers=headers)
    for number in range(RECORDS // BATCH):  # the same one again and again: to make each would take longer than to read
        sent = await producer.send_batch(batch, f"{organisation}.servicerequests.v1", partition=number % 4)
        await sent
    await producer.stop()


@pytest.mark.timeout(240)
async def test_memory_is_flat_over_a_million_records(broker: str, organisation: str, tmp_path: Path) -> None:
    """From the first fifth to the end it grows by no more than noise, though cases fail and are held back meanwhile."""
    await make_topics(broker, organisation)
    await fill(broker, organisation)
    (tmp_path / "service.py").write_text(SERVICE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "service.py", cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_ORGANISATION": organisation},
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0
    sizes = [int(line) for line in printed.split()]
    assert len(sizes) == 10
    assert max(sizes) - sizes[1] < MOST_GROWTH_MIB, sizes
