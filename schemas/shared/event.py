"""The base of every event: the fields that all families share, and what the envelope takes from the class."""

from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Self, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from schemas.shared.markings import ENVELOPE_CATEGORY, Category, marked
from schemas.shared.types import (
    ExternalRef,
    LgslId,
    Location,
    OpaqueRef,
    Organisation,
    PartialDate,
    SourceStatus,
    UtcTimestamp,
)

Classification = Literal["open", "official", "official-sensitive"]

TimeNote = Literal["ambiguous_local_time", "observed"]
"""Local time in the hour that October repeats, placed by the feed's rule; or the time of our reading the source."""


TIME_NOTES: dict[str, str] = {
    "ambiguous_local_time": "The local time occurred twice, in the hour that October repeats; the feed's rule chose",
    "observed": "The source gives no time; this is when the backbone read it",
}


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
    personal_case_ref: ClassVar[bool] = False
    """Whether the case reference is personal by its marking: key and subject then hold an HMAC of it instead."""

    case_ref_is_uprn: ClassVar[bool] = False
    """Whether cases are properties: a UPRN of ten digits may look like an NHS number."""

    case_ref: Annotated[OpaqueRef, marked("none", description="The owning system's reference, as staff quote it")]
    organisation: Annotated[Organisation, marked("none", description="Who owns the case: GSS code or slug")]
    occurred_at: Annotated[
        UtcTimestamp | PartialDate, marked("none", description="When it happened; a date if the source has only that")
    ]
    external_refs: Annotated[
        tuple[ExternalRef, ...] | None, marked("none", description="The same case in other systems")
    ] = None
    occurred_at_note: Annotated[
        TimeNote | None,
        marked("none", description="What to know of `occurred_at`; absent when nothing", values=TIME_NOTES),
    ] = None
    logged_at: Annotated[UtcTimestamp | None, marked("none", description="When the source system recorded it")] = None
    source_status: Annotated[
        SourceStatus | None, marked("none", description="What the legacy system said, verbatim")
    ] = None
    location: Annotated[Location | None, marked("none", description="Where it is")] = None
    lgsl: Annotated[LgslId | None, marked("none", description="Local Government Services List id")] = None

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Return an event as the constructor does, checked alike, at two thirds of its cost: for busy adapters.

        The validator makes the instance itself; the constructor's keywords are known to type checkers and these not.
        """
        made: Self = cls.__pydantic_validator__.validate_python(fields)
        return made

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Derive the envelope's constants once a class."""
        super().__pydantic_init_subclass__(**kwargs)
        # `of` is the validator itself then: a tenth of what an event costs was the way to it
        type.__setattr__(cls, "of", cls.__pydantic_validator__.validate_python)
        cls.personal_case_ref = _category(cls.model_fields["case_ref"]) != "none"
        if cls.family and cls.fact:
            cls.event_type = f"org.councilbackbone.{cls.family}.{cls.fact}.v{cls.major}"
            cls.dataschema = f"urn:backbone:schema:{cls.family}:{cls.__name__}:v{cls.major}"
            cls.topic_suffix = f"{cls.family}.v{cls.major}"


@cache
def categories(event_class: type[Event]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return (path, category as the envelope spells it) of every field that holds personal data when present.

    A path has one name, or two for a marked field of an unmarked part (``("location", "uprn")``). A field counts
    with the highest category of its own marking and of whatever it holds; markings that lie deeper than a part, or
    within a list, count for the whole field, so that the category is never too low.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    for name, info in event_class.model_fields.items():
        own, held = _category(info), _highest_within(info.annotation)
        part = _single_part(info.annotation)
        if own == "none" and held != "none" and part is not None:
            within = ((inner, _highest(inner_info)) for inner, inner_info in part.model_fields.items())
            found.extend(
                ((name, inner), ENVELOPE_CATEGORY[category]) for inner, category in within if category != "none"
            )
        elif (category := max(own, held, key=_RANK.index)) != "none":
            found.append(((name,), ENVELOPE_CATEGORY[category]))
    return tuple(found)


_RANK: tuple[Category, ...] = ("none", "personal", "special", "criminal")


def _category(info: FieldInfo) -> Category:
    extra = info.json_schema_extra
    category: Category = cast("Category", extra.get("x-data-category", "none")) if isinstance(extra, dict) else "none"
    return category


def _highest(info: FieldInfo) -> Category:
    return max(_category(info), _highest_within(info.annotation), key=_RANK.index)


def _highest_within(annotation: Any) -> Category:
    """Return the highest category of the models that an annotation holds at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.values()
        return max((_highest(info) for info in fields), key=_RANK.index, default="none")
    return max((_highest_within(argument) for argument in get_args(annotation)), key=_RANK.index, default="none")


def _single_part(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field that holds one part or nothing; None for lists and for a choice of parts."""
    choices = [choice for choice in (get_args(annotation) or (annotation,)) if choice is not NoneType]
    if len(choices) == 1 and isinstance(choices[0], type) and issubclass(choices[0], BaseModel):
        return None if get_origin(annotation) is tuple else choices[0]
    return None
