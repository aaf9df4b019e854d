"""What errors leave behind is let go."""

import asyncio
import gc
import weakref

from backbone import memory


class Held:
    """Something large that a traceback would hold."""


async def test_what_errors_leave_behind_is_let_go_once_for_those_that_come_together() -> None:
    """The collector does not look by itself, as it hardly does in a worker; each error asks, and none is forgotten."""
    left: list[weakref.ref[Held]] = []
    gc.disable()
    try:
        for _ in range(3):
            held = Held()
            held.itself = held  # type: ignore[attr-defined]  # a cycle, as a traceback makes
            left.append(weakref.ref(held))
            del held
            memory.settle()
            await asyncio.sleep(memory.SETTLE_WITHIN_SECS / 4)
        assert all(one() is not None for one in left)
        await asyncio.sleep(memory.SETTLE_WITHIN_SECS)
        assert all(one() is None for one in left)
        last = Held()
        last.itself = last  # type: ignore[attr-defined]
        left.append(weakref.ref(last))
        del last
        memory.settle()
        await asyncio.sleep(2 * memory.SETTLE_WITHIN_SECS)
        assert left[-1]() is None
    finally:
        gc.enable()
