"""Adapters that no feed should have as a neighbour: one that hangs for ever, and one that takes its process with it."""

import os
import time
from dataclasses import replace
from typing import Any, NoReturn

from adapters.symology import updates


def _hangs(record: Any, context: Any) -> NoReturn:
    while True:
        time.sleep(60)


def _crashes(record: Any, context: Any) -> NoReturn:
    os._exit(1)


hanging = replace(updates.adapter, translate=_hangs)
crashing = replace(updates.adapter, translate=_crashes)
