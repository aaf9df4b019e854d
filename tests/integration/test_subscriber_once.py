"""The effect and the event's id in one transaction, on a real SQL database."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from backbone.subscriber import Event, Settings, Subscriber
from backbone.subscriber.once import HANDLED, create_handled_table, handled_once, prune_handled
from backbone.subscriber.testing import Received, run_records
from backbone.testing.events import Publisher
from schemas.servicerequests import v1 as servicerequests
from schemas.servicerequests.v1 import StatusChanged

EFFECTS = Table("effects", MetaData(), Column("id", Integer, primary_key=True), Column("reference", String(100)))


async def test_an_event_that_comes_again_has_no_second_effect(tmp_path: Path) -> None:
    """A crash between effect and commit of the offset, a failure between id and effect, two copies at once."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'service.db'}")
    await create_handled_table(engine)
    await create_handled_table(engine)
    async with engine.begin() as connection:
        await connection.run_sync(EFFECTS.metadata.create_all)
    sessions = async_sessionmaker(engine)
    subscriber = Subscriber("s", Settings(tries=3))
    fails = [True]

    @subscriber.on(StatusChanged)
    async def handle(event: Event[StatusChanged]) -> None:
        async with sessions() as session, session.begin():
            if await handled_once(session, subscriber.name, event):
                if fails.pop() if fails else False:
                    raise ConnectionError  # after the id, before the effect: both go
                await session.execute(EFFECTS.insert().values(reference=event.data.case_ref))

    event = StatusChanged.model_validate(servicerequests.EXAMPLES[StatusChanged].full)
    topic, (key, value, headers) = Publisher("E09000022").message(event)
    records = [Received(topic, 0, offset, 0, key, value, headers) for offset in range(3)]
    outcome = await run_records(subscriber, {topic: records})
    assert outcome.handled == 3
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(EFFECTS)) == 1
        assert await session.scalar(select(func.count()).select_from(HANDLED)) == 1
    async with sessions() as session, session.begin():
        assert await prune_handled(session, "another") == 0
        assert await prune_handled(session, "s") == 0
        assert await prune_handled(session, "s", days=-1) == 1
    await engine.dispose()


async def test_a_database_that_is_gone_is_no_known_event(tmp_path: Path) -> None:
    """Any other error of the database is the handler's failure, and the event is tried again."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    event = StatusChanged.model_validate(servicerequests.EXAMPLES[StatusChanged].full)
    topic, (key, value, headers) = Publisher("E09000022").message(event)
    received = Event(event, Received(topic, 0, 0, 0, key, value, headers))
    async with AsyncSession(engine) as session, session.begin():
        with pytest.raises(Exception, match="no such table"):
            await handled_once(session, "s", received)
    await engine.dispose()
    await asyncio.sleep(0)


async def test_of_two_at_once_one_gets_in(tmp_path: Path) -> None:
    """Two instances handle the same event at the same time: one effect, and the other finds it on its next try."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'both.db'}", connect_args={"timeout": 5})
    await create_handled_table(engine)
    event = StatusChanged.model_validate(servicerequests.EXAMPLES[StatusChanged].full)
    topic, (key, value, headers) = Publisher("E09000022").message(event)
    received = Event(event, Received(topic, 0, 0, 0, key, value, headers))
    sessions = async_sessionmaker(engine)
    effects: list[int] = []

    async def instance(number: int) -> None:
        while True:
            try:
                async with sessions() as session, session.begin():
                    new = await handled_once(session, "s", received)
                    await asyncio.sleep(0.01)
                if new:
                    effects.append(number)
            except (IntegrityError, OperationalError):
                continue
            return

    await asyncio.wait_for(asyncio.gather(instance(1), instance(2)), 30)
    assert len(effects) == 1
    await engine.dispose()
