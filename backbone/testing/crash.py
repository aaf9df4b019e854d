"""The end, or the standstill, of a real process at a named point of its work: for tests that start one."""

import os
import signal

from backbone import points


def strike_at(point: str, times: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to this process, once, when a point is reached for the so-manieth time."""
    left = times

    def hook(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

    points.hook = hook
