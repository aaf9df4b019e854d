"""Read along while faults strike, and write down what a committed reader was given: python -m tests.chaos.witness.

Whatever is written down here has to be there at the end: an aborted record that a reader was given would not be. It
also counts the records of some topics, so that the driver knows how far the workers are.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.chaos.checker import consumer, places_of, seen


def follow(bootstrap_servers: str, folder: Path, counted: Mapping[str, Sequence[str]]) -> None:
    """Read for ever: events to ``witness-<organisation>.txt``, counts to ``progress.json``.

    ``counted`` says of every organisation how the names of those topics end whose records are counted.
    """
    organisations = list(counted)
    client = consumer(bootstrap_servers)
    client.assign([place for organisation in organisations for place in places_of(client, organisation)])
    files = {
        organisation: (folder / f"witness-{organisation}.txt").open("w", buffering=1 << 16)
        for organisation in organisations
    }
    counts = Counter(dict.fromkeys(organisations, 0))
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
            if topic.endswith(tuple(counted[organisation])):
                counts[organisation] += 1
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            for file in files.values():
                file.flush()
            hidden = folder / ".progress.json"
            hidden.write_text(json.dumps(counts))
            hidden.rename(folder / "progress.json")


if __name__ == "__main__":
    follow(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
