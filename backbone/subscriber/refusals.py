"""Dead letters that their topic refuses: which, why, and when another try makes sense. Nothing is written meanwhile."""

import random
import time
from typing import Final

import structlog

from backbone.errors import BackboneError
from backbone.subscriber.work import Place

PAUSE_SECS: Final = 2.0

log = structlog.get_logger(__name__)
Mark = tuple[Place, int]
"""The place and offset of a record."""


class Refusals:
    """While a letter is refused, one at a time is tried again, every two seconds; its case and other dead ones wait."""

    def __init__(self, *, patient: bool) -> None:
        """Begin without any; whoever is not ``patient`` ends with the first one."""
        self._patient = patient
        self._refused: dict[Mark, str] = {}
        self._next_at = 0.0
        self._trying: Mark | None = None

    @property
    def code(self) -> str:
        """Return why the oldest one is refused, or nothing."""
        return next(iter(self._refused.values()), "")

    def wait_secs(self, mark: Mark) -> float | None:
        """Return for how long a letter has to wait before it may be written, or None: it is being tried now."""
        if self._refused:
            early = self._next_at - time.monotonic()
            if self._trying is not None or early > 0:
                return max(0.0, early) + random.uniform(0, PAUSE_SECS)  # noqa: S311 - jitter, no secret
            self._trying = mark
        return None

    def refused(self, mark: Mark, error: BackboneError) -> float:
        """Note a refusal; return how long the case has to wait. Raises the error where nobody is to wait."""
        if not self._patient:
            raise error
        if error.code != self.code:
            log.error("dead-letter.refused", code=error.code, message=error.message, guidance=error.guidance)
        self._refused[mark] = error.code
        self._next_at = time.monotonic() + PAUSE_SECS
        self._release(mark)
        return PAUSE_SECS

    def accepted(self, mark: Mark) -> None:
        """Note that a letter was written."""
        self._release(mark)
        if self._refused.pop(mark, "") and not self._refused:
            log.info("dead-letter.accepted")
        self._next_at = 0.0

    def forget(self, place: Place) -> None:
        """Forget a partition that is not ours any more."""
        for mark in [mark for mark in self._refused if mark[0] == place]:
            del self._refused[mark]
        if self._trying is not None and self._trying[0] == place:
            self._trying = None

    def _release(self, mark: Mark) -> None:
        if self._trying == mark:
            self._trying = None
