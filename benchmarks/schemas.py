"""Validation and serialisation of events, family by family: python -m benchmarks.schemas.

In bulk (``schemas.shared.bulk``) and as models, a list at once; each figure is events a CPU-second, the median of
several runs. The last line compares a class with the same class without its markings.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from backbone import memory
from schemas.families import FAMILIES
from schemas.shared import Event
from schemas.shared.bulk import bulk

EVENTS = 20_000
RUNS = 7
VALUES = 12


def per_second(work: Callable[[], object]) -> list[float]:
    """Return events a CPU-second of several runs."""
    found = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        found.append(EVENTS / (time.process_time() - began))
    return found


def shown(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):>10,.0f}   ({min(values):,.0f} to {max(values):,.0f})"


def leaves(value: Any) -> int:
    """Return how many values an example holds."""
    if isinstance(value, Mapping):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list | tuple) else 1


def of_twelve_values(module: Any) -> tuple[type[Event], dict[str, Any]]:
    """Return the family's example with the most fields, cut to those that hold twelve values together."""
    event = max(module.EVENTS, key=lambda each: len(module.EXAMPLES[each].full))
    full = json.loads(event.model_validate(module.EXAMPLES[event].full).model_dump_json(exclude_none=True))
    fields = event.model_fields
    kept = {name: full[name] for name in full if fields[name].is_required() or fields[name].default is not None}
    for name, value in full.items():
        if name not in kept and leaves(kept) + leaves(value) <= VALUES:
            kept[name] = value
    return event, kept


def in_bulk(event: type[Event], example: Mapping[str, Any]) -> list[float]:
    """Return events validated and serialised a CPU-second by the bulk path."""
    adapter = bulk(event)
    rows = [dict(example) for _ in range(EVENTS)]
    return per_second(lambda: orjson.dumps(adapter.validate_python(rows)))


def as_models(model: type[BaseModel], example: Mapping[str, Any]) -> list[float]:
    """Return events validated and serialised a CPU-second as models, a list at once."""
    adapter = TypeAdapter(list[model])  # type: ignore[valid-type]  # a class chosen at run time
    rows = [dict(example) for _ in range(EVENTS)]
    return per_second(lambda: adapter.dump_json(adapter.validate_python(rows), exclude_none=True))


def without_markings(model: type[BaseModel]) -> type[BaseModel]:
    """Return a model with the same fields, rules and defaults, and no marking on any of them."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        fields[name] = (annotation, ... if info.is_required() else info.default)
    return create_model(f"Bare{model.__name__}", __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def main() -> None:
    """Print a line a family, then what markings cost."""
    memory.tune()
    print(f"events of {VALUES} values, validated and serialised, a CPU-second ({RUNS} runs)\n")
    for name, module in FAMILIES.items():
        event, example = of_twelve_values(module)
        print(f"{name:24}{event.__name__:26}in bulk {shown(in_bulk(event, example))}")
        print(f"{'':50}models  {shown(as_models(event, example))}")
    event, example = of_twelve_values(FAMILIES["servicerequests.v1"])
    bare = without_markings(event)
    ratios = [
        statistics.median(as_models(event, example)) / statistics.median(as_models(bare, example)) for _ in range(RUNS)
    ]
    between = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(
        f"\nmarked models beside the same without markings: {statistics.median(ratios):.2f} times as fast ({between})"
    )


if __name__ == "__main__":
    main()
