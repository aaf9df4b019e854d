"""A subscriber or a transform as a program: log, run, end within a bound, and say in one line what went wrong."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from threading import Timer
from typing import Final, NoReturn

from backbone.errors import BackboneError, exit_code
from backbone.logs import configure_logging
from backbone.subscriber.settings import Settings

EXIT_SECS: Final = 5.0
"""How long what handlers left behind, such as a thread, may hold the process."""


def run_program(name: str, settings: Settings, run: Callable[[], Awaitable[None]]) -> NoReturn:
    """Run until told to stop, and exit.

    Logs to standard error. A problem is one line and an exit code: 2 settings, 3 no broker or refused credentials,
    4 denied, 5 anything fatal.
    """
    configure_logging(json=not sys.stderr.isatty())
    code = 0
    try:
        asyncio.run(_run_and_leave(run))
    except BackboneError as error:
        who = f" as {settings.username}" if settings.username else ""
        what_to_do = f"; {error.guidance}" if error.guidance else ""
        sys.stderr.write(f"{name}{who}: {error.message} [{error.code}]{what_to_do}\n")
        code = exit_code(error)
    sys.exit(code)


async def _run_and_leave(run: Callable[[], Awaitable[None]]) -> None:
    """Run, and see that nothing which a handler left behind holds the process for ever."""
    code = 1
    try:
        await run()
        code = 0
    except BackboneError as error:
        code = exit_code(error)
        raise
    finally:
        leave = Timer(EXIT_SECS, os._exit, [code])
        leave.daemon = True
        leave.start()
