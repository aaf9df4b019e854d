"""Subscribers that may not: wrong passwords, denied groups and topics, dead letters that nobody may write."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest

from backbone.errors import BackboneError, UnreachableError, exit_code
from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.subscriber import Event, Output, PermanentError, Settings, Subscriber, Transform
from backbone.subscriber.positions import positions_topic
from backbone.testing.events import Publisher
from backbone.topics import COMPACTED
from schemas.servicerequests.v1 import StatusChanged
from tests.integration.secured import PASSWORD, SecuredBroker, secured_broker
from tests.integration.subscribers import changed, make_topics, number_of, publish, until

pytestmark = pytest.mark.xdist_group("secured")
WRONG = "let-me-in"


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[SecuredBroker]:
    """Give a broker with users."""
    async with secured_broker() as broker:
        yield broker


@pytest.fixture
async def prepared(guarded: SecuredBroker, organisation: str) -> str:
    """Give an organisation with topics and three events."""
    await make_topics(guarded.open, organisation, partitions=1)
    await publish(guarded.open, Publisher(organisation).messages(changed(f"c{number}", number) for number in range(3)))
    return organisation


def reader(
    guarded: SecuredBroker, organisation: str, user: str = "alice", *, password: str = PASSWORD
) -> tuple[Subscriber, list[int]]:
    """Return a subscriber and what it has handled; event 1 is always too much for it."""
    settings = Settings(organisation=organisation, **guarded.settings(user, password))
    subscriber, handled = Subscriber("s", settings), []

    @subscriber.on(StatusChanged, organisations=[organisation])
    async def handle(event: Event[StatusChanged]) -> None:
        if number_of(event) == 1:
            raise PermanentError("no such case here")
        handled.append(number_of(event))

    return subscriber, handled


NEEDS = {
    "group": ("READ", "GROUP", "{}.subscriber.s"),
    "events": ("READ", "TOPIC", "{}.servicerequests.v1"),
    "letters": ("READ", "TOPIC", "{}.dead.s"),
    "writing": ("WRITE", "TOPIC", "{}.dead.s"),
}


async def grant(guarded: SecuredBroker, organisation: str, user: str, *needs: str) -> None:
    """Let a user do some of what a subscriber does."""
    for name in needs:
        operation, kind, resource = NEEDS[name]
        await guarded.grant(user, operation, kind, resource.format(organisation))


async def test_with_what_it_needs_and_no_more_it_does_its_work(guarded: SecuredBroker, prepared: str) -> None:
    """READ on the group, the topics and its own dead letters, and WRITE on these."""
    await grant(guarded, prepared, "alice", *NEEDS)
    subscriber, handled = reader(guarded, prepared)
    await asyncio.wait_for(subscriber.run(until_caught_up=True), 60)
    assert handled == [0, 2]
    assert subscriber.tally.dead == {"handler.permanent": 1}


@pytest.mark.parametrize(
    ("user", "missing", "code", "named"),
    [
        ("bob", "group", "broker.group-denied", "the consumer group {}.subscriber.s"),
        ("alice", "events", "broker.topic-denied", "{}.servicerequests.v1"),
        ("alice", "letters", "broker.topic-denied", "{}.dead.s"),
        ("alice", "writing", "broker.topic-denied", "{}.dead.s"),
    ],
)
async def test_what_is_denied_is_named_with_who_was_denied_it(
    guarded: SecuredBroker, prepared: str, user: str, missing: str, code: str, named: str
) -> None:
    """A run that is to end by itself ends with exit code 4; a service waits, is not ready, and goes on when it may."""
    await grant(guarded, prepared, user, *(name for name in NEEDS if name != missing))
    subscriber, _ = reader(guarded, prepared, user)
    with pytest.raises(BackboneError) as caught:
        await asyncio.wait_for(subscriber.run(until_caught_up=True), 60)
    assert (caught.value.code, exit_code(caught.value)) == (code, 4)
    assert user in caught.value.message
    assert named.format(prepared) in caught.value.message
    subscriber, handled = reader(guarded, prepared, user)
    serving = asyncio.create_task(subscriber.run())
    try:
        await until(lambda: subscriber.trouble == code)
        assert not subscriber.ready
        await grant(guarded, prepared, user, missing)
        await until(lambda: subscriber.ready and subscriber.tally.dead == {"handler.permanent": 1})
    finally:
        subscriber.app.exit()
        await asyncio.wait_for(serving, 40)
    assert set(handled) <= {0, 2}


async def test_a_wrong_password_is_no_broker_that_is_away(guarded: SecuredBroker, prepared: str) -> None:
    """It is said whose credentials are refused, where; exit code 3; the password itself is nowhere."""
    subscriber, _ = reader(guarded, prepared, password=WRONG)
    with pytest.raises(UnreachableError, match=f"{guarded.closed} refuses the credentials of alice") as caught:
        await asyncio.wait_for(subscriber.run(until_caught_up=True), 60)
    assert exit_code(caught.value) == 3
    assert WRONG not in str(caught.value)
    serving = asyncio.create_task(subscriber.run())
    await until(lambda: subscriber.trouble == "broker.credentials-refused")
    subscriber.app.exit()
    await asyncio.wait_for(serving, 40)


@pytest.mark.parametrize(
    ("arguments", "password", "code", "said"),
    [
        (("dead", "list", "s"), WRONG, 3, "refuses the credentials of bob"),
        (("dead", "list", "s"), PASSWORD, 4, "denies to bob the topic {}.dead.s"),
        (
            ("subscriber", "seek", "nobody", "--to", "latest"),
            PASSWORD,
            4,
            "denies to bob the consumer group {}.subscriber.nobody",
        ),
    ],
)
async def test_commands_say_it_in_a_line_and_an_exit_code(
    guarded: SecuredBroker, prepared: str, arguments: tuple[str, ...], password: str, code: int, said: str
) -> None:
    """The principal and the topic or group are named, and no trace is shown."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", *arguments, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **guarded.environment("bob", password), "BACKBONE_ORGANISATION": prepared},
    )  # fmt: skip
    _, printed = await process.communicate()
    assert process.returncode == code, printed.decode()
    assert said.format(prepared) in printed.decode()
    assert "Traceback" not in printed.decode()


