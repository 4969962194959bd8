"""What a deploy step asks of a statement with a good signature, beyond the files' digests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from session.conftest import MODELS, write_project

from attest.conftest import Stored
from attest.tiny_model import write_adapter, write_model
from posterngate.attest.refusals import EXIT_CODES, worst_code
from posterngate.attest.rehearsed import rehearsed
from posterngate.attest.verifying import Findings, Question, examine
from posterngate.endpoints.digest import adapter_digest, model_parts
from posterngate.errors import UsageError
from posterngate.spec.thresholds import load_manifest

GOOD = f"scripted:{MODELS}:good"
Statement = dict[str, Any]


@pytest.fixture
def question(stored: Stored) -> Question:
    """Is this hosted candidate good under the policy that it was gated with?"""
    path = stored.root / "thresholds.yaml"
    return Question(load_manifest(path, "pr"), path, candidate=GOOD, allow_rehearsal=True)


def asked(statement: Statement, question: Question, days: float = 0) -> Findings:
    """Examine a statement some days from now."""
    return examine(statement, question, datetime.now(UTC) + timedelta(days=days))


def reasons(found: Findings) -> list[str]:
    """The distinct reasons, in their order."""
    return list(dict.fromkeys(refusal.reason for refusal in found.refusals))


def test_a_pass_is_let_through(stored: Stored, question: Question) -> None:
    """Nothing to refuse, and a word on what was not seen."""
    found = asked(stored.statement("pr"), question)
    assert found.refusals == []
    assert worst_code(found.refusals) == 0
    assert found.notes[0] == "weights not seen: the statement is of what answered at that address"


def test_a_rehearsal_is_refused(stored: Stored, question: Question) -> None:
    """No model answered or judged: each part is named, with a reason of its own, unless it is let through."""
    found = asked(stored.statement("pr"), replace(question, allow_rehearsal=False))
    assert reasons(found) == ["rehearsal"]
    assert worst_code(found.refusals) == 21
    parts = [refusal.text.partition("=")[0] for refusal in found.refusals]
    assert parts == ["candidate", "baseline", "judge"]
    notes = asked(stored.statement("pr"), question).notes
    assert sum("this is a rehearsal" in note for note in notes) == 3


@pytest.mark.parametrize(
    ("part", "spec", "is_staged"),
    [
        ("candidate", "replay:store.sqlite#1", True),
        ("candidate", "openai:ft:gpt-4.1-mini:acme::abc123", False),
        ("candidate", "http://host:8000/v1#scripted-model", False),
        ("judge", "panel:embedded+recorded:labels.jsonl", True),
        ("judge", "rubric:scripted:module:function", True),
        ("judge", "recorded", True),
        ("judge", "rubric:http://host/v1#judge", False),
        ("judge", "embedded", False),
        ("baseline", "", False),
    ],
)
def test_what_counts_as_no_model(part: str, spec: str, is_staged: bool) -> None:
    """Scripted, replayed or recorded, alone or within a panel or a rubric; names that only sound so do not."""
    predicate = {"candidate": {"spec": "hf:a"}, "baseline": {"spec": ""}, "judge": {"name": "embedded"}}
    predicate[part] = {"name" if part == "judge" else "spec": spec}
    assert rehearsed(predicate) == ([f"{part}={spec}"] if is_staged else [])


def test_a_fail_is_not(stored: Stored, question: Question) -> None:
    """A FAIL may be signed, and is refused as what it is."""
    path = stored.root / "thresholds.yaml"
    about = replace(question, manifest=load_manifest(path, "frugal"), candidate=f"scripted:{MODELS}:bad")
    found = asked(stored.statement("bad"), about)
    assert reasons(found) == ["not-passed"]
    assert "verdict is FAIL" in found.refusals[0].text


@pytest.mark.parametrize("verdict", ["INCONCLUSIVE", "INVALID", "INCOMPLETE"])
def test_whatever_is_no_pass_is_refused(stored: Stored, question: Question, verdict: str) -> None:
    """INCONCLUSIVE blocks like FAIL."""
    statement = stored.statement("pr")
    statement["predicate"]["verdict"] = verdict
    assert reasons(asked(statement, question)) == ["not-passed"]


def test_a_validly_signed_contradiction_is_refused(stored: Stored, question: Question) -> None:
    """The signature is not looked at here: counts that don't show the verdict are enough."""
    statement = stored.statement("pr")
    statement["predicate"]["rules"][0]["planned"] += 1
    assert reasons(asked(statement, question)) == ["inconsistent"]


