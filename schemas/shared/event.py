"""The base of every event: the fields that all families share, and what the envelope takes from the class."""

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict

from schemas.shared.markings import ENVELOPE_CATEGORY, Category, marked
from schemas.shared.types import (
    CaseRef,
    ExternalRef,
    LgslId,
    Location,
    Organisation,
    PartialDate,
    SourceStatus,
    UtcTimestamp,
)

Classification = Literal["open", "official", "official-sensitive"]

TimeNote = Literal["ambiguous_local_time", "observed"]
"""Local time in the hour that October repeats, placed by the feed's rule; or the time of our reading the source."""


class Event(BaseModel):
    """A fact about a case, in the past tense. Frozen; unknown fields are refused on writing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: ClassVar[str] = ""
    fact: ClassVar[str] = ""
    major: ClassVar[int] = 1
    classification: ClassVar[Classification] = "official"
    event_type: ClassVar[str] = ""
    dataschema: ClassVar[str] = ""
    topic_suffix: ClassVar[str] = ""

    case_ref: Annotated[CaseRef, marked("none", description="The owning system's reference, as staff quote it")]
    organisation: Annotated[Organisation, marked("none", description="Who owns the case: GSS code or slug")]
    occurred_at: Annotated[
        UtcTimestamp | PartialDate, marked("none", description="When it happened; a date if the source has only that")
    ]
    external_refs: Annotated[
        tuple[ExternalRef, ...] | None, marked("none", description="The same case in other systems")
    ] = None
    occurred_at_note: Annotated[
        TimeNote | None, marked("none", description="What to know of `occurred_at`; absent when nothing")
    ] = None
    logged_at: Annotated[UtcTimestamp | None, marked("none", description="When the source system recorded it")] = None
    source_status: Annotated[
        SourceStatus | None, marked("none", description="What the legacy system said, verbatim")
    ] = None
    location: Annotated[Location | None, marked("none", description="Where it is")] = None
    lgsl: Annotated[LgslId | None, marked("none", description="Local Government Services List id")] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Derive the envelope's constants once a class."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.family and cls.fact:
            cls.event_type = f"org.councilbackbone.{cls.family}.{cls.fact}.v{cls.major}"
            cls.dataschema = f"urn:backbone:schema:{cls.family}:{cls.__name__}:v{cls.major}"
            cls.topic_suffix = f"{cls.family}.v{cls.major}"


@cache
def categories(event_class: type[Event]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return (path, category as the envelope spells it) of every field that holds personal data when present.

    A path has one name, or two for a marked field of an unmarked part (``("location", "uprn")``).
    """
    found: list[tuple[tuple[str, ...], str]] = []
    for name, info in event_class.model_fields.items():
        own = _category(info.json_schema_extra)
        if own != "none":
            found.append(((name,), ENVELOPE_CATEGORY[own]))
            continue
        for part in _parts(info.annotation):
            for inner, inner_info in part.model_fields.items():
                category = _category(inner_info.json_schema_extra)
                if category != "none":
                    found.append(((name, inner), ENVELOPE_CATEGORY[category]))
    return tuple(found)


def _category(extra: object) -> Category:
    return extra.get("x-data-category", "none") if isinstance(extra, dict) else "none"


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that stand directly in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _parts(argument)]
