"""What one transaction will hold of a document, as it gathers. Pure."""

from dataclasses import dataclass, field

from backbone.rejects import Reject

BATCH_PARTITION_BYTES = 480 * 1_024


@dataclass(slots=True)
class Batch:
    """What one transaction will hold of a document; its messages are packed."""

    messages: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    sizes: dict[tuple[str, int], int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    reject_bytes: int = 0
    hashes: list[int] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    records: int = 0
    full: bool = False

    def add(self, topic: str, partition: int, packed: bytes) -> None:
        """Add a message; the batch is full when one of its partitions is."""
        place = (topic, partition)
        messages = self.messages.get(place)
        if messages is None:
            messages = self.messages[place] = []
            self.sizes[place] = 0
        messages.append(packed)
        total = self.sizes[place] = self.sizes[place] + len(packed)
        if total > BATCH_PARTITION_BYTES:
            self.full = True
