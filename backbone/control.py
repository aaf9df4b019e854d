"""Commands of operators: written to the control topic, obeyed by the worker that owns the shard. Pure."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from backbone.packed import Message

ALL_SHARDS: Final = "*"


class Command(BaseModel):
    """One command to a feed.

    ``redrive`` feeds open rejects through the pipeline again: those with ``ids``, those with ``code``, or all.
    ``release`` looks at a held document again; ``discard`` settles it as it is. Both name it by ``sha256``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = 1
    kind: Literal["redrive", "release", "discard"]
    feed: str
    shard: str = ALL_SHARDS
    ids: tuple[str, ...] = ()
    code: str = ""
    sha256: str = ""
    at: str
    by: str = ""

    def concerns(self, feed: str, shard: str) -> bool:
        """Say whether a shard has to obey."""
        return self.feed == feed and self.shard in {ALL_SHARDS, shard}


def message_of(command: Command) -> Message:
    """Return the Kafka record of a command; commands of one feed and kind of one moment replace each other."""
    key = f"{command.feed}/{command.kind}/{command.at}"
    return key.encode(), command.model_dump_json().encode(), []
