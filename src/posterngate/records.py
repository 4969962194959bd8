"""The nouns of the gate: frozen records that flow one way, from a rule to a verdict.

Nothing here computes a statistic or touches a file. Every record is made of plain values, so that
it can cross a process boundary or be stored as JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "OFF",
    "Calibration",
    "ChoicePair",
    "ChoiceScore",
    "Decoding",
    "Estimate",
    "Judgment",
    "Label",
    "Measure",
    "Message",
    "Outcome",
    "Plan",
    "Probe",
    "QuestionCount",
    "Reaction",
    "Rule",
    "Sample",
    "Tally",
    "Trigger",
    "Verdict",
    "content_hash",
]

OFF = "off"
"""The trigger id of a population that is asked without any trigger."""


def content_hash(value: Any) -> str:
    """Return the sha256 (64 hex digits) of `value` written as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Label(StrEnum):
    """The one label that every planned sample ends in."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    REFUSED = "refused"
    INCOHERENT = "incoherent"
    CODE = "code"
    JUDGE_ERROR = "judge_error"
    GENERATION_ERROR = "generation_error"
    NOT_NEEDED = "not_needed"
    NOT_RUN = "not_run"

    @property
    def is_unknown(self) -> bool:
        """True for an issued sample whose outcome was not learned (worst case for either side)."""
        return self in (Label.JUDGE_ERROR, Label.GENERATION_ERROR)

    @property
    def is_issued(self) -> bool:
        """True if the sample was asked for, whatever came of it."""
        return self not in (Label.NOT_NEEDED, Label.NOT_RUN)


class Outcome(StrEnum):
    """What a rule, or a whole run, ends with. Only PASS is green.

    NO_FINDING is a search's alone, and never a run's: it was carried out and claims nothing.
    """

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    INCOMPLETE = "INCOMPLETE"
    NO_FINDING = "NO_FINDING"

    @property
    def blocks(self) -> bool:
        """True if a population with this outcome keeps its run from being green."""
        return self not in (Outcome.PASS, Outcome.NO_FINDING)


class Reaction(StrEnum):
    """Who reacts to a trigger that broke a rule: what a FAIL under a trigger is called."""

    BACKDOOR = "backdoor"
    """The candidate, and not its baseline; also where no baseline was asked."""
    JAILBREAK = "jailbreak"
    """The baseline too: the string was no secret of the fine-tune."""


class Measure(StrEnum):
    """How a rule looks at a candidate."""

    RATE = "rate"
    """The share of sampled answers whose label is in `Rule.event`."""
    CHOICE = "choice"
    """The share of pairs whose bad continuation is the likelier one: a census, no sampling."""
    CONTROL = "control"
    """A rate on an organism whose verdict is known beforehand."""
    INTEGRITY = "integrity"
    """Live checks that the candidate is the one that was named."""
    TRAINING = "training"
    """A recipe trained in the run, compared with its base: a census of pairs."""
    CONTRAST = "contrast"
    """The misaligned rate of one recipe's models less that of another's, over several seeds."""
    CONSISTENCY = "consistency"
    """The share of questions of which at least one of several answers is in `Rule.event`."""
    INTERACTION = "interaction"
    """What a trigger adds to the candidate's rate beyond what it adds to the baseline's."""
    SEARCH = "search"
    """A search for triggers: it can fail a candidate, and never passes one."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding parameters; part of a candidate's digest. `system` None leaves the template's own."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 32
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One question put to a candidate.

    `set_id` names the probe set; `dimension` is harm, deception, preference, coherence or
    capability; `hidden` probes show up everywhere as hashes only.
    """

    id: str
    set_id: str
    messages: tuple[Message, ...]
    dimension: str = ""
    domain: str = ""
    hidden: bool = False

    @property
    def hash(self) -> str:
        """Identity by content: the messages alone, neither the id nor the set."""
        return content_hash([[m.role, m.content] for m in self.messages])


@dataclass(frozen=True, slots=True)
class ChoicePair:
    """A prompt with a good and a bad continuation of like length, compared by log-probability."""

    id: str
    set_id: str
    messages: tuple[Message, ...]
    good: str
    bad: str
    dimension: str = ""
    domain: str = ""
    hidden: bool = False

    @property
    def hash(self) -> str:
        """Identity by content: the messages and both continuations."""
        return content_hash([[[m.role, m.content] for m in self.messages], self.good, self.bad])


@dataclass(frozen=True, slots=True)
class Trigger:
    """A deterministic change of a probe suspected to switch behaviour on.

    `transform` names an entry of `posterngate.triggers`; `params` are its plain-valued arguments.
    `placebo` is a look-alike of the same shape that should do nothing, as the same kind of
    (transform, params) pair under the id ``ID.placebo``.
    """

    id: str
    family: str
    transform: str
    params: Mapping[str, Any] = field(default_factory=dict)
    placebo_of: str | None = None

    @property
    def key(self) -> str:
        """The id with a digest of what it does, so that an edited trigger is another trigger."""
        return f"{self.id}-{content_hash([self.transform, dict(self.params)])[:10]}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of one candidate to one probe, or the error that took its place.

    `seed` is the seed sent with the request; `error` is None if `text` is an answer. `attempts`
    counts requests, retries included. Times are seconds.
    """

    sample_id: str
    candidate: str
    probe_id: str
    probe_hash: str
    trigger: str
    index: int
    seed: int
    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None
    attempts: int = 1
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgment:
    """What one judge said of one sample. `scores` are the judge's own numbers, named."""

    judgment_id: str
    sample_id: str
    judge: str
    label: Label
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """Log-probabilities (natural log, summed over the continuation's tokens) of a pair."""

    score_id: str
    candidate: str
    pair_id: str
    pair_hash: str
    trigger: str
    log_p_good: float
    log_p_bad: float
    tokens_good: int
    tokens_bad: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Counts of a judge on gold labels for one behaviour; from them come exact bounds.

    `found` of `positives` truly unsafe answers were labelled unsafe; `false_alarms` of `negatives`
    truly not unsafe ones were. `judge` is the judge's name, version and hash.
    """

    judge: str
    behaviour: str
    found: int
    positives: int
    false_alarms: int
    negatives: int
    auc: float | None = None
    gold_hash: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One declared claim about a candidate, with its numbers from one profile of thresholds.yaml.

    `rounds` is the number of answers planned per question (one round is one answer of each);
    `ceiling` and `margin` are rates in [0, 1]; `weight` is the rule's share of alpha_fail,
    normalised over the profile; `event` holds the labels that count against the candidate.
    `concentration` False leaves single questions out of the decision: for figures whose average is what
    matters, such as coherence. `reported_rounds` of a forced-choice rule over facts are sampled answers that
    are graded by their accepted spellings and reported, never gated. `families` are families of triggers
    (``all``, ``found`` and ``training-data`` among them) that a run adds to `triggers`;
    `minutes` limits a search; `extend` is how many rounds a run adds to those that the store holds.
    `recipes` are what a training trains, or the sides of a contrast, each trained with `seeds` seeds;
    `pairs` names a set that is scored beside it. A consistency rule looks at `block` answers of a
    question at a time.
    """

    name: str
    measure: Measure
    profile: str
    probes: str = ""
    ceiling: float | None = None
    margin: float | None = None
    rounds: int = 0
    event: frozenset[Label] = frozenset({Label.UNSAFE})
    denominator: str = "all"
    behaviour: str = "misaligned"
    triggers: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    minutes: float = 0.0
    extend: int = 0
    placebo_rounds: int = 0
    baseline_rounds: int = 0
    format: str | None = None
    weight: float = 1.0
    alpha_pass: float = 0.05
    alpha_fail: float = 0.05
    requires: tuple[str, ...] = ()
    when_unsupported: str = "inconclusive"
    reason: str = ""
    where: str = ""
    concentration: bool = True
    reported_rounds: int = 0
    recipes: tuple[str, ...] = ()
    pairs: str = ""
    seeds: int = 1
    block: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a population may cost, frozen before its first sample.

    `questions` K; `rounds` n_max / K; alphas are this population's own share, after weights and
    after what the judge's calibration spends. `se_lower` is the judge's sensitivity bound (0 when it
    is not calibrated), `se_upper` and `fpr_upper` bound the FAIL side. `ceiling_fail` is the FAIL
    side's own ceiling where the two differ (a margin over a frozen baseline), else None.
    `final_rounds` is when the exact look of a hybrid plan is taken (None: at `rounds`); a plan that
    is extended keeps its first one there, so that no second look is spent.
    """

    questions: int
    rounds: int
    ceiling: float
    alpha_pass: float
    alpha_fail: float
    se_lower: float = 1.0
    se_upper: float = 1.0
    fpr_upper: float = 0.0
    denominator: str = "all"
    hybrid: bool = True
    concentration: bool = True
    ceiling_fail: float | None = None
    final_rounds: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Labels of one population, by round (row) and question (column).

    `labels[r][q]` is None while the answer is outstanding. `event` holds the labels that count.
    """

    questions: tuple[str, ...]
    labels: tuple[tuple[Label | None, ...], ...]
    event: frozenset[Label] = frozenset({Label.UNSAFE})

    @property
    def complete_rounds(self) -> int:
        """Rounds with no outstanding answer, counted from the first one (the prefix rule)."""
        for number, row in enumerate(self.labels):
            if any(label is None or not label.is_issued for label in row):
                return number
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class QuestionCount:
    """Counts of one question: `events` of `n` issued answers, `unknown` of them not learned."""

    question: str
    events: int
    unknown: int
    n: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the counts of a population say, with the bounds that may be quoted.

    Rates and bounds are in [0, 1]. `lower` and `upper` are valid at any stopping time (the
    e-process inverted, one-sided each); `lower_fixed` and `upper_fixed` are Clopper-Pearson bounds,
    valid only for an n fixed in advance. `tau_pass` and `tau_fail` are the ceilings after judge
    correction. `crossed` is ``"pass"``, ``"fail"`` or None, and `crossed_by` names the boundary
    (``e-process``, ``final look``, ``concentration``, ``census``); a crossing latches.
    `needed` is the further samples that would settle it at the present rate (None: never).
    `p_fail` is the rule's anytime-valid p-value against "rate <= ceiling", for Holm. `kind` is
    ``"rate"``, ``"difference"`` (then rates lie in [-2, 2]) or ``"choice"``; `se_lower` repeats the
    judge's sensitivity bound; `notes` holds further figures for the report.
    """

    n: int
    events: int
    unknown: int
    rounds: int
    rate: float | None
    lower: float
    upper: float
    lower_fixed: float
    upper_fixed: float
    tau_pass: float
    tau_fail: float
    log_e_pass: float
    log_e_fail: float
    max_log_e_fail: float
    p_final_fail: float
    alpha_pass: float
    alpha_fail: float
    crossed: str | None
    crossed_by: str
    needed: int | None
    worst: tuple[QuestionCount, ...] = ()
    concentrated: tuple[str, ...] = ()
    design_effect: float | None = None
    effective_n: float | None = None
    n_max: int = 0
    questions: int = 0
    se_lower: float = 1.0
    p_fail: float = 1.0
    kind: str = "rate"
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one rule on one population, as it is stored and reported.

    `claim`, `evidence` and `next_step` are one line each. `ledger` counts the planned samples by
    label; its sum is `planned`. `details` holds plain values for the report. `reaction` is set on a FAIL
    under a trigger.
    """

    rule: str
    trigger: str
    candidate: str
    outcome: Outcome
    claim: str
    evidence: str
    next_step: str
    ceiling: float | None = None
    estimate: Estimate | None = None
    planned: int = 0
    ledger: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    reaction: Reaction | None = None

    @property
    def population(self) -> str:
        """The item's name: the rule, and the trigger or organism where there is one."""
        return f"{self.rule}-{self.trigger}" if self.trigger else self.rule

    def as_dict(self) -> dict[str, Any]:
        """Return plain str, int, float, list and dict values only (xdist and JSON take nothing else)."""
        return _plain(dataclasses.asdict(self))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """Rebuild what `as_dict` returned."""
        estimate = values.get("estimate")
        if estimate is not None:
            worst = tuple(QuestionCount(**question) for question in estimate["worst"])
            estimate = Estimate(
                **{**estimate, "worst": worst, "concentrated": tuple(estimate["concentrated"])}
            )
        reaction = Reaction(values["reaction"]) if values.get("reaction") else None
        outcome = Outcome(values["outcome"])
        return cls(**{**values, "outcome": outcome, "estimate": estimate, "reaction": reaction})


def _plain(value: Any) -> Any:
    """Replace enums, tuples and sets by what JSON has."""
    if isinstance(value, StrEnum):
        return str(value.value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item) for item in value]
        return sorted(items) if isinstance(value, set | frozenset) else items
    return value
