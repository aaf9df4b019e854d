"""The envelope: CloudEvents binary mode as an independent implementation reads it."""

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from backbone.case_keys import case_key
from backbone.errors import ConfigurationError
from backbone.event import Encoder, Origin, length_prefixed, record_digest, record_key
from backbone.packed import unpack
from backbone.secret import Secret
from schemas.counciltax import v1 as counciltax
from schemas.planning.v1 import ApplicationSubmitted
from schemas.servicerequests.v1 import Opened, StatusChanged
from schemas.shared import Location, PartialDate

ENCODER = Encoder(Origin("E09000099", "toy"), (StatusChanged, ApplicationSubmitted), ordinal=7, traceparent="00-1-2-01")

KEY = record_key(record_digest("E09000099", "toy"), b"id")


def changed(**more: object) -> StatusChanged:
    content = {
        "case_ref": "700123",
        "organisation": "E09000099",
        "occurred_at": "2031-01-06T08:00:00Z",
        "state": "open",
    }
    return StatusChanged.model_validate({**content, **more})


def headers(event: StatusChanged | ApplicationSubmitted) -> dict[str, bytes]:
    return dict(unpack(ENCODER.encode(event, KEY, 5, 0, 0)[2])[2])


def test_an_independent_reader_takes_it_as_a_cloud_event() -> None:
    """The CNCF SDK reads key, headers and value back as the attributes that were meant."""
    topic, key, packed = ENCODER.encode(changed(), KEY, 5, 0, 0)
    _, value, found = unpack(packed)
    event = from_binary(KafkaMessage(headers=dict(found), key=key, value=value or b""), JSONFormat())
    assert topic == "E09000099.servicerequests.v1"
    assert event.get_type() == "org.councilbackbone.servicerequests.status-changed.v1"
    assert event.get_subject() == "700123"
    assert event.get_extension("sequence") == "00000007-000000005-00"
    assert event.get_data() == orjson.loads(value or b"")


def test_the_category_is_the_highest_among_the_fields_that_are_there() -> None:
    """An event without personal fields says none; a description or a property makes it personal."""
    assert headers(changed())["ce_datacategory"] == b"none"
    assert headers(changed(location=Location(usrn="47100001")))["ce_datacategory"] == b"none"
    assert headers(changed(location=Location(uprn="100000000001")))["ce_datacategory"] == b"personal"
    assert headers(changed(description="text"))["ce_datacategory"] == b"personal"


@pytest.mark.parametrize(
    ("date", "time"),
    [
        (PartialDate(year=2031, month=3, day=4), b"2031-03-04T00:00:00Z"),
        (PartialDate(year=2031, month=3), None),
        (PartialDate(year=2031), None),
    ],
)
def test_a_date_gives_a_time_only_when_it_is_whole(date: PartialDate, time: bytes | None) -> None:
    """A day is never invented: the attribute is left out for a month or a year."""
    event = ApplicationSubmitted(
        case_ref="a", organisation="E09000099", occurred_at=date, reference="a", stage="submission",
        status="undetermined",
    )  # fmt: skip
    assert headers(event).get("ce_time") == time


def event_id(identity: bytes, index: int = 0, names: tuple[str, str] = ("E09000099", "toy"), fact: str = "") -> str:
    encoder = Encoder(Origin(*names), (StatusChanged, Opened), ordinal=0, traceparent="")
    key = record_key(record_digest(*names), identity)
    return encoder.event_id(Opened if fact else StatusChanged, key, index)


def test_ids_differ_by_everything_that_they_are_made_of() -> None:
    """Organisation, system, type, identity and index each change the id, and joining is unambiguous."""
    ids = {event_id(b"1", names=("a", "bc")), event_id(b"1", names=("ab", "c"))}
    ids |= {event_id(b"1"), event_id(b"2"), event_id(b"1", 1), event_id(b"2", 1), event_id(b"1", fact="opened")}
    assert len(ids) == 7
    assert all(len(found) == 32 for found in ids)
    assert length_prefixed("a", "bc") != length_prefixed("ab", "c")


def test_an_id_is_what_it_was_when_it_was_first_published() -> None:
    """Ids are part of the contract: this one may never change."""
    assert event_id(b"700123_deadbeef") == "66f4e120b2d4458985677b7f603d7c47"


def test_a_personal_case_reference_is_hidden_in_key_and_subject() -> None:
    """Council tax accounts: an HMAC stands for the account, whoever speaks without a secret is refused."""
    event = counciltax.AccountOpened.model_validate(counciltax.EXAMPLES[counciltax.AccountOpened].minimal)
    speaker = Origin("E09000099", "toy", case_secret=Secret("a secret"))
    encoder = Encoder(speaker, (counciltax.AccountOpened,), ordinal=0, traceparent="")
    key, value, found = unpack(encoder.encode(event, KEY, 1, 0, 0)[2])
    assert key.decode() == case_key(b"a secret", "E09000099", event.case_ref)
    assert dict(found)["ce_subject"] == key
    assert event.case_ref.encode() in (value or b"")
    with pytest.raises(ConfigurationError, match="personal case reference"):
        Encoder(Origin("E09000099", "toy"), (counciltax.AccountOpened,), ordinal=0, traceparent="")
