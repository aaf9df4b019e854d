"""Many events at once: the same fields and rules as typed dictionaries, which cost a fraction of frozen models.

For whoever makes or checks events by the hundred thousand and has no need of objects. What is valid here is valid as a
model and gives the same JSON (a test holds both to it), with one difference: absent is absent. A field that has nothing
to say is left out, never ``None``, and a default is written out.
"""

from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from schemas.shared.event import Event


@cache
def bulk(event_class: type[Event]) -> "TypeAdapter[list[dict[str, Any]]]":
    """Return what validates a list of events' data (``validate_python``, ``validate_json``) and gives it as JSON.

    Raises pydantic's ValidationError, which names the place of every fault in the list.
    """
    fields = _dictionary(event_class)
    return TypeAdapter(list[fields])  # type: ignore[valid-type]  # made from the model's own fields


@cache
def _dictionary(model: type[BaseModel]) -> Any:
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation = _without_none(info.annotation)
        if info.metadata:
            annotation = Annotated[annotation, *info.metadata]
        given = info.is_required() or info.get_default() is not None
        fields[name] = Required[annotation] if given else NotRequired[annotation]
    typed_dict: Any = TypedDict  # type checkers want its names and fields spelt out
    made = typed_dict(model.__name__, fields)
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    if model.__pydantic_decorators__.model_validators:
        return Annotated[made, AfterValidator(_also(model))]
    return made


def _also(model: type[BaseModel]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the check of a part that has a rule over several fields."""
    rule: Callable[[Callable[[str], Any]], None] = model.rule  # type: ignore[attr-defined]  # parts with a rule have it

    def check(value: dict[str, Any]) -> dict[str, Any]:
        rule(value.get)
        return value

    return check


def _without_none(annotation: Any) -> Any:
    """Return an annotation with typed dictionaries in the place of models, lists in that of tuples, and no None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _dictionary(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[_without_none(arguments[0]), *arguments[1:]]
    if origin in {Union, UnionType}:
        kept = tuple(_without_none(each) for each in arguments if each is not NoneType)
        return Union[kept] if kept else NoneType  # noqa: UP007 - of types that are known at run time only
    if origin is tuple:
        return list[_without_none(arguments[0])]  # type: ignore[misc]
    return annotation
