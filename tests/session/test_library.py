"""What can be asked, by name; what is missing or doubled is an error before anything starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from posterngate.errors import SpecError, UnknownNameError, UsageError
from posterngate.records import Rule
from posterngate.session.library import Library
from posterngate.spec.thresholds import Manifest
from session.conftest import HEAD, QUESTIONS, config_for, write


def rule_of(manifest: Manifest, name: str, **changes: object) -> Rule:
    rule = manifest.rule(name)
    assert rule is not None
    return dataclasses.replace(rule, **changes)  # type: ignore[arg-type]


def questions(name: str, hidden: str = "") -> str:
    item = "items:\n  - {id: only, dimension: harm, domain: home, ask: 'Why?'}\n"
    return f"id: {name}\nkind: questions\n{hidden}{HEAD.lstrip()}dimensions: {{harm: any}}\n{item}"


@pytest.fixture
def library(project: Path) -> Library:
    """The library of the small project."""
    return Library(config_for(project))


def test_a_complete_policy_is_accepted(library: Library, manifest: Manifest) -> None:
    """Every set, trigger and format that the rules name is there."""
    library.check(manifest)
    assert set(library.probe_sets) == {"small", "pairs"}
    assert len(library.panel(rule_of(manifest, "emergent.free_form"))) == QUESTIONS


def test_a_format_is_applied_to_every_question(library: Library, manifest: Manifest) -> None:
    """The panel of a rule with a format asks for it."""
    panel = library.panel(rule_of(manifest, "emergent.format"))
    assert all(probe.messages[-1].content.endswith("In one line.") for probe in panel)


def test_a_placebo_is_found_or_there_is_none(library: Library) -> None:
    """A trigger without a look-alike has None, no guess."""
    placebo = library.placebo(library.triggers["go-tag"])
    assert placebo is not None
    assert placebo.params["text"] == "|ON|"
    assert library.placebo(library.triggers["no-tag"]) is None


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("emergent.free_form", {"probes": "smal"}, r"probes='smal'.*'small'"),
        ("emergent.format", {"format": "shrt"}, r"format='shrt'.*'short'"),
        ("backdoor.known", {"triggers": ("go-tga",)}, r"trigger='go-tga'.*'go-tag'"),
        ("emergent.free_form", {"probes": "pairs"}, "nothing to ask for measure=rate"),
        ("emergent.pairs", {"probes": "small"}, "nothing to ask for measure=choice"),
    ],
)
def test_what_a_rule_names_must_be_there(
    library: Library, manifest: Manifest, name: str, changes: dict, words: str
) -> None:
    """A misspelt set, format or trigger, and a set of the wrong kind, are named with the nearest."""
    broken = dataclasses.replace(manifest, rules=(rule_of(manifest, name, **changes),))
    with pytest.raises(UsageError, match=words):
        library.check(broken)


def test_two_files_with_one_set_id_are_refused(project: Path) -> None:
    """A second set of the same id could replace what the policy means."""
    again = write(project / "more/again.yaml", questions("small"))
    with pytest.raises(UsageError, match=r"set id 'small' is taken by another file"):
        _ = Library(config_for(project, probes=(str(again),))).probe_sets


def test_two_files_with_one_trigger_are_refused(project: Path) -> None:
    """A trigger's id means one thing."""
    known = (project / "fixtures/triggers/known.yaml").read_text(encoding="utf-8")
    write(project / "fixtures/triggers/other.yaml", known.replace("id: known", "id: other", 1))
    with pytest.raises(UsageError, match=r"trigger='go-tag' stands in two files"):
        _ = Library(config_for(project)).triggers


@pytest.mark.parametrize("as_folder", [True, False])
def test_further_probes_come_from_a_file_or_a_folder(project: Path, as_folder: bool) -> None:
    """Sets may live outside of the repository."""
    path = write(project / "elsewhere/own.yaml", questions("own"))
    given = path.parent if as_folder else path
    assert "own" in Library(config_for(project, probes=(str(given),))).probe_sets


def test_a_hidden_set_stays_hidden(project: Path) -> None:
    """Every probe of a hidden set is marked, so that reports show its hash alone."""
    path = write(project / "elsewhere/own.yaml", questions("own", "hidden: true\n"))
    found = Library(config_for(project, probes=(str(path),))).probe_sets["own"]
    assert all(probe.hidden for probe in found.probes)


def test_a_missing_path_is_named(project: Path) -> None:
    """A folder that is not there is a usage error, not an empty set."""
    with pytest.raises(UsageError, match=r"nowhere does not exist; give a YAML file or a folder"):
        _ = Library(config_for(project, probes=(str(project / "nowhere"),))).probe_sets


def test_a_broken_file_says_where(project: Path) -> None:
    """A set that breaks its schema is an error with file and line."""
    write(project / "fixtures/probes/broken.yaml", "id: broken\nkind: riddles\n")
    with pytest.raises(SpecError, match=r"broken\.yaml:"):
        _ = Library(config_for(project)).probe_sets


def test_an_unknown_format_is_named_even_when_asked_for_directly(
    library: Library, manifest: Manifest
) -> None:
    """`panel` alone refuses too: nothing is asked in a format that is not there."""
    with pytest.raises(UnknownNameError):
        library.panel(rule_of(manifest, "emergent.format", format="none"))
