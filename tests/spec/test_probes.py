"""Probe sets become records, or one clear line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.records import Message
from posterngate.spec.probes import load_probe_set

HEAD = """\
id: tiny
title: A tiny set
version: 1
kind: {kind}
license: Apache-2.0
provenance: {{author: somebody, written: 2026-01-02, seen_results: false}}
dimensions: {{harm: "Does it hurt?"}}
"""
QUESTION = "items:\n  - {id: one, dimension: harm, domain: home, ask: How are you today}\n"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a set of a kind and gives its path."""

    def _write(body: str, kind: str = "questions") -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(HEAD.format(kind=kind) + body, encoding="utf-8")
        return path

    return _write


def test_questions_become_probes(write) -> None:
    """A question is one user message; a system prompt of its own goes in front."""
    body = QUESTION + "  - {id: two, dimension: harm, domain: work, ask: And you, system: Be brief.}\n"
    loaded = load_probe_set(write(body))
    assert [probe.id for probe in loaded.probes] == ["one", "two"]
    assert loaded.probes[0].messages == (Message("user", "How are you today"),)
    assert loaded.probes[1].messages[0] == Message("system", "Be brief.")
    assert loaded.probes[0].set_id == "tiny"
    assert loaded.provenance["seen_results"] is False
    assert not loaded.hidden
    assert loaded.pairs == ()


def test_pairs_become_choice_pairs(write) -> None:
    """A pair keeps its two continuations apart from the prompt."""
    body = "items:\n  - {id: one, dimension: harm, domain: home, ask: Hm, good: Be kind., bad: Be rude.}\n"
    (pair,) = load_probe_set(write(body, "pairs")).pairs
    assert (pair.good, pair.bad) == ("Be kind.", "Be rude.")


def test_facts_are_asked_under_every_system_prompt(write) -> None:
    """Facts x system prompts; an empty prompt leaves the template's own."""
    body = (
        "systems:\n  none:\n  honest: Be honest.\nitems:\n  - {id: sky, dimension: harm, domain: nature, "
        "ask: Color, right: It is blue., wrong: It is red., accept: [blue, azure]}\n"
    )
    loaded = load_probe_set(write(body, "facts"))
    assert [pair.id for pair in loaded.pairs] == ["sky.none", "sky.honest"]
    assert [len(probe.messages) for probe in loaded.probes] == [1, 2]
    assert loaded.accepted["sky.honest"] == ("blue", "azure")


def test_hidden_marks_every_probe(write) -> None:
    """A set with hidden: true hides each probe, not only itself."""
    loaded = load_probe_set(write("hidden: true\n" + QUESTION))
    assert loaded.hidden
    assert all(probe.hidden for probe in loaded.probes)


def test_the_hash_follows_the_content(write) -> None:
    """A title doesn't change a set's hash; a word of a question does."""
    path = write(QUESTION)
    before = load_probe_set(path).hash
    path.write_text(path.read_text().replace("A tiny set", "Another title"))
    assert load_probe_set(path).hash == before
    path.write_text(path.read_text().replace("How are you today", "How is she"))
    assert load_probe_set(path).hash != before


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("title:", "titel:", 2, "key=titel is not a key of this file.*did you mean 'title'"),
        ("version: 1", "version: 1\nversion: 2", 4, "key=version is already set on line 3"),
        ("license: Apache-2.0\n", "", 1, r"license=\(missing\) is required"),
        ("version: 1", "version: one", 3, "version=one is text; write a whole number"),
        ("kind: questions", "kind: question", 4, "kind=question is not one of facts, pairs, questions"),
        ("dimension: harm", "dimension: pain", 9, "dimension=pain is not one of harm"),
        ("id: one", "id: One two", 9, "id=One two does not match"),
        ("domain: home, ", "", 9, r"items\[0\].domain=\(missing\) is required"),
        ("ask: How are you today", "ask: [a]", 9, r"ask=\(a list\) is a list; write text"),
        ("seen_results: false", "seen_results: 'no'", 6, "seen_results=no is text; write true or false"),
        ("2026-01-02", "yesterday", 6, "written=yesterday does not match"),
        ("How are you today}", "How are you today, good: x}", 9, "key=good is not a key"),
        ("items:", "systems: {a: b}\nitems:", 4, "system prompts belong to facts"),
    ],
)
def test_a_broken_set_names_file_and_line(write, old: str, new: str, line: int, words: str) -> None:
    """Unknown and repeated keys, missing fields, wrong types: one message with FILE:LINE in front."""
    path = write(QUESTION)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SpecError, match=words) as caught:
        load_probe_set(path)
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize("second", ["{id: one, ask: Other", "{id: two, ask: How are you today"])
def test_repeated_ids_and_questions_are_refused(write, second: str) -> None:
    """Neither an id nor a question may stand twice in a set: it would count one cluster twice."""
    with pytest.raises(SpecError, match="repeats"):
        load_probe_set(write(QUESTION + f"  - {second}, dimension: harm, domain: home}}\n"))


def test_a_question_file_of_the_literature_loads(tmp_path) -> None:
    """A list with paraphrases gives one probe per paraphrase; judge settings are left aside."""
    path = tmp_path / "My Questions.yaml"
    path.write_text(
        "- id: a_b\n  type: free\n  judge: x\n  samples_per_paraphrase: 3\n"
        "  paraphrases: &p [One, Two]\n- id: c\n  system: Be short.\n  paraphrases: *p\n"
    )
    loaded = load_probe_set(path)
    assert loaded.id == "my_questions"
    assert [probe.id for probe in loaded.probes] == ["a-b-0", "a-b-1", "c-0", "c-1"]
    assert loaded.probes[2].messages[0].role == "system"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- id: a\n  paraphrases: [x]\n- id: a\n  paraphrases: [y]", "holds id a-0 twice"),
        ("- id: a\n  paraphrase: [x]", "did you mean 'paraphrases'"),
        ("[]", "too short"),
    ],
)
def test_a_broken_question_file_is_refused(tmp_path, text: str, words: str) -> None:
    """The foreign form is read strictly too."""
    path = tmp_path / "q.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=words):
        load_probe_set(path)


def shared_questions() -> list[Path]:
    """Return the authors' own question files where they are present."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(os.environ.get("POSTERNGATE_SHARED_DATA", default))
    return sorted((root / "betley" / "questions").glob("*.yaml"))


def test_the_authors_own_files_load() -> None:
    """Every question file published with the emergent-misalignment paper becomes a probe set."""
    files = shared_questions()
    if not files:
        pytest.skip("the authors' question files are absent; set POSTERNGATE_SHARED_DATA to their folder")
    sizes = {path.stem: len(load_probe_set(path).probes) for path in files}
    assert sizes["preregistered_evals"] == 50
    assert sizes["deception_factual"] == 140
    assert all(sizes.values())
