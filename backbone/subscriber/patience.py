"""A service waits, visibly, for what may come right: a broker that is away, or credentials or rights that are refused.

A command, or a run until everything is done, gives up at once instead; so does a service whose own settings are wrong.
"""

import asyncio
import random
from contextlib import suppress
from typing import Final

import structlog

from backbone.errors import DENIED, BackboneError, TransientError

FIRST_WAIT_SECS: Final = 0.5
LONGEST_WAIT_SECS: Final = 15.0

log = structlog.get_logger(__name__)


class Patience:
    """What is wrong at the moment, and for how long to wait until the next try."""

    def __init__(self, name: str, principal: str, stopping: asyncio.Event, *, endless: bool) -> None:
        """Say who waits, as whom it signs in, and whether there is any waiting at all."""
        self.code = ""
        self._name = name
        self._principal = principal
        self._stopping = stopping
        self._endless = endless
        self._wait_secs = FIRST_WAIT_SECS

    async def wait(self, error: BaseException) -> None:
        """Return when it is time for the next try, or at once when we are to stop; raises what is not waited for."""
        worth_it = isinstance(error, BackboneError) and (isinstance(error, TransientError) or error.code in DENIED)
        if not (worth_it and self._endless) or not isinstance(error, BackboneError):
            raise error
        if error.code != self.code:
            log.error(
                "subscriber.waiting", subscriber=self._name, principal=self._principal or None, code=error.code,
                message=error.message, guidance=error.guidance,
            )  # fmt: skip
        self.code = error.code
        wait_secs = self._wait_secs * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        self._wait_secs = min(2 * self._wait_secs, LONGEST_WAIT_SECS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_secs)

    def over(self) -> None:
        """Note that things are right again."""
        if self.code:
            log.info("subscriber.going-on", subscriber=self._name)
        self.code = ""
        self._wait_secs = FIRST_WAIT_SECS
