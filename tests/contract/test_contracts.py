"""Generated contracts: independent validators take them, examples fit them, and regenerating gives the same bytes."""

import csv
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import fastavro
import jsonschema_rs
import pytest

from backbone.contracts.asyncapi import backbone_document, family_document, references
from backbone.contracts.avro import as_avsc, record_of
from backbone.contracts.dictionary import COLUMNS
from backbone.contracts.envelope import envelope_schema
from backbone.contracts.fields import fields_of
from backbone.contracts.files import FORMATS, Format, contract_files, differing, write_committed
from backbone.schema_export import event_schema, examples_of
from schemas.families import FAMILIES
from schemas.shared import Event

ROOT = Path(__file__).parent.parent.parent
ASYNCAPI = json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text())
EVENTS = [(module, event) for module in FAMILIES.values() for event in module.EVENTS]
events = pytest.mark.parametrize(("module", "event"), EVENTS, ids=lambda value: getattr(value, "__name__", ""))


def wire(event: type[Event], example: dict[str, Any]) -> dict[str, Any]:
    """Return an example as it goes over the wire."""
    made: dict[str, Any] = json.loads(event.model_validate(example).model_dump_json(exclude_none=True))
    return made


def pruned(node: Any) -> Any:
    """Return data without what is absent: Avro reads an absent field as null."""
    if isinstance(node, dict):
        return {name: pruned(value) for name, value in node.items() if value is not None}
    return [pruned(value) for value in node] if isinstance(node, list) else node


@events
def test_an_events_own_schema_stands_alone(module: ModuleType, event: type[Event]) -> None:
    """One event's JSON Schema is valid, complete in itself, and takes the event's examples and nothing beside them."""
    schema = event_schema(event)
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == event.dataschema
    validator = jsonschema_rs.Draft202012Validator(schema)
    for example in examples_of(module, event):
        assert validator.is_valid(wire(event, example))
        assert not validator.is_valid({**example, "unheard_of": 1})
        assert not validator.is_valid({name: value for name, value in example.items() if name != "case_ref"})


@events
def test_avro_takes_every_example_and_gives_it_back(module: ModuleType, event: type[Event]) -> None:
    """An independent Avro library parses the record, and data comes back from bytes as it went in."""
    record = json.loads(as_avsc(record_of(event)))
    parsed = fastavro.parse_schema(record)
    for example in examples_of(module, event):
        data = wire(event, example)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, data, strict_allow_default=True)
        out.seek(0)
        assert pruned(fastavro.schemaless_reader(out, parsed, None)) == data


@events
def test_an_avro_reader_knows_fields_that_older_data_lacks(module: ModuleType, event: type[Event]) -> None:
    """Every optional field has a default that Avro allows, so that a later schema reads what an earlier one wrote."""
    later = fastavro.parse_schema(json.loads(as_avsc(record_of(event))))
    record = json.loads(as_avsc(record_of(event)))
    record["fields"] = [field for field in record["fields"] if "default" not in field or field["name"] == "state"]
    earlier = fastavro.parse_schema(record)
    data = {field["name"]: wire(event, examples_of(module, event)[0]).get(field["name"]) for field in record["fields"]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, earlier, data)
    out.seek(0)
    assert pruned(fastavro.schemaless_reader(out, earlier, later)).items() >= pruned(data).items()


def test_a_closed_list_is_an_enum_where_avro_can_name_its_values() -> None:
    """Values that are no Avro names stay text, so that what is written never differs from what is said in JSON."""
    kinds = {
        field["name"]: field["type"] for event in FAMILIES["planning.v1"].EVENTS for field in record_of(event)["fields"]
    }
    assert kinds["stage"]["type"] == "enum"
    decided = next(event for event in FAMILIES["planning.v1"].EVENTS if event.__name__ == "ApplicationDecided")
    decision = next(field for field in record_of(decided)["fields"] if field["name"] == "decision")
    maker = next(field for field in decision["type"]["fields"] if field["name"] == "decision_maker_role")
    assert maker["type"] == ["null", "string"]
    assert "planning-officer" in maker["values"]