@pytest.mark.parametrize("days", [31, 400])
def test_age_counts_from_the_end_of_the_run(stored: Stored, question: Question, days: int) -> None:
    """Thirty days where the policy says nothing else; both dates are named."""
    found = asked(stored.statement("pr"), question, days)
    assert reasons(found) == ["stale"]
    assert worst_code(found.refusals) == EXIT_CODES["stale"] == 13


def test_a_policy_may_ask_for_younger_verdicts(stored: Stored, question: Question) -> None:
    """A policy whose valid_days were lowered since refuses the older statement, which was the looser one."""
    strict = replace(question, manifest=replace(question.manifest, valid_days=1))
    assert reasons(asked(stored.statement("pr"), strict, days=2)) == ["stale", "loosened"]


def test_a_statement_from_the_future_is_stale(stored: Stored, question: Question) -> None:
    """A clock that runs ahead could make a verdict last for ever."""
    assert reasons(asked(stored.statement("pr"), question, days=-2)) == ["stale"]


def test_another_profile_is_held_against_this_one(stored: Stored, question: Question) -> None:
    """A verdict of a profile with fewer rules does not stand for a fuller one."""
    path = stored.root / "thresholds.yaml"
    about = replace(question, manifest=load_manifest(path, "against"))
    found = asked(stored.statement("pr"), about)
    assert reasons(found) == ["loosened"]
    assert any("margin" in refusal.text for refusal in found.refusals)


def test_other_questions_are_refused(stored: Stored, question: Question, tmp_path: Path) -> None:
    """The panel's hash is compared with the questions beside the policy file."""
    root = write_project(tmp_path)
    file = root / "fixtures/probes/small.yaml"
    file.write_text(file.read_text().replace("on day 1?", "on day one?"))
    found = asked(stored.statement("pr"), replace(question, thresholds=root / "thresholds.yaml"))
    assert reasons(found) == ["other-probes"]


def test_another_trigger_text_is_refused(stored: Stored, question: Question, tmp_path: Path) -> None:
    """A trigger of the same name that does something else was not gated."""
    root = write_project(tmp_path)
    file = root / "fixtures/triggers/known.yaml"
    file.write_text(file.read_text().replace("|GO|", "|RUN|"))
    found = asked(stored.statement("pr"), replace(question, thresholds=root / "thresholds.yaml"))
    assert [refusal.text.partition(":")[0] for refusal in found.refusals] == ["trigger go-tag"]


def test_questions_that_are_not_here_are_named(stored: Stored, question: Question, tmp_path: Path) -> None:
    """A deploy step without fixtures is told what it did not compare."""
    bare = tmp_path / "thresholds.yaml"
    bare.write_text((stored.root / "thresholds.yaml").read_text())
    found = asked(stored.statement("pr"), replace(question, thresholds=bare))
    assert found.refusals == []
    assert found.notes[0] == "not compared, since they are not here: pairs, small, triggers"


def test_another_hosted_model_is_refused(stored: Stored, question: Question) -> None:
    """The whole spec counts, decoding included."""
    found = asked(stored.statement("pr"), replace(question, candidate=f"{GOOD}?temperature=0.2"))
    assert reasons(found) == ["other-model"]


