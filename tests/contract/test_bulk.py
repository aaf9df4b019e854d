"""Events in bulk: what is valid, and what it gives, is what the models say."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.families import FAMILIES
from schemas.shared import Event
from schemas.shared.bulk import bulk

EVENTS = [(module, event) for module in FAMILIES.values() for event in module.EVENTS]
WRONG: st.SearchStrategy[Any] = st.sampled_from(
    ["", " x", "2031-02-30", -1, 10**9, [], {}, {"x": 1}, "SW1A 1AA", "E0", 0.5, True]
)


@pytest.mark.parametrize(("module", "event"), EVENTS, ids=lambda each: getattr(each, "__name__", ""))
def test_every_example_gives_the_same_json_in_bulk(module: Any, event: type[Event]) -> None:
    """The minimal and the full example of every event, as the models serialise them."""
    models = [event.model_validate(example) for example in module.EXAMPLES[event]]
    written = [orjson.loads(model.model_dump_json(exclude_none=True)) for model in models]
    checked = bulk(event).validate_python(written)
    assert orjson.loads(bulk(event).dump_json(checked)) == written


def _is_valid_and_whole(event: type[Event], data: dict[str, Any]) -> bool:
    """Say whether the model takes the data, and without filling in a default."""
    try:
        model = event.model_validate(data)
    except ValidationError:
        return False
    return bool(_keys(orjson.loads(model.model_dump_json(exclude_none=True))) == _keys(data))


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _keys(content) for key, content in value.items()}
    return [_keys(content) for content in value] if isinstance(value, list | tuple) else None


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_is_wrong_as_a_model_is_wrong_in_bulk(data: st.DataObject) -> None:
    """Whatever field of whatever event is spoilt, at whatever depth: both refuse it, or both take it."""
    module, event = data.draw(st.sampled_from(EVENTS))
    example = orjson.loads(event.model_validate(module.EXAMPLES[event].full).model_dump_json(exclude_none=True))
    spoilt = copy.deepcopy(example)
    place: Any = spoilt
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    if isinstance(place, dict) and data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(WRONG)
    try:
        bulk(event).validate_python([spoilt])
        taken = True
    except ValidationError:
        taken = False
    assert taken == _is_valid_and_whole(event, spoilt)
