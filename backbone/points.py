"""Named points in the life of a shard or a lane, where a test may kill the process; in production they do nothing.

Each is passed as ``points.reached("commit.before")``. A test sets ``points.hook`` in the process that it is going to
kill. The names are listed here, so that a test can go through all of them.
"""

from collections.abc import Callable
from typing import Final

POINTS: Final = (
    "state.loading",
    "state.loaded",
    "transaction.before-begin",
    "transaction.begun",
    "transaction.batch-sent",
    "transaction.all-sent",
    "commit.before",
    "commit.sent",
    "commit.answered",
    "document.committed",
    "document.finished",
    "lease.revoking",
    "redrive.read",
    "redrive.committed",
    "transform.committed",
)

hook: Callable[[str], None] | None = None


def reached(name: str) -> None:
    """Tell a test's hook that this point was reached."""
    if hook is not None:
        hook(name)
