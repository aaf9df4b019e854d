"""Every family: examples are valid, every field is marked, committed schemas are current and well-formed."""

import json
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, ValidationError

from backbone.compatibility import compare
from backbone.schema_export import as_text, committed, drift, family_schema
from schemas.families import FAMILIES, event_class
from schemas.shared import Event, Location, PartialDate, marked

EVENTS = [(module, event) for module in FAMILIES.values() for event in module.EVENTS]


@pytest.mark.parametrize(("module", "event"), EVENTS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_event_has_two_examples_that_are_valid_for_both_contracts(module: ModuleType, event: type[Event]) -> None:
    """The model and the exported JSON Schema agree that the minimal and the full example are right."""
    examples = module.EXAMPLES[event]
    assert len(examples) >= 2
    name = f"{event.family}.v{event.major}"
    schema = family_schema(name, module)
    family = jsonschema_rs.Draft202012Validator(schema)
    validator = jsonschema_rs.Draft202012Validator({**schema, "$ref": f"#/$defs/{event.__name__}"})
    for example in examples:
        made = event.model_validate(example)
        on_the_wire = json.loads(made.model_dump_json(exclude_none=True))
        assert on_the_wire.items() >= example.items()
        assert validator.is_valid(on_the_wire)
        assert family.is_valid(on_the_wire)
        assert validator.is_valid(example)
        assert not validator.is_valid({**example, "unheard_of": 1})


def models(node: dict[str, Any], path: str) -> list[str]:
    """Return the fields of a definition that carry no marking."""
    return [
        f"{path}.{name}"
        for name, field in node.get("properties", {}).items()
        if field.get("x-data-category") not in {"none", "personal", "special", "criminal"}
        or (field["x-data-category"] != "none") != ("x-data-subject" in field)
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_field_is_marked_and_described(name: str) -> None:
    """A field without its category, or a personal one without its data subject, may not be released."""
    schema = family_schema(name, FAMILIES[name])
    unmarked = [fault for path, node in schema["$defs"].items() for fault in models(node, path)]
    assert unmarked == []
    assert all(node.get("description") for node in schema["$defs"].values())


def listed(field: dict[str, Any]) -> set[str]:
    """Return the values of a field that has a closed list of them."""
    places = [field, *field.get("anyOf", [])]
    return {value for place in places for value in place.get("enum", [place["const"]] if "const" in place else [])}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_value_of_a_list_says_what_it_means(name: str) -> None:
    """A closed list is documented value by value, and no value is documented that does not exist."""
    lists = 0
    for path, node in family_schema(name, FAMILIES[name])["$defs"].items():
        for field_name, field in node["properties"].items():
            assert set(field.get("x-value-descriptions", {})) == listed(field), f"{path}.{field_name}"
            lists += bool(listed(field))
    assert lists


def test_every_event_says_in_words_of_its_own_what_it_means() -> None:
    """An event's docstring is its definition in the catalogue; none is inherited."""
    for _, event in EVENTS:
        assert event.__dict__.get("__doc__"), event.__name__


def test_nothing_breaks_since_the_release() -> None:
    """The schemas of today may follow the released ones within the same major version."""
    for name, module in FAMILIES.items():
        released = committed(name, "released")
        assert released is not None
        assert [change for change in compare(released, family_schema(name, module)) if change.breaking] == []


def test_committed_schemas_are_what_the_modules_give() -> None:
    """Regenerating gives the same bytes, and each file is a valid JSON Schema."""
    assert drift() == []
    for name, module in FAMILIES.items():
        text = as_text(family_schema(name, module))
        assert text == as_text(family_schema(name, module))
        jsonschema_rs.meta.validate(json.loads(text))
        assert committed(name, "released") is not None


def test_types_are_spelt_as_the_vocabulary_says() -> None:
    """Type, schema name and topic come from family, fact and major, and lead back to the class."""
    for _, event in EVENTS:
        assert event.event_type == f"org.councilbackbone.{event.family}.{event.fact}.v1"
        assert event.topic_suffix == f"{event.family}.v1"
        assert event_class(event.event_type) is event
    assert event_class("org.councilbackbone.planning.application-decided.v2") is None


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (Location, {"uprn": "0123"}),
        (Location, {"uprn": "1234567890123"}),
        (Location, {"usrn": "123456789"}),
        (Location, {"easting": 0}),
        (Location, {"northing": 1_400_000}),
        (Location, {"latitude": 40.0}),
        (PartialDate, {"year": 2031, "day": 3}),
        (PartialDate, {"year": 2031, "month": 2, "day": 29}),
        (PartialDate, {"year": 2031, "month": 13}),
    ],
)
def test_a_wrong_reference_value_is_refused(model: type[BaseModel], content: dict[str, Any]) -> None:
    """Lengths, leading zeros, bounds and calendars are checked at the edge."""
    with pytest.raises(ValidationError):
        model.model_validate(content)


