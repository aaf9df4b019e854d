"""Samples and the conformance check at the command line: files, pipes and topics of a real broker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from backbone.kafka.admin import TopicSpec, create_topics
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.readers import read_topics


def run(*arguments: str, given: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; its exit code must be as expected."""
    done = subprocess.run(
        [sys.executable, "-m", "backbone", *arguments],
        input=given, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_samples_piped_into_the_check_conform() -> None:
    """The two commands fit together without a file or a broker; equal seeds print equal bytes."""
    sampled = run("sample", "planning", "--count", "50", "--seed", "3").stdout
    assert sampled == run("sample", "planning.v1", "--count", "50", "--seed", "3").stdout
    assert len(sampled.splitlines()) == 50
    done = run("conformance", "--json", given=sampled)
    report = json.loads(done.stdout)
    assert (report["events"], report["violations"], report["schema_version"]) == (50, 0, 1)
    assert "no rule was broken" in done.stderr


def test_bad_samples_fail_the_check_with_a_table_and_a_page(tmp_path: Path) -> None:
    """Exit code 1; the table names codes and cases, and the page is complete without scripts or other files."""
    file, page = tmp_path / "bad.jsonl", tmp_path / "report.html"
    file.write_text(run("sample", "benefits", "--bad", "--count", "34").stdout)
    done = run("conformance", str(file), "--html", str(page), code=1)
    assert "rules were broken 34 times" in done.stderr
    assert "violation\tprivacy.nino\tbenefits.claim-received.v1\t2" in done.stdout
    made = html.fromstring(page.read_text(encoding="utf-8"))
    assert made.get("lang") == "en-GB"
    assert len(made.findall(".//h1")) == 1
    assert made.findtext(".//title")
    tables = made.findall(".//table")
    assert len(tables) == 2
    assert all(table.findtext("caption") and table.findall(".//th[@scope='col']") for table in tables)
    assert made.findall(".//script") + made.findall(".//link") + made.findall(".//img") == []
    identifiers = [element.get("id") for element in made.iterfind(".//*[@id]")]
    assert len(identifiers) == len(set(identifiers))
    assert {element.get("aria-labelledby") for element in made.iterfind(".//*[@aria-labelledby]")} == set(identifiers)


def test_an_accepted_code_is_reported_and_does_not_fail(tmp_path: Path) -> None:
    """A council may say which rule a source is known to break; everything else still fails."""
    file = tmp_path / "events.jsonl"
    first = run("sample", "licences", "--count", "1").stdout
    again = json.dumps({**json.loads(first), "id": "0" * 32})
    file.write_text(f"{first}{again}\n")
    run("conformance", str(file), code=1)
    done = run("conformance", str(file), "--accept", "identity.other-id-same-content")
    assert "note\tidentity.other-id-same-content" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sample", "unheardof"), 2, "there is no family"),
        (("sample", "planning", "--event", "unheard-of"), 2, "has no event"),
        (("sample", "planning", "--count", "0"), 2, "--count takes"),
        (("sample", "planning", "--organisation", "Example Borough"), 2, "--organisation takes"),
        (("conformance", "--html", "nowhere/report.html"), 2, "there is no folder nowhere"),
        (("conformance", "nowhere/events.jsonl"), 2, "there is no file"),
        (("conformance", "--accept", "unheard-of"), 2, "--accept takes codes"),
        (("conformance",), 1, "There was no event to check"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments: tuple[str, ...], code: int, said: str) -> None:
    """A wrong name is a usage error with what there is instead, and nothing to check is no success."""
    assert said in run(*arguments, code=code).stderr


async def test_samples_go_onto_a_topic_and_are_checked_there(broker: str, organisation: str) -> None:
    """Binary mode, one case a partition in its order, keys that are subjects; good ones pass and bad ones do not."""
    connection = KafkaConnection(broker)
    topics = [f"{organisation}.sampled.v1", f"{organisation}.spoilt.v1"]
    await create_topics(connection, [TopicSpec(topic, 3, 1, {}) for topic in topics])
    at = ("--bootstrap-servers", broker)
    for topic, more in zip(topics, (["--count", "700"], ["--bad", "--count", "34"]), strict=True):
        run("sample", "counciltax", "--topic", topic, "--organisation", organisation, *more, *at)
    records = [record async for record in read_topics(connection, [topics[0]])]
    assert len(records) == 700
    assert len({record.partition for record in records}) == 3
    assert all(dict(record.headers)["ce_subject"] == record.key for record in records)
    assert all("ce_recordedtime" in dict(record.headers) for record in records)
    report = json.loads(run("conformance", topics[0], "--json", *at).stdout)
    assert (report["events"], report["findings"]) == (700, [])
    spoilt = json.loads(run("conformance", topics[1], "--json", *at, code=1).stdout)
    assert {"privacy.nino", "envelope.unknown-major", "schema.missing-field", "lifecycle.after-the-end"} <= {
        finding["code"] for finding in spoilt["findings"] if finding["violation"]
    }
    assert "AA000000A" not in json.dumps(spoilt)


def test_a_topic_that_is_not_there_is_told(broker: str) -> None:
    """Neither command creates a topic by asking for it."""
    at = ("--bootstrap-servers", broker)
    assert "no topic" in run("sample", "planning", "--topic", "nowhere.v1", *at, code=2).stderr
    assert "neither a file nor a topic" in run("conformance", "nowhere.v1", *at, code=2).stderr