DOCUMENTS = {"backbone": backbone_document(FAMILIES)} | {
    name: family_document(name, module) for name, module in FAMILIES.items()
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_asyncapi_documents_keep_to_the_specification(name: str) -> None:
    """AsyncAPI's own JSON Schema of version 3.0 takes each document, and every reference leads somewhere."""
    document = DOCUMENTS[name]
    faults = jsonschema_rs.Draft7Validator(ASYNCAPI).iter_errors(document)
    assert [f"{fault.instance_path}: {fault.message}" for fault in faults] == []
    for reference in references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_specifications_schema_can_fail() -> None:
    """The vendored schema refuses what AsyncAPI 3.0 does not allow."""
    validator = jsonschema_rs.Draft7Validator(ASYNCAPI)
    broken = json.loads(json.dumps(DOCUMENTS["backbone"]))
    broken["channels"]["planning_v1"]["adress"] = "misspelt"
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("name", FAMILIES)
def test_asyncapi_says_where_events_are_and_how_they_look(name: str) -> None:
    """Address, key, login, headers and examples are there for each message, and the examples fit their schemas."""
    document = DOCUMENTS[name]
    (channel,) = document["channels"].values()
    assert channel["address"] == f"{{organisation}}.{name}"
    assert document["servers"]["cluster"]["security"]
    defs = document["components"]
    for event in FAMILIES[name].EVENTS:
        message = defs["messages"][f"{name}.{event.__name__}"]
        assert message["name"] == event.event_type
        assert message["bindings"]["kafka"]["key"]["type"] == "string"
        rooted = {"components": defs, "$schema": "http://json-schema.org/draft-07/schema#"}
        payload = jsonschema_rs.Draft7Validator({**rooted, "allOf": [message["payload"]]})
        headers = jsonschema_rs.Draft7Validator({**rooted, **message["headers"]})
        assert len(message["examples"]) >= 2
        for example in message["examples"]:
            assert payload.is_valid(example["payload"])
            assert [fault.message for fault in headers.iter_errors(example["headers"])] == []
            assert not headers.is_valid({**example["headers"], "ce_type": "another"})
        assert not payload.is_valid({})


def test_the_envelope_names_every_header_that_is_written() -> None:
    """No header of an encoded event is missing from the envelope's schema."""
    known = envelope_schema()["properties"].keys()
    for module, event in EVENTS:
        message = DOCUMENTS["backbone"]["components"]["messages"][f"{event.family}.v{event.major}.{event.__name__}"]
        assert len(message["examples"]) == len(examples_of(module, event))
        for example in message["examples"]:
            assert example["headers"].keys() <= known


def test_the_dictionary_has_a_line_for_every_field() -> None:
    """A spreadsheet reads the data dictionary: each field once an event, with its marking and its list's values."""
    rows = list(csv.DictReader(io.StringIO(contract_files(FAMILIES, "csv-datadictionary")["data-dictionary.csv"])))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(len(fields_of(event)) for _, event in EVENTS)
    assert len({(row["event_type"], row["field"]) for row in rows}) == len(rows)
    for row in rows:
        assert row["category"] in {"none", "personal", "special", "criminal"}
        assert bool(row["data_subject"]) == (row["category"] != "none")
        assert row["description"]
        assert row["type"]
        assert ("one of a list" in row["type"]) == bool(row["values"])


@pytest.mark.parametrize("kind", FORMATS)
def test_regenerating_gives_the_same_bytes(kind: Format) -> None:
    """Nothing in a contract depends on the run: the same vocabulary gives the same files."""
    assert contract_files(FAMILIES, kind) == contract_files(FAMILIES, kind)


def test_committed_contracts_are_what_the_modules_give() -> None:
    """What is committed is what is generated, byte for byte; `backbone schemas generate` makes it so."""
    assert differing(ROOT / "contracts", FAMILIES) == []


def test_drift_is_found_and_mended(tmp_path: Path) -> None:
    """A changed, a missing and a surplus file are each named, and writing anew mends all three."""
    write_committed(tmp_path, FAMILIES)
    assert differing(tmp_path, FAMILIES) == []
    (tmp_path / "avro" / "surplus.avsc").write_text("{}")
    (tmp_path / "csv-datadictionary" / "data-dictionary.csv").unlink()
    changed = tmp_path / "asyncapi" / "backbone.asyncapi.json"
    changed.write_text(changed.read_text() + " ")
    assert set(differing(tmp_path, FAMILIES)) == {
        "avro/surplus.avsc", "csv-datadictionary/data-dictionary.csv", "asyncapi/backbone.asyncapi.json",
    }  # fmt: skip
    write_committed(tmp_path, FAMILIES)
    assert differing(tmp_path, FAMILIES) == []
