"""Golden outputs: what every adapter publishes of its cases, to the byte, ids included.

A change here changes what subscribers see, or makes old facts look new. To write them anew after a change that is
meant: python tests/contract/test_golden.py
"""

import json
from pathlib import Path

import pytest

from adapters import ADAPTERS
from adapters.cases import FOLDERS
from backbone.adapter import AnyAdapter
from backbone.event import structured
from backbone.testing.cases import load_cases, run_case

GOLDEN = Path(__file__).with_name("golden")
VOLATILE = {"traceparent"}


def outputs(adapter: AnyAdapter) -> list[str]:
    """Return one JSON line for each event and reject of an adapter's cases."""
    lines = []
    for case in load_cases(FOLDERS[adapter.name]):
        for result in run_case(adapter, case).results:
            for topic, message in result.events:
                event = {name: value for name, value in structured(message).items() if name not in VOLATILE}
                lines.append(json.dumps({"case": case.name, "topic": topic, **event}, ensure_ascii=False))
            if result.reject is not None:
                kept = result.reject.model_dump(include={"id", "code", "field", "legacy_code", "record_number"})
                lines.append(json.dumps({"case": case.name, **kept}, ensure_ascii=False))
    return lines


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_an_adapter_publishes_what_it_always_did(adapter: AnyAdapter) -> None:
    """Types, ids, subjects, times, sequences and data are those of the golden file."""
    golden = (GOLDEN / f"{adapter.name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert outputs(adapter) == golden


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in ADAPTERS:
        (GOLDEN / f"{each.name}.jsonl").write_text("\n".join(outputs(each)) + "\n", encoding="utf-8")
