"""Exactly once where a handler writes to its own SQL database: the event's id and the effect in one transaction.

Example::

    async with sessions() as session, session.begin():
        if await handled_once(session, subscriber.name, event):
            session.add(Closure(reference=event.data.case_ref))

The id is written in the transaction of the effect: both are there, or neither. An event that comes again finds its id
and is passed over; of two instances at once, the table's key lets one in, and the other tries again.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, DateTime, MetaData, String, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from backbone.subscriber.event import Event

KEPT_DAYS: Final = 30
"""Longer than topics keep events, so that what comes again is always known."""
METADATA: Final = MetaData()
HANDLED: Final = Table(
    "backbone_handled",
    METADATA,
    Column("subscriber", String(200), primary_key=True),
    Column("event_id", String(64), primary_key=True),
    Column("handled_at", DateTime(timezone=True), nullable=False, index=True),
)


async def create_handled_table(engine: AsyncEngine) -> None:
    """Create the table of handled events where it is not there yet; for a start-up hook or a migration."""
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)


async def handled_once(session: AsyncSession, subscriber: str, event: Event[Any]) -> bool:
    """Return True for an event that this subscriber has not handled yet, and note it in the session's transaction.

    Raises what the database raises. Where two instances handle one event at once, the second to write gets the
    database's conflict: its transaction has no effect, the event is tried again, and is then known.
    """
    known = select(HANDLED.c.event_id).where(HANDLED.c.subscriber == subscriber, HANDLED.c.event_id == event.id)
    if (await session.execute(known)).first() is not None:
        return False
    await session.execute(
        HANDLED.insert().values(subscriber=subscriber, event_id=event.id, handled_at=datetime.now(UTC))
    )
    return True


async def prune_handled(session: AsyncSession, subscriber: str, *, days: int = KEPT_DAYS) -> int:
    """Forget events that were handled more than so many days ago; return how many. Call it daily, or so."""
    before = datetime.now(UTC) - timedelta(days=days)
    gone: Any = await session.execute(
        delete(HANDLED).where(HANDLED.c.subscriber == subscriber, HANDLED.c.handled_at < before)
    )
    return int(gone.rowcount)
