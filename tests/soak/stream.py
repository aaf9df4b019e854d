"""A check that runs along and keeps little: each case's events must come in steps of one minute, with nothing between.

It shares no code with the product, nor its client: it reads committed records with librdkafka.
"""

import json
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.chaos.checker import consumer, headers_of, places_of

STEP: Final = timedelta(minutes=1)


class Stream:
    """What has come so far, folded. ``problems`` counts missing, duplicate and disordered events."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.problems: Counter[str] = Counter()
        self.events = 0
        self.receipts: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self.examples: list[str] = []
        self._latest: dict[str, datetime] = {}
        self._ordinals: dict[str, int] = {}

    def event(self, case: str, at: str) -> None:
        """Take an event of a case: it is the one a minute behind the last."""
        self.events += 1
        now, last = datetime.fromisoformat(at), self._latest.get(case)
        self._latest[case] = now
        if last is None or now == last + STEP:
            return
        kind = "duplicate" if now == last else "out of order" if now < last else "missing"
        self.problems[kind] += 1
        if len(self.examples) < 5:
            self.examples.append(f"{kind}: case {case} went from {last} to {now}")

    def receipt(self, content: dict[str, Any]) -> None:
        """Take a receipt: it balances, and its ordinal follows the last one's."""
        feed = content["feed"]
        outcomes = ("published", "duplicate", "skipped", "rejected")
        if content["outcome"] != "complete" or content["records"] != sum(content[name] for name in outcomes):
            self.problems["receipts"] += 1
            self.examples.append(f"receipts: {feed} {content['document']} {content['outcome']} {content['code']}")
        if content["ordinal"] != self._ordinals.get(feed, 0):
            self.problems["receipts"] += 1
        self._ordinals[feed] = content["ordinal"] + 1
        self.receipts[feed] += 1
        self.records["all"] += content["records"]
        self.records["published"] += content["published"]

    def as_json(self) -> dict[str, Any]:
        """Return what the driver reads."""
        return {
            "events": self.events,
            "receipts": dict(self.receipts),
            "records": self.records["all"],
            "published": self.records["published"],
            "problems": dict(self.problems),
            "examples": self.examples,
        }


def follow(bootstrap_servers: str, organisation: str, progress: Path) -> None:
    """Read for ever and write what was found to ``progress`` every second."""
    client = consumer(bootstrap_servers)
    client.assign([place for place in places_of(client, organisation) if place.topic.endswith((".v1", ".receipts"))])
    stream, last = Stream(), 0.0
    while True:
        for message in client.consume(5_000, timeout=0.5):
            if message.error() is not None:
                continue
            if str(message.topic()).endswith(".receipts"):
                stream.receipt(json.loads(message.value() or b""))
            else:
                headers = headers_of(message)
                stream.event(headers["ce_subject"], headers["ce_time"])
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            hidden = progress.with_suffix(".new")
            hidden.write_text(json.dumps(stream.as_json()))
            hidden.rename(progress)


if __name__ == "__main__":
    follow(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