def test_a_leap_day_is_a_day() -> None:
    """29 February exists when it does."""
    assert PartialDate(year=2032, month=2, day=29).day == 29


def test_a_marking_names_a_subject_when_it_is_personal() -> None:
    """Personal without a subject, or a subject without being personal, is a mistake of the author's."""
    for arguments in (("personal",), ("none", "tenant")):
        with pytest.raises(ValueError, match="data subject"):
            marked(*arguments)


OLD: dict[str, Any] = {
    "$defs": {
        "E": {
            "x-event-type": "t",
            "x-classification": "official",
            "additionalProperties": False,
            "properties": {
                "a": {
                    "type": "string",
                    "maxLength": 5,
                    "x-data-category": "personal",
                    "x-data-subject": "reporter",
                },
                "b": {"enum": ["x", "y"]},
                "c": {"$ref": "#/$defs/P"},
                "d": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "o": {"anyOf": [{"enum": ["x"]}, {"type": "null"}], "x-open-list": True},
                "l": {"type": "array", "items": {"enum": ["p", "q"]}},
            },
            "required": ["a"],
        },
        "P": {"properties": {"n": {"type": "integer", "minimum": 1}}},
    }
}


def edited(path: str, value: Any) -> dict[str, Any]:
    """Return OLD with one place changed; None removes it."""
    new: dict[str, Any] = json.loads(json.dumps(OLD))
    *parents, last = path.split("/")
    node = new["$defs"]
    for parent in parents:
        node = node[parent]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return new


@pytest.mark.parametrize(
    ("path", "value", "breaking"),
    [
        ("E/properties/new", {"type": "string"}, False),
        ("F", {"properties": {}}, False),
        ("E/properties/a", None, True),
        ("E", None, True),
        ("E/required", ["a", "b"], True),
        ("E/required", [], True),
        ("E/properties/b/enum", ["x", "y", "z"], True),
        ("E/properties/b/enum", ["x"], True),
        ("E/properties/a/maxLength", 4, True),
        ("E/properties/a/maxLength", 6, True),
        ("E/properties/a/type", "integer", True),
        ("E/properties/a/x-data-category", "none", True),
        ("E/properties/a/x-data-category", "special", False),
        ("E/properties/c/$ref", "#/$defs/Q", True),
        ("E/properties/d/anyOf", [{"type": "string"}], True),
        ("P/properties/n/minimum", 2, True),
        ("E/x-event-type", "u", True),
        ("E/x-classification", "open", True),
        ("E/x-classification", "official-sensitive", False),
        ("E/properties/a/x-data-category", "unheard-of", True),
        ("E/properties/a/x-data-subject", "officer", True),
        ("E/properties/a/pattern", "^a", True),
        ("P/properties/n/multipleOf", 2, True),
        ("E/properties/a/multipleOf", 2, False),
        ("E/properties/b/default", "y", True),
        ("E/properties/b/enum", ["y", "x"], False),
        ("E/properties/d/anyOf", [{"type": "null"}, {"type": "string"}], False),
        ("E/properties/o/anyOf", [{"enum": ["x", "y"]}, {"type": "null"}], False),
        ("E/properties/o/anyOf", [{"enum": ["y"]}, {"type": "null"}], True),
        ("E/properties/l/items", {"type": "string"}, True),
        ("E/properties/l/items", {"enum": ["q", "p"]}, False),
        ("E/additionalProperties", True, True),
        ("E/dependentRequired", {"a": ["b"]}, True),
    ],
)
def test_a_change_is_classified(path: str, value: Any, breaking: bool) -> None:  # noqa: FBT001
    """Adding what is optional is compatible; everything else that a reader or writer would notice is breaking."""
    changes = compare(OLD, edited(path, value))
    assert changes
    assert any(change.breaking for change in changes) is breaking


def test_nothing_changed_is_no_change() -> None:
    """A schema is compatible with itself."""
    assert compare(OLD, OLD) == []


@pytest.mark.parametrize(
    ("bound", "value", "kind"),
    [("maxLength", 4, "tightened"), ("maxLength", 6, "loosened"), ("maxLength", None, "loosened"),
     ("minLength", 1, "tightened")],
)  # fmt: skip
def test_a_bound_says_which_way_it_went(bound: str, value: int | None, kind: str) -> None:
    """Both ways break somebody; the author is told whom."""
    assert [change.kind for change in compare(OLD, edited(f"E/properties/a/{bound}", value))] == [f"{bound} {kind}"]
