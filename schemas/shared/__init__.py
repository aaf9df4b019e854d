"""What every family shares: the event base, field types, markings and the four facts."""

from schemas.shared.event import Classification, Event, categories
from schemas.shared.examples import Example, Examples, by_class
from schemas.shared.facts import Erased, Merged, Revoked, Superseded
from schemas.shared.markings import Category, DataSubject, chosen, marked
from schemas.shared.types import (
    CaseRef,
    CodedValue,
    DateText,
    ExternalRef,
    LgslId,
    Location,
    Money,
    OpaqueRef,
    Organisation,
    PartialDate,
    Postcode,
    SourceStatus,
    Uprn,
    Usrn,
    UtcTimestamp,
)

__all__ = [
    "CaseRef", "Category", "Classification", "CodedValue", "DataSubject", "DateText", "Erased", "Event", "Example",
    "Examples", "ExternalRef", "LgslId", "Location", "Merged", "Money", "OpaqueRef", "Organisation", "PartialDate",
    "Postcode", "Revoked", "SourceStatus", "Superseded", "Uprn", "Usrn", "UtcTimestamp", "by_class", "categories",
    "chosen", "marked",
]  # fmt: skip
