"""The deployment file: every problem at once, each with its line, code and remedy."""

from pathlib import Path

import pytest

from backbone.config import InvalidDeploymentError, load

GOOD = """\
organisation: {id: E09000099}
kafka: {bootstrap_servers: "b:9092", password: "${TEST_PASSWORD}"}
feeds:
  - name: hw
    adapter: symology
    source: {type: files, url: drop}
"""


def problems(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    path = tmp_path / "backbone.yaml"
    path.write_text(text)
    with pytest.raises(InvalidDeploymentError) as caught:
        load(path)
    return [(problem.line, problem.code) for problem in caught.value.problems]


def test_a_good_file_gives_feeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters are found, defaults are filled in, a secret comes from the environment."""
    monkeypatch.setenv("TEST_PASSWORD", "canary")
    path = tmp_path / "backbone.yaml"
    path.write_text(GOOD)
    deployment = load(path)
    (feed,) = deployment.feeds
    assert feed.setup().event_topics == ("E09000099.servicerequests.v1",)
    assert feed.origin.system == "symology"
    assert "canary" not in repr(deployment)


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    """Wrong keys, values, adapters, layouts, options and secrets are all named, by line."""
    assert problems(
        tmp_path,
        """\
organisation: {id: E09000099}
kafka: {bootstrap_servers: "b:9092", password: hunter2}
feeds:
  - name: hw
    adapter: symolgy
    source: {type: files, url: drop}
  - name: hw
    adapter: symology
    layout: updates-11
    source: {type: files, url: "sftp://x/y"}
    options:
      ambiguous_times: later
  - name: backbone
    adapter: gro-deaths
    source: {type: files, url: drop}
""",
    ) == [
        (2, "config.secret-in-file"),
        (5, "config.unknown-adapter"),
        (7, "config.duplicate-feed"),
        (9, "config.unknown-layout"),
        (10, "config.unsupported-url"),
        (12, "config.unknown-key"),
        (13, "config.reserved-name"),
    ]


def test_a_wrong_shape_is_named_by_line_with_the_nearest_key(tmp_path: Path) -> None:
    """A misspelt key, a missing one and a wrong type each have their code; the remedy names what was meant."""
    text = GOOD.replace("adapter: symology", "adaptr: symology").replace("feeds:", "feeds:").replace("b:9092", "b:9092")
    path = tmp_path / "backbone.yaml"
    path.write_text(text + "    seen_records: many\n")
    with pytest.raises(InvalidDeploymentError) as caught:
        load(path)
    found = {(problem.line, problem.code): problem.remedy for problem in caught.value.problems}
    assert found[5, "config.unknown-key"] == "did you mean adapter?"
    assert (7, "config.invalid-value") in found
    assert any(code == "config.missing" for _, code in found)


@pytest.mark.parametrize(
    ("text", "code"),
    [("a: [", "config.not-yaml"), ("a: 1\na: 2\n", "config.not-yaml"), ("", "config.missing")],
)
def test_what_is_no_deployment_file_is_said_so(tmp_path: Path, text: str, code: str) -> None:
    """Broken YAML, a key twice and an empty file are problems of the file and no traces."""
    assert code in {found for _, found in problems(tmp_path, text)}


def test_a_missing_secret_and_a_missing_file_are_named(tmp_path: Path) -> None:
    """The variable is named; a file that is not there says how to make one."""
    assert problems(tmp_path, GOOD.replace("TEST_PASSWORD", "NOT_SET_ANYWHERE")) == [(2, "config.secret-missing")]
    with pytest.raises(InvalidDeploymentError) as caught:
        load(tmp_path / "elsewhere.yaml")
    assert caught.value.problems[0].code == "config.no-file"


def test_a_feed_that_is_wrong_does_not_make_the_list_of_feeds_empty(tmp_path: Path) -> None:
    """Only what is wrong is said; an empty list is said to be empty."""
    head = 'organisation: {id: E09000099}\nkafka: {bootstrap_servers: "b:9092"}\n'
    feed = "feeds: [{name: hw, adapter: symology, source: {type: files, url: drop, ready_after_secs: x}}]\n"
    assert [code for _, code in problems(tmp_path, head + feed)] == ["config.invalid-value"]
    assert [code for _, code in problems(tmp_path, head + "feeds: []\n")] == ["config.invalid-value"]
