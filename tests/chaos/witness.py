"""Read along while faults strike, and write down what a committed reader was given: python -m tests.chaos.witness.

Whatever is written down here has to be there at the end: an aborted record that a reader was given would not be. It
also counts receipts, so that the driver knows how far the workers are.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.chaos.checker import consumer, places_of, seen


def follow(bootstrap_servers: str, folder: Path, organisations: list[str]) -> None:
    """Read for ever: events to ``witness-<organisation>.txt``, counts of receipts to ``progress.json``."""
    client = consumer(bootstrap_servers)
    client.assign([place for organisation in organisations for place in places_of(client, organisation)])
    files = {
        organisation: (folder / f"witness-{organisation}.txt").open("w", buffering=1 << 16)
        for organisation in organisations
    }
    receipts = Counter(dict.fromkeys(organisations, 0))
    last = 0.0
    while True:
        for message in client.consume(2_000, timeout=0.5):
            topic = message.topic() or ""
            if message.error() is not None:
                continue
            organisation = topic.partition(".")[0]
            if topic.endswith(".v1"):
                event = seen(message)
                files[organisation].write(f"{topic} {event.partition} {event.offset} {event.id}\n")
            elif topic.endswith(".receipts"):
                receipts[organisation] += 1
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            for file in files.values():
                file.flush()
            hidden = folder / ".progress.json"
            hidden.write_text(json.dumps(receipts))
            hidden.rename(folder / "progress.json")


if __name__ == "__main__":
    follow(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