async def test_a_transform_names_what_it_is_denied_too(guarded: SecuredBroker, prepared: str) -> None:
    """It ends with exit code 4 when it is to end by itself, and else waits, not ready, until it may."""
    name, out = "t", f"{prepared}.out"
    positions, letters = positions_topic(prepared, name), f"{prepared}.dead.{name}"
    await create_topics(
        KafkaConnection(guarded.open),
        [TopicSpec(out, 1, 1), TopicSpec(letters, 1, 1), TopicSpec(positions, 12, 1, COMPACTED)],
    )
    settings = Settings(organisation=prepared, **guarded.settings("bob"))
    transform = Transform(name, settings, to=[out])
    transform.on(StatusChanged, organisations=[prepared])(lambda event: Output(b"x"))
    with pytest.raises(BackboneError, match="denies to bob the topic") as caught:
        await asyncio.wait_for(transform.run(until_caught_up=True), 60)
    assert exit_code(caught.value) == 4
    running = asyncio.create_task(transform.run())
    try:
        await until(lambda: transform.trouble == "broker.topic-denied")
        for topic in (f"{prepared}.servicerequests.v1", positions, letters):
            await guarded.grant("bob", "READ", "TOPIC", topic)
        for topic in (out, positions, letters):
            await guarded.grant("bob", "WRITE", "TOPIC", topic)
        await until(lambda: transform.trouble == "broker.group-denied")
        await guarded.grant("bob", "READ", "GROUP", f"{prepared}.transform.{name}")
        await until(lambda: transform.trouble == "broker.transactional-id-denied")
        await guarded.grant("bob", "WRITE", "TRANSACTIONAL_ID", f"{prepared}.transform.{name}.*")
        await until(lambda: transform.tally.handled == 3 and transform.ready)
    finally:
        transform.stop()
        await asyncio.wait_for(running, 40)
