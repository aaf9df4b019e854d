"""Telling being cancelled from a cancellation that comes from within."""

import asyncio


def asked_to_end() -> bool:
    """Say whether somebody cancelled the task that asks.

    A CancelledError also comes up where a task that is awaited was cancelled: by a client within itself, say. Whoever
    took that for his own end would fall silent, and nobody would know.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
