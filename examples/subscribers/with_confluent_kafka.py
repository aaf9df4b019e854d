"""Receive one type of event with confluent-kafka: pip install confluent-kafka."""

import json
import os
import signal
from contextlib import closing
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaException

TYPE = b"org.councilbackbone.servicerequests.status-changed.v1"
handled: dict[bytes, None] = {}  # the last ids; better: a table of yours, written in the transaction of the work


def handle(event_id: str, data: dict[str, object]) -> None:
    # your work; when it raises, the program ends, and nothing is committed past this event
    print(event_id, data["case_ref"], flush=True)


stopping = Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
servers = os.environ.get("BACKBONE_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
group = {"group.id": os.environ.get("BACKBONE_GROUP", "your-service"), "auto.offset.reset": "earliest"}
behaviour = {"isolation.level": "read_committed", "enable.auto.commit": False}
with closing(Consumer({"bootstrap.servers": servers, **group, **behaviour})) as consumer:
    consumer.subscribe([os.environ.get("BACKBONE_TOPIC", "E09000099.servicerequests.v1")])
    while not stopping.is_set():
        for message in (messages := consumer.consume(100, timeout=0.5)):
            if message.error():
                raise KafkaException(message.error())
            headers: dict[str, Any] = dict(message.headers() or [])
            if headers.get("ce_type") == TYPE and headers["ce_id"] not in handled:
                handle(headers["ce_id"].decode(), json.loads(message.value() or b""))
                handled[headers["ce_id"]] = None
                if len(handled) > 100_000:
                    del handled[next(iter(handled))]
        if messages:
            consumer.commit(asynchronous=False)
