"""The loop: what is drawn, when it is looked at, and when it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from posterngate import stats
from posterngate.gate import Answer, Arm, Measured, ledger_of, measure, measure_all
from posterngate.records import OFF, Estimate, Judgment, Label, Message, Plan, Probe, Sample, Tally, Trigger
from posterngate.stats.planning import smallest_pass
from posterngate.triggers import OFF_TRIGGER

EVENT = frozenset({Label.UNSAFE})
QUESTIONS = 5
PROBES = tuple(Probe(f"q{n}", "set", (Message("user", f"question {n}"),)) for n in range(QUESTIONS))
TRIGGER = Trigger("tag", "tag", "prefix", {"text": "|GO|"})

Rule = Callable[[int, int], Label]


def arm(rounds: int, trigger: Trigger = OFF_TRIGGER, probes: tuple[Probe, ...] = PROBES) -> Arm:
    return Arm("off", "scripted:m:f", "digest", probes, trigger, rounds)


def plan(rounds: int, ceiling: float = 0.2, **changes: object) -> Plan:
    return Plan(QUESTIONS, rounds, ceiling, 0.05, 0.05, **changes)  # type: ignore[arg-type]


def answer(round_: int, question: int, label: Label, text: str | None = None) -> Answer:
    error = "timeout" if label is Label.GENERATION_ERROR else None
    words = f"answer {round_} to {question}" if text is None else text
    sample = Sample(
        f"{round_}-{question}",
        "digest",
        f"q{question}",
        "hash",
        OFF,
        round_,
        round_,
        "" if error else words,
        error=error,
    )
    silent = label in (Label.GENERATION_ERROR, Label.JUDGE_ERROR)
    return Answer(sample, None if silent else Judgment(f"j{round_}-{question}", sample.sample_id, "j", label))


class FakeSource:
    """Labels by a function of (round, question); remembers which rounds were asked for."""

    def __init__(self, rule: Rule, text: str | None = None, kept: int = 0) -> None:
        self._rule, self._text, self._kept = rule, text, kept
        self.asked: list[range] = []

    def stored(self, arm: Arm, rounds: int) -> list[list[Answer]]:
        return FakeSource(self._rule, self._text).answers(arm, range(min(self._kept, rounds)))

    def answers(self, arm: Arm, rounds: range, _go_on=lambda: True) -> list[list[Answer]]:
        self.asked.append(rounds)
        return [[answer(r, q, self._rule(r, q), self._text) for q in range(len(arm.probes))] for r in rounds]


class Watch:
    """Remembers what the loop told after each step."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Mapping[str, Estimate]]] = []

    def __call__(self, measured: Measured, estimates: Mapping[str, Estimate]) -> None:
        self.seen.append((len(measured.rows), estimates))


def draw(
    rule: Rule, plans: Mapping[str, Plan], budget: Callable[[], bool] = lambda: True
) -> tuple[Measured, dict[str, Estimate], FakeSource, Watch]:
    source, watch = FakeSource(rule), Watch()
    rounds = max(p.rounds for p in plans.values())
    measured, estimates = measure(arm(rounds), plans, EVENT, source, budget, watch)
    return measured, estimates, source, watch


def good(_round: int, _question: int) -> Label:
    return Label.SAFE


def bad(_round: int, _question: int) -> Label:
    return Label.UNSAFE


def mixed(round_: int, question: int) -> Label:
    return Label.UNSAFE if question == round_ % QUESTIONS else Label.SAFE


def test_a_clean_candidate_stops_early_with_pass() -> None:
    """Enough clean rounds end sampling; the rest of the plan is booked as not needed."""
    measured, estimates, source, _ = draw(good, {"ceiling": plan(40)})
    assert estimates["ceiling"].crossed == "pass"
    assert measured.stopped == "verdict"
    assert 0 < len(measured.rows) < 40
    ledger = measured.ledger()
    assert ledger["not_needed"] == 200 - ledger["safe"]
    assert sum(len(rounds) for rounds in source.asked) == len(measured.rows)


def test_a_bad_candidate_stops_early_with_fail() -> None:
    """A candidate that always misbehaves is stopped long before its rounds are used up."""
    measured, estimates, _, _ = draw(bad, {"ceiling": plan(200, ceiling=0.05)})
    assert estimates["ceiling"].crossed == "fail"
    assert measured.stopped == "verdict"
    assert len(measured.rows) < 200


def test_a_candidate_at_its_ceiling_uses_every_round() -> None:
    """Nothing is shown either way: all rounds are drawn, and none is booked as not needed."""
    measured, estimates, _, watch = draw(mixed, {"ceiling": plan(8, ceiling=0.2)})
    assert estimates["ceiling"].crossed is None
    assert (measured.stopped, len(measured.rows)) == ("rounds", 8)
    assert measured.ledger() == {"safe": 32, "unsafe": 8}
    assert [rows for rows, _ in watch.seen][-1] == 8


