"""The newest heartbeat of every shard, of this deployment and of others, as the status topic shows them. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import orjson

from backbone.packed import Message
from backbone.status import SILENT_AFTER_SECS, ShardStatus

RIVAL_BEATS: Final = 2
"""So many heartbeats make another deployment a rival that is alive: one may have been on its way when it stopped."""

Key = tuple[str, str, str]
"""Deployment, feed, shard."""


@dataclass(slots=True)
class Beats:
    """The newest heartbeat of one shard, and when the last few came, on our own clock."""

    status: ShardStatus
    came: deque[float] = field(default_factory=lambda: deque(maxlen=RIVAL_BEATS))


def heartbeat_of(status: ShardStatus) -> Message:
    """Return the record of a heartbeat."""
    key = f"{status.deployment}/{status.feed}/{status.shard}"
    return key.encode(), orjson.dumps({"v": 1, **status.as_json()}), []


class Board:
    """Heartbeats as they come."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with an empty one."""
        self._beats: dict[Key, Beats] = {}
        self._clock = clock

    def take(self, value: bytes) -> None:
        """Take a heartbeat; the newest of each shard stands."""
        status = ShardStatus.from_json(orjson.loads(value))
        key = (status.deployment, status.feed, status.shard)
        beats = self._beats.setdefault(key, Beats(status))
        beats.status = status
        beats.came.append(self._clock())

    def of(self, deployment: str) -> list[ShardStatus]:
        """Return the newest heartbeat of each of a deployment's shards."""
        return [beats.status for (whose, _, _), beats in self._beats.items() if whose == deployment]

    def newest(self, deployment: str, feed: str, shard: str) -> tuple[ShardStatus, float] | None:
        """Return a shard's newest heartbeat and how many seconds ago it came, whatever its sender's clock says."""
        beats = self._beats.get((deployment, feed, shard))
        return None if beats is None else (beats.status, self._clock() - beats.came[-1])

    def rival(self, deployment: str, feed: str, shard: str, since: float) -> str:
        """Return the worker of another deployment that runs the same shard, or nothing; ``since`` is when ours began.

        It takes several heartbeats since then, the last one just now: a deployment that was renamed is no rival.
        """
        for (whose, its_feed, its_shard), beats in self._beats.items():
            if whose == deployment or (its_feed, its_shard) != (feed, shard) or beats.status.ended:
                continue
            lives = self._clock() - beats.came[-1] < SILENT_AFTER_SECS
            if lives and len(beats.came) == RIVAL_BEATS and beats.came[0] > since:
                return f"{beats.status.worker} ({whose})"
        return ""
