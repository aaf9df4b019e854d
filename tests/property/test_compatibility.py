"""What the compatibility check calls compatible never breaks anybody, and nothing escapes it."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from backbone.compatibility import TEXTS, compare
from backbone.schema_export import as_text, examples_of, family_schema
from schemas.families import FAMILIES

FIELD = st.one_of(
    st.fixed_dictionaries({"type": st.just("string"), "maxLength": st.integers(2, 6), "minLength": st.integers(0, 2)}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-3, 0), "maximum": st.integers(0, 3)}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)}),
    st.fixed_dictionaries({"anyOf": st.permutations([{"type": "string"}, {"type": "integer"}])}),
    st.fixed_dictionaries({"anyOf": st.permutations([{"enum": ["a", "b"]}, {"type": "null"}])}),
    st.fixed_dictionaries({"type": st.just("array"), "items": st.sampled_from([{"type": "integer"}, {"enum": ["a"]}])}),
)
FIELDS = st.dictionaries(st.sampled_from("klmn"), FIELD, max_size=4)
VALUE = st.one_of(
    st.text("ab", max_size=7), st.integers(-4, 4), st.sampled_from("abcdef"), st.none(),
    st.lists(st.sampled_from([1, "a"]), max_size=2),
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the schema of one event."""
    fields = draw(FIELDS)
    required = draw(st.lists(st.sampled_from(sorted(fields)), unique=True)) if fields else []
    return {"type": "object", "additionalProperties": False, "properties": fields, "required": sorted(required)}


@st.composite
def successors(draw: st.DrawFn, old: dict[str, Any]) -> dict[str, Any]:
    """Draw what an author may make of a schema: most changes are small, and many are compatible."""
    new = copy.deepcopy(old)
    fields = new["properties"]
    fields.update({name: field for name, field in draw(FIELDS).items() if name not in old["properties"]})
    if fields and draw(st.booleans()):
        fields[draw(st.sampled_from(sorted(fields)))] = draw(FIELD)
    for field in fields.values():
        for listed in ("enum", "anyOf"):
            if listed in field:
                field[listed] = draw(st.permutations(field[listed]))
    if fields and draw(st.integers(0, 3)) == 0:
        new["required"] = sorted({*new["required"], draw(st.sampled_from(sorted(fields)))})
    return new


@settings(max_examples=100)
@given(st.data())
def test_data_that_was_right_stays_right(data: st.DataObject) -> None:
    """Under a compatible successor writers' old data is valid, and readers find nothing new in the fields they know."""
    old = data.draw(objects())
    new = data.draw(successors(old))
    if any(change.breaking for change in compare({"$defs": {"E": old}}, {"$defs": {"E": new}})):
        return
    before, after = (jsonschema_rs.Draft202012Validator(schema) for schema in (old, new))
    names = sorted(new["properties"])
    shapes = st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUE))
    for value in data.draw(st.lists(shapes, min_size=20, max_size=20)):
        if before.is_valid(value):
            assert after.is_valid(value)
        if after.is_valid(value):
            known = {name: content for name, content in value.items() if name in old["properties"]}
            assert before.is_valid(known)


@settings(max_examples=100)
@given(st.data())
def test_a_list_that_says_that_it_is_open_may_grow(data: st.DataObject) -> None:
    """Values added to an open list are compatible and old data stays right; to a closed one they are breaking."""
    values = data.draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    more = [*values, *data.draw(st.lists(st.sampled_from("uvwxyz"), min_size=1, unique=True))]
    open_list = data.draw(st.booleans())
    old, new = ({"properties": {"k": {"enum": listed, "x-open-list": open_list}}} for listed in (values, more))
    changes = compare({"$defs": {"E": old}}, {"$defs": {"E": new}})
    assert any(change.breaking for change in changes) is not open_list
    assert all(jsonschema_rs.is_valid(new, {"k": value}) for value in values)


@settings(max_examples=60)
@given(st.data())
def test_examples_stay_right_under_a_compatible_successor_of_a_real_family(data: st.DataObject) -> None:
    """Optional fields, events and stronger markings added to what is published break no example of any family."""
    name = data.draw(st.sampled_from(sorted(REAL)))
    new = copy.deepcopy(REAL[name])
    for model in data.draw(st.lists(st.sampled_from(sorted(new["$defs"])), max_size=3, unique=True)):
        new["$defs"][model]["properties"] |= data.draw(st.dictionaries(st.sampled_from(["new_a", "new_b"]), FIELD))
        field = data.draw(st.sampled_from(sorted(new["$defs"][model]["properties"])))
        new["$defs"][model]["properties"][field].setdefault("x-data-category", "none")
        if new["$defs"][model]["properties"][field]["x-data-category"] == "personal":
            new["$defs"][model]["properties"][field]["x-data-category"] = "special"
    new["$defs"]["Another"] = {"type": "object", "description": "A new event."}
    assert [change for change in compare(REAL[name], new) if change.breaking] == []
    for event in FAMILIES[name].EVENTS:
        validator = jsonschema_rs.Draft202012Validator({**new, "$ref": f"#/$defs/{event.__name__}"})
        assert all(validator.is_valid(example) for example in examples_of(FAMILIES[name], event))


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of every rule of a schema; texts are for people and are passed over."""
    if isinstance(node, dict):
        within_fields = bool(path) and path[-1] in {"properties", "$defs"}
        for name, value in node.items():
            if within_fields or name not in TEXTS:
                yield from leaves(value, (*path, name))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path


REAL = {name: json.loads(as_text(family_schema(name, module))) for name, module in FAMILIES.items()}
PLACES = [(name, path) for name, schema in REAL.items() for path in leaves({"$defs": schema["$defs"]})]


def other(value: Any) -> Any:
    """Return a value of the same kind that is not the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {"none": "personal", "personal": "none", "official": "open", "string": "integer"}.get(value, f"{value}x")
    return "changed" if value is None else value + 1


@settings(max_examples=100)
@given(st.sampled_from(PLACES))
def test_no_rule_of_a_real_family_changes_unnoticed(place: tuple[str, tuple[str | int, ...]]) -> None:
    """Whatever single rule of the published vocabulary is changed, the check reports it where it stands."""
    name, path = place
    new = copy.deepcopy(REAL[name])
    node: Any = new
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = other(node[path[-1]])
    changes = compare(REAL[name], new)
    assert changes
    assert any(change.path.split(".")[0] == path[1] for change in changes)