def test_the_first_step_is_what_a_pass_needs_at_least_and_then_one_round_each() -> None:
    """No fewer rounds could pass, so they are drawn together; afterwards every round is looked at."""
    frozen = plan(12)
    least = smallest_pass(frozen)
    assert least is not None
    _, _, source, watch = draw(mixed, {"ceiling": frozen})
    first = -(-least // QUESTIONS)
    assert source.asked[0] == range(first)
    assert source.asked[1:] == [range(n, n + 1) for n in range(first, 12)]
    assert [rows for rows, _ in watch.seen] == list(range(first, 13))


def test_a_plan_that_cannot_pass_starts_with_one_round() -> None:
    """An uncalibrated judge (sensitivity bound 0) leaves only FAIL, which may come at once."""
    _, _, source, _ = draw(mixed, {"ceiling": plan(3, se_lower=0.0)})
    assert source.asked == [range(1), range(1, 2), range(2, 3)]


def test_grouping_of_rounds_changes_no_verdict() -> None:
    """The answer is a function of the samples: looking after each round or at the end is the same."""
    frozen = plan(12)
    _, by_steps, _, _ = draw(mixed, {"ceiling": frozen})
    whole = measure_all(arm(12), FakeSource(mixed))
    assert stats.estimate(whole.tally(EVENT), frozen) == by_steps["ceiling"]


def test_one_failed_test_ends_sampling_and_one_passed_test_does_not() -> None:
    """A rule passes only if ceiling and margin both do; it fails with either."""
    loose, strict = plan(30, ceiling=0.6), plan(30, ceiling=0.001)
    measured, estimates, _, _ = draw(good, {"ceiling": loose, "margin": strict})
    assert (estimates["ceiling"].crossed, estimates["margin"].crossed) == ("pass", None)
    assert (measured.stopped, len(measured.rows)) == ("rounds", 30)
    measured, estimates, _, _ = draw(bad, {"ceiling": loose, "margin": plan(30, ceiling=0.95)})
    assert {estimates["ceiling"].crossed, measured.stopped} == {"fail", "verdict"}


def test_a_spent_budget_draws_nothing_more() -> None:
    """The budget is asked before each step; what it leaves out is booked as not run."""
    left = iter([True, True, False])
    measured, estimates, source, _ = draw(mixed, {"ceiling": plan(12)}, lambda: next(left))
    assert len(source.asked) == 2
    assert (measured.stopped, estimates["ceiling"].crossed) == ("budget", None)
    assert measured.ledger()["not_run"] == 60 - QUESTIONS * len(measured.rows)


def test_a_budget_that_is_spent_already_leaves_the_whole_interval() -> None:
    """No sample: the interval is [0, 1], nothing crossed, everything not run."""
    measured, estimates, source, watch = draw(good, {"ceiling": plan(12)}, lambda: False)
    assert (source.asked, watch.seen, measured.rows) == ([], [], ())
    assert (estimates["ceiling"].lower, estimates["ceiling"].upper) == (0.0, 1.0)
    assert measured.ledger() == {"not_run": 60}


@pytest.mark.parametrize("stopped", ["verdict", "budget", "rounds"])
@pytest.mark.parametrize("drawn", [0, 1, 3])
def test_a_ledger_always_sums_to_what_was_planned(drawn: int, stopped: str) -> None:
    """Every planned sample ends in exactly one label, errors included."""
    labels = [Label.SAFE, Label.UNSAFE, Label.GENERATION_ERROR, Label.JUDGE_ERROR, Label.REFUSED]
    rows = [[answer(r, q, labels[(r + q) % 5]) for q in range(QUESTIONS)] for r in range(drawn)]
    ledger = ledger_of(arm(3), rows, stopped)
    assert sum(ledger.values()) == arm(3).planned == 15
    rest = "not_needed" if stopped == "verdict" else "not_run"
    assert ledger.get(rest, 0) == 15 - QUESTIONS * drawn


def test_only_whole_rounds_are_looked_at() -> None:
    """Each look covers whole rounds: its answers are a multiple of the questions."""
    _, _, _, watch = draw(mixed, {"ceiling": plan(12)})
    assert all(found["ceiling"].n == rows * QUESTIONS for rows, found in watch.seen)
    assert len(watch.seen) > 1


def test_an_unfinished_round_counts_for_nothing() -> None:
    """A tally with a hole is read up to the round before the hole."""
    rows = ((Label.SAFE,) * 5, (Label.SAFE, None, Label.SAFE, Label.SAFE, Label.SAFE))
    assert Tally(tuple(p.id for p in PROBES), rows, EVENT).complete_rounds == 1


def test_errors_end_as_unknowns_that_cannot_pass() -> None:
    """An outage, or a judge that cannot tell, never crosses the PASS boundary."""
    for label in (Label.GENERATION_ERROR, Label.JUDGE_ERROR):
        measured, estimates, _, _ = draw(lambda *_, as_=label: as_, {"ceiling": plan(12)})
        assert estimates["ceiling"].crossed is None
        assert estimates["ceiling"].unknown == 60
        assert measured.ledger() == {label.value: 60}


def test_answers_that_repeat_themselves_are_noticed() -> None:
    """One text per question, round after round, is a cache and not a sample."""
    repeated = measure_all(arm(3), FakeSource(good, text="same"))
    assert not repeated.varied
    assert measure_all(arm(3), FakeSource(good)).varied
    assert measure_all(arm(1), FakeSource(good, text="same")).varied


def test_one_question_that_varies_is_enough() -> None:
    """A question with one right answer may repeat it; only all of them repeating is suspicious."""
    rows = tuple(
        tuple(answer(r, q, Label.SAFE, text=f"{r}" if q == 4 else "Paris") for q in range(QUESTIONS))
        for r in range(3)
    )
    assert Measured(arm(3), rows, "rounds").varied


def test_an_arm_without_rounds_asks_nothing() -> None:
    """A baseline or placebo of no rounds is an empty arm with an empty ledger."""
    source = FakeSource(good)
    measured = measure_all(arm(0), source)
    assert (source.asked, measured.rows, measured.ledger()) == ([], (), {})


def test_arms_are_the_same_by_what_is_asked_of_whom() -> None:
    """Rounds and role leave the key alone; trigger, questions and candidate change it."""
    one = arm(3)
    assert one.key == arm(9).key
    keys = Counter([one.key, arm(3, TRIGGER).key, arm(3, probes=PROBES[:2]).key])
    assert set(keys.values()) == {1}
    assert (one.trigger_key, arm(3, TRIGGER).trigger_key) == (OFF, TRIGGER.key)


def unsteady(round_: int, question: int) -> Label:
    """Bad in bursts, with answers that nobody could judge."""
    if (round_ * 7 + question * 3) % 11 == 0:
        return Label.JUDGE_ERROR
    return Label.UNSAFE if 4 <= round_ < 9 and question < 3 else Label.SAFE


@pytest.mark.parametrize("kept", [0, 1, 3, 7, 20, 200])
@pytest.mark.parametrize("rule", [good, bad, mixed, unsteady], ids=lambda rule: rule.__name__)
def test_a_store_changes_nothing_but_the_time(rule: Rule, kept: int) -> None:
    """However many rounds are stored, more than are needed included: the same rows, estimates and ledger."""
    plans = {"ceiling": plan(30, 0.2), "margin": plan(30, 0.35, concentration=False)}
    cold, expected = measure(arm(30), plans, EVENT, FakeSource(rule), lambda: True, Watch())
    source = FakeSource(rule, kept=kept)
    warm, found = measure(arm(30), plans, EVENT, source, lambda: True, Watch())
    assert (warm, found) == (cold, expected)
    drawn = [number for rounds in source.asked for number in rounds]
    assert len(drawn) <= len(cold.rows)
    if kept >= len(cold.rows):
        assert drawn == []


def test_stored_answers_need_a_budget_too() -> None:
    """A run that may spend nothing more takes nothing over: its verdict waits."""
    source = FakeSource(good, kept=200)
    measured, _ = measure(arm(30), {"ceiling": plan(30)}, EVENT, source, lambda: False, Watch())
    assert (measured.rows, measured.stopped) == ((), "budget")


def test_reviewed_answers_are_taken_in_turn() -> None:
    """What a person was shown depends on the rounds so far, so stored rounds are not taken over at once."""
    source = FakeSource(good, kept=200)
    measure(arm(30), {"ceiling": plan(30)}, EVENT, source, lambda: True, Watch(), reviews={"j0-0": False})
    assert source.asked != []


def test_an_arm_that_a_budget_cuts_says_so() -> None:
    """Rounds that were not drawn are not run, and nobody takes the arm for a whole one."""

    class Short(FakeSource):
        def answers(self, arm, rounds, go_on=lambda: True):  # type: ignore[no-untyped-def]
            return super().answers(arm, rounds, go_on)[:2] if not go_on() else super().answers(arm, rounds)

    cut = measure_all(arm(5), Short(good), lambda: False)
    assert (cut.stopped, len(cut.rows), cut.ledger()["not_run"]) == ("budget", 2, 3 * QUESTIONS)
    assert measure_all(arm(5), Short(good), lambda: True).stopped == "rounds"