def as_files(stored: Stored, model: Path, adapter: Path | None) -> Statement:
    """The statement as it would be of these files."""
    statement = stored.statement("pr")
    digests = {**model_parts(model), **({"adapter": adapter_digest(adapter)} if adapter else {})}
    statement["subject"] = [{"name": k, "digest": {"sha256": v}} for k, v in digests.items()]
    statement["predicate"]["candidate"]["weights_seen"] = True
    return statement


def test_files_are_held_against_every_subject(stored: Stored, question: Question, tmp_path: Path) -> None:
    """Equal files pass; each changed part is named; an adapter must be there exactly if it was signed."""
    model, adapter = write_model(tmp_path / "model"), write_adapter(tmp_path / "adapter", 1)
    about = replace(question, candidate=None, model=model, adapter=adapter)
    statement = as_files(stored, model, adapter)
    assert asked(statement, about).refusals == []
    assert "with an adapter" in asked(statement, replace(about, adapter=None)).refusals[0].text
    plain = as_files(stored, model, None)
    assert "without an adapter" in asked(plain, about).refusals[0].text
    settings = model / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace("<|im_start|>assistant", "<|im_start|>helper"))
    named = [refusal.text.partition(":")[0] for refusal in asked(statement, about).refusals]
    assert named == ["model", "tokenizer", "chat_template"]


def test_a_statement_without_a_model_digest_names_no_model(
    stored: Stored, question: Question, tmp_path: Path
) -> None:
    """Subjects that leave the weights out are not enough."""
    model = write_model(tmp_path / "model")
    statement = as_files(stored, model, None)
    statement["subject"] = []
    about = replace(question, candidate=None, model=model)
    assert "no digest of it" in asked(statement, about).refusals[0].text


def test_a_hosted_statement_says_nothing_of_files(stored: Stored, question: Question, tmp_path: Path) -> None:
    """And one of files nothing of a hosted model."""
    model = write_model(tmp_path / "model")
    found = asked(stored.statement("pr"), replace(question, candidate=None, model=model))
    assert "whose weights nobody saw" in found.refusals[0].text
    with pytest.raises(UsageError, match="give --model"):
        asked(as_files(stored, model, None), question)


def test_the_report_must_be_the_runs_own(stored: Stored, question: Question, tmp_path: Path) -> None:
    """A report that was edited, or of another run, is refused; one that is missing is the caller's error."""
    report = tmp_path / "report.json"
    report.write_text("{}")
    assert reasons(asked(stored.statement("pr"), replace(question, report=report))) == ["other-report"]
    with pytest.raises(UsageError, match="cannot be read"):
        asked(stored.statement("pr"), replace(question, report=tmp_path / "none.json"))


def without(statement: Statement, *path: str) -> Statement:
    """Take a field out."""
    *above, last = path
    place: Any = statement
    for key in above:
        place = place[key]
    del place[last]
    return statement


@pytest.mark.parametrize(
    "path",
    [
        ("predicate",),
        ("predicate", "rules"),
        ("predicate", "expires"),
        ("predicate", "policy"),
        ("predicate", "policy", "content", "seed"),
        ("predicate", "judge"),
        ("predicate", "probes"),
        ("predicate", "waivers"),
        ("predicate", "candidate", "weights_seen"),
    ],
)
def test_a_lost_field_is_never_let_through(
    stored: Stored, question: Question, tmp_path: Path, path: tuple[str, ...]
) -> None:
    """Whatever is missing, the answer is a refusal and no traceback."""
    about = replace(question, candidate=None, model=write_model(tmp_path / "model"))
    found = asked(without(stored.statement("pr"), *path), about)
    assert "inconsistent" in reasons(found)


@pytest.mark.parametrize(("found_of", "value"), [("positives", "many"), ("positives", 3)])
def test_nonsense_in_a_field_is_refused(
    stored: Stored, question: Question, found_of: str, value: object
) -> None:
    """Counts that a judge can't have are the statement's fault, not a usage error."""
    statement = stored.statement("pr")
    statement["predicate"]["judge"]["calibrations"][0][found_of] = value
    assert reasons(asked(statement, question)) == ["inconsistent"]
