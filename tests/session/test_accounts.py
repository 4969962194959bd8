"""The end of a run: what was planned, what was accounted for, and the one outcome."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from posterngate.records import Estimate, Label, Measure, Outcome, Verdict
from posterngate.session.accounts import account, run_ledger
from posterngate.spec.thresholds import Manifest

P_MANIFEST = 0.05 * 0.8  # alpha_fail without the part that calibrations spend


def estimate(p_fail: float) -> Estimate:
    return Estimate(
        n=48, events=20, unknown=0, rounds=8, rate=0.4, lower=0.2, upper=0.6, lower_fixed=0.3,
        upper_fixed=0.5, tau_pass=0.3, tau_fail=0.3, log_e_pass=0.0, log_e_fail=1.0, max_log_e_fail=1.0,
        p_final_fail=p_fail, alpha_pass=0.05, alpha_fail=0.01, crossed=None, crossed_by="", needed=9,
        p_fail=p_fail,
    )  # fmt: skip


def verdict(name: str, outcome: Outcome = Outcome.PASS, **changes: Any) -> Verdict:
    rule, _, trigger = name.partition("-")
    fields: dict[str, Any] = {"planned": 6, "ledger": {"safe": 6}, "details": {}}
    return Verdict(rule, trigger, "c", outcome, "claim", "evidence", "next", **{**fields, **changes})


@pytest.fixture
def names(manifest: Manifest) -> list[str]:
    """The populations that the policy expects."""
    return [population.name for population in manifest.populations]


def outcome(manifest: Manifest, verdicts: list[Verdict], *more: list[str]) -> Outcome:
    return account(manifest, verdicts, *(more or ([], []))).outcome


def test_all_populations_passed_is_a_pass(manifest: Manifest, names: list[str]) -> None:
    """Every expected population once, each PASS, everything accounted for."""
    accounts = account(manifest, [verdict(name) for name in names], [], [])
    assert accounts.outcome is Outcome.PASS
    assert accounts.summary["missing"] == accounts.summary["notes"] == []
    assert accounts.summary["ledger"]["planned"] == accounts.summary["ledger"]["safe"] == 6 * len(names)


def test_nothing_measured_is_incomplete(manifest: Manifest, names: list[str]) -> None:
    """No verdict at all is not green, and each missing population is named."""
    accounts = account(manifest, [], [], [])
    assert accounts.outcome is Outcome.INCOMPLETE
    assert accounts.summary["missing"] == names


@pytest.mark.parametrize("number", range(6))
def test_one_missing_population_is_incomplete(manifest: Manifest, names: list[str], number: int) -> None:
    """All others passed: still INCOMPLETE, whichever one is missing."""
    left = [name for name in names if name != names[number]]
    accounts = account(manifest, [verdict(name) for name in left], [], [])
    assert accounts.outcome is Outcome.INCOMPLETE
    assert accounts.summary["missing"] == [names[number]]


def test_a_population_measured_twice_is_incomplete(manifest: Manifest, names: list[str]) -> None:
    """Two verdicts of one population would be two tries."""
    assert outcome(manifest, [verdict(name) for name in [*names, names[0]]]) is Outcome.INCOMPLETE


def test_a_population_that_nobody_declared_is_incomplete(manifest: Manifest, names: list[str]) -> None:
    """A verdict outside of the policy belongs to another run."""
    assert outcome(manifest, [verdict(name) for name in [*names, "stranger"]]) is Outcome.INCOMPLETE


@pytest.mark.parametrize("kind", [outcome for outcome in Outcome if outcome.blocks])
def test_one_verdict_that_is_not_green_is_the_runs_outcome(
    manifest: Manifest, names: list[str], kind: Outcome
) -> None:
    """A single rule that is not PASS keeps the run from PASS."""
    verdicts = [verdict(name) for name in names[1:]]
    assert outcome(manifest, [*verdicts, verdict(names[0], kind)]) is kind


@pytest.mark.parametrize("said", [Outcome.NO_FINDING, Outcome.PASS])
def test_only_a_search_ends_without_a_finding_and_never_passes(
    manifest: Manifest, names: list[str], said: Outcome
) -> None:
    """A rate without a finding would be a rule that nobody measured; a search that passed, a false claim."""
    population = manifest.populations[0]
    if said is Outcome.PASS:
        search = dataclasses.replace(population.rule, measure=Measure.SEARCH)
        rules = tuple(search if rule is population.rule else rule for rule in manifest.rules)
        manifest = dataclasses.replace(manifest, rules=rules)
    verdicts = [verdict(name) for name in names if name != population.name]
    assert outcome(manifest, [*verdicts, verdict(population.name, said)]) is Outcome.INVALID


def test_searches_alone_pass_nothing(manifest: Manifest) -> None:
    """A profile of nothing but searches without a find is not green."""
    rules = [dataclasses.replace(rule, measure=Measure.SEARCH) for rule in manifest.rules]
    manifest = dataclasses.replace(manifest, rules=tuple(rules))
    verdicts = [verdict(p.name, Outcome.NO_FINDING) for p in manifest.populations]
    assert outcome(manifest, verdicts) is Outcome.INCONCLUSIVE


def test_a_broken_test_takes_the_pass_away(manifest: Manifest, names: list[str]) -> None:
    """A test that crashed without a verdict: INCOMPLETE, named in the notes; FAIL stays FAIL."""
    verdicts = [verdict(name) for name in names]
    accounts = account(manifest, verdicts, ["t.py::t"], [])
    assert accounts.outcome is Outcome.INCOMPLETE
    assert accounts.summary["notes"] == ["failed without a verdict: t.py::t"]
    failed = [*verdicts[1:], verdict(names[0], Outcome.FAIL)]
    assert outcome(manifest, failed, ["t.py::t"], []) is Outcome.FAIL
    unsure = [*verdicts[1:], verdict(names[0], Outcome.INCONCLUSIVE)]
    assert outcome(manifest, unsure, ["t.py::t"], []) is Outcome.INCOMPLETE


def test_a_changed_endpoint_makes_the_run_invalid(manifest: Manifest, names: list[str]) -> None:
    """What was tested is not what was named, whatever the rules say."""
    accounts = account(manifest, [verdict(name) for name in names], [], ["digest differs"])
    assert accounts.outcome is Outcome.INVALID
    assert "digest differs" in accounts.summary["notes"]


@pytest.mark.parametrize("ledger", [{"safe": 5}, {"safe": 7}, {}])
def test_an_unbalanced_ledger_is_invalid(manifest: Manifest, names: list[str], ledger: dict) -> None:
    """Planned and accounted samples differ: a defect, never green."""
    verdicts = [*(verdict(name) for name in names[1:]), verdict(names[0], ledger=ledger)]
    assert outcome(manifest, verdicts) is Outcome.INVALID


def test_two_wrong_ledgers_do_not_cancel(manifest: Manifest, names: list[str]) -> None:
    """One item too many and one too few: each item must balance by itself."""
    wrong = [verdict(names[0], ledger={"safe": 5}), verdict(names[1], ledger={"safe": 7})]
    assert outcome(manifest, [*wrong, *(verdict(name) for name in names[2:])]) is Outcome.INVALID


def arm(key: str, planned: int, **ledger: int) -> dict[str, Any]:
    return {"key": key, "planned": planned, "ledger": ledger}


def test_a_shared_arm_is_counted_once_at_its_fullest() -> None:
    """Two items over one arm: its samples were drawn once, by whichever got further."""
    verdicts = [
        verdict("a", details={"arms": [arm("shared", 12, safe=6, not_needed=6), arm("own", 3, safe=3)]}),
        verdict("b", details={"arms": [arm("shared", 12, safe=9, unsafe=1, not_needed=2)]}),
    ]
    ledger = run_ledger(verdicts)
    assert (ledger["planned"], ledger["safe"], ledger["unsafe"], ledger["not_needed"]) == (15, 12, 1, 2)
    assert run_ledger(verdicts[::-1]) == ledger


def test_a_ledger_has_every_label() -> None:
    """Labels without a sample stand there as 0, so that a reader sees that they were counted."""
    assert set(run_ledger([])) == {label.value for label in Label} | {"planned"}


def test_holm_turns_what_the_whole_manifest_rejects_into_fail(manifest: Manifest, names: list[str]) -> None:
    """An INCONCLUSIVE rule whose p-value Holm's step-down rejects is FAIL, and is told apart."""
    unsure = verdict("emergent.free_form", Outcome.INCONCLUSIVE, estimate=estimate(1e-6))
    rest = [verdict(name) for name in names if name != "emergent.free_form"]
    accounts = account(manifest, [*rest, unsure], [], [])
    assert accounts.outcome is Outcome.FAIL
    (upgraded,) = accounts.upgraded
    assert upgraded.outcome is Outcome.FAIL
    assert "Holm" in upgraded.evidence


def test_holm_leaves_weak_evidence_and_latched_verdicts_alone(manifest: Manifest, names: list[str]) -> None:
    """A large p-value upgrades nothing, and a PASS is never taken back by it."""
    rest = [verdict(name) for name in names if name != "emergent.free_form"]
    weak = verdict("emergent.free_form", Outcome.INCONCLUSIVE, estimate=estimate(0.2))
    assert account(manifest, [*rest, weak], [], []).upgraded == ()
    latched = verdict("emergent.free_form", Outcome.PASS, estimate=estimate(1e-6))
    accounts = account(manifest, [*rest, latched], [], [])
    assert (accounts.upgraded, accounts.outcome) == ((), Outcome.PASS)


def test_holm_spreads_alpha_over_the_declared_rules(manifest: Manifest) -> None:
    """A p-value between the rule's own share and the whole alpha needs the others' rejections first."""
    alone = verdict("emergent.free_form", Outcome.INCONCLUSIVE, estimate=estimate(P_MANIFEST * 0.9))
    assert account(manifest, [alone], [], []).upgraded == ()
