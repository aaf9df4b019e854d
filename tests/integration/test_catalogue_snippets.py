"""Code that the catalogue offers for copying is run as it stands against a real broker."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from backbone.catalogue.snippets import snippets
from backbone.contracts.envelope import ORGANISATION, example_headers
from backbone.schema_export import examples_of
from schemas.families import FAMILIES

DEADLINE_SECS = 30


@pytest.mark.parametrize("file", ["with_aiokafka.py", "with_backbone.py", "with_confluent_kafka.py"])
async def test_a_python_sample_receives_its_event(broker: str, organisation: str, tmp_path: Path, file: str) -> None:
    """A reader who copies the sample and names the broker sees the event, and no event of another type."""
    module = FAMILIES["planning.v1"]
    wanted, another = module.EVENTS[0], module.EVENTS[1]
    (sample,) = (snippet for snippet in snippets(wanted) if snippet.file == file)
    script = tmp_path / sample.file
    script.write_text(sample.text.replace(ORGANISATION, organisation))
    topic = f"{organisation}.{wanted.topic_suffix}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    sent = {}
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for event in (another, wanted):
            data = event.model_validate(examples_of(module, event)[0])
            headers = sent[event] = example_headers(event, examples_of(module, event)[0])
            pairs = [(name, value.encode()) for name, value in headers.items()]
            value = data.model_dump_json(exclude_none=True).encode()
            await producer.send_and_wait(topic, key=data.case_ref.encode(), value=value, headers=pairs)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "BACKBONE_BOOTSTRAP_SERVERS": broker, "BACKBONE_GROUP": organisation},
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_SECS)
    finally:
        process.kill()
        await process.wait()
    assert line.decode().split() == [sent[wanted]["ce_id"], sent[wanted]["ce_subject"]]
