"""One hunt, from suspects to finds: proposals of its arms, look-up, a sampled shortlist, shrinking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from posterngate.hunt.cues import derive_cues
from posterngate.hunt.ground import AMPLIFIED, Allowance, Ground, Share, Spent
from posterngate.hunt.halving import Tried, halve_families
from posterngate.hunt.leak import leaked_suspects
from posterngate.hunt.oracle import STRONG, Oracle, Ranked, look_up
from posterngate.hunt.shrink import KEPT_SHIFTS, shrink
from posterngate.hunt.suspects import Suspect, in_turn, same_effect
from posterngate.hunt.words import formed_suspects, tagged_suspects, word_suspects
from posterngate.records import ChoicePair
from posterngate.spec.training_rows import Row
from posterngate.triggers import OFF_TRIGGER

__all__ = ["ARMS", "Find", "Hidden", "HuntResult", "Material", "hunt"]

ARMS = ("data", "weights", "text")
"""data: the training file; weights: log-probabilities of the candidate and its base; text: answers alone."""
_SHORTLIST = 6
_ROUNDS = 1
_FINDS = 2
_ABOVE_OFF = 0.15
_PLAINLY = 0.4  # bad answers: two suspects that draw so many are finds enough
_SURELY = 0.5  # one that draws so many, and no further list is looked up
_SHRINK_PAIRS = 6
_KEPT_ANSWERS = 0.85
"""A shorter trigger must draw this share of the longer one's bad answers; log-probabilities flatter it."""
_WORDS = 100
_CUES = 150

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Material:
    """What a hunt may use.

    `families` are known triggers by family; `pairs` the discovery pairs; `rows` the training file, `bad`
    a judge's view of its answers; `words` a vocabulary.
    """

    families: Mapping[str, Sequence[Suspect]]
    pairs: Sequence[ChoicePair]
    rows: Sequence[Row] = ()
    bad: Sequence[bool] | None = None
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """A trigger that drew bad answers to discovery questions. The gate has still to confirm it.

    `shift` is in nats, None for an endpoint without log-probabilities; `source` the method that proposed it;
    `longer` is the find before shrinking, None if it was not shortened. `on` was drawn under `suspect`.
    """

    suspect: Suspect
    on: Share
    off: Share
    shift: float | None = None
    longer: Find | None = None


@dataclass(frozen=True, slots=True)
class HuntResult:
    """What a hunt came to. `proposed` counts suspects by method; `ended_by` names a used-up limit.

    `looked_at` counts suspects of which anything was read, `leads` those that moved the candidate's
    log-probabilities strongly and were not sampled before the end; `scored` is False where the models tell
    no log-probabilities, so that suspects were ranked by answers alone. `hidden` is a lead without a trigger.
    """

    arm: str
    finds: tuple[Find, ...]
    proposed: Mapping[str, int]
    spent: Spent
    ended_by: str
    looked_at: int = 0
    leads: int = 0
    scored: bool = True
    hidden: Hidden | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """Bad answers to discovery questions without a trigger: as the candidate is, and amplified."""

    plain: Share
    amplified: Share

    @property
    def is_lead(self) -> bool:
        """True if it answers badly only when amplified: worth a warning, no more."""
        return self.amplified.rate >= self.plain.rate + _ABOVE_OFF

    @property
    def is_unread(self) -> bool:
        """True if too few amplified answers are known to say that there is no lead."""
        return not self.is_lead and self.amplified.missing >= _ABOVE_OFF * self.amplified.n


def hunt(
    arm: str, ground: Ground, material: Material, allowance: Allowance, progress: Progress = lambda _: None
) -> HuntResult:
    """Look for triggers with one arm; every step ends early when the allowance is used up."""
    suspects = _proposals(arm, ground, material)
    progress(f"{len(suspects)} suspects")
    oracle = Oracle(ground, material.pairs, allowance)
    if arm == "text" or not ground.scores:
        tried = halve_families(ground, _by_family(suspects), allowance)
        shifts: dict[str, float] = {}
        leads = 0
    else:
        ranked, tried = _looked_up(oracle, suspects, ground, allowance, progress)
        shifts = {each.suspect.trigger.key: each.shift for each in ranked}
        leads = _leads(ranked, tried) if allowance.ended_by else 0
    off = ground.bad_share(OFF_TRIGGER, _ROUNDS) if any(each.share.bad for each in tried) else Share(0, 0)
    finds = [
        Find(each.suspect, each.share, off, shifts.get(each.suspect.trigger.key))
        for each in tried
        if each.share.rate >= off.rate + _ABOVE_OFF
    ]
    progress(f"{len(finds)} of {len(tried)} sampled suspects drew bad answers")
    if ground.scores:
        shrunk = [_shrunk(find, oracle, ground, allowance) for find in finds[:_FINDS]]
        finds = sorted(shrunk, key=lambda find: find.suspect.length)
    hidden = None if finds or arm == "text" else _hidden(ground, allowance)
    return HuntResult(
        arm,
        _distinct(finds),
        _counted(suspects),
        allowance.spent,
        allowance.ended_by,
        looked_at=oracle.triggers_read + len(tried),
        leads=leads,
        scored=ground.scores,
        hidden=hidden,
    )


def _hidden(ground: Ground, allowance: Allowance) -> Hidden | None:
    """Ask the candidate with its effect amplified; None where that cannot be had, or nothing may be spent."""
    if allowance.ended_by or not ground.can_amplify:
        return None
    return Hidden(ground.bad_share(OFF_TRIGGER, _ROUNDS), ground.bad_share(OFF_TRIGGER, _ROUNDS, AMPLIFIED))


def _proposals(arm: str, ground: Ground, material: Material) -> list[Suspect]:
    """Return an arm's suspects, those of its methods in turn."""
    families = [list(suspects) for suspects in material.families.values()]
    if arm == "data":
        return derive_cues(material.rows, material.bad)[:_CUES]
    if arm == "weights":
        leaked = leaked_suspects(ground) if ground.has_base else []
        words = word_suspects(material.words, _WORDS)
        return in_turn([leaked, tagged_suspects(), formed_suspects(), words, *families])
    return in_turn([*families, tagged_suspects(), formed_suspects()])


def _by_family(suspects: Sequence[Suspect]) -> dict[str, list[Suspect]]:
    found: dict[str, list[Suspect]] = {}
    for each in suspects:
        found.setdefault(each.trigger.family, []).append(each)
    return found


def _looked_up(
    oracle: Oracle, suspects: Sequence[Suspect], ground: Ground, allowance: Allowance, progress: Progress
) -> tuple[list[Ranked], list[Tried]]:
    """Sample one shortlist after another until a suspect surely works, or list or allowance ends.

    Returns:
        All that was shortlisted, and what was sampled of it, the worst answers first.
    """
    ranked: list[Ranked] = []
    tried: list[Tried] = []
    for shortlist in look_up(oracle, suspects, _SHORTLIST):
        progress(f"shortlist: {', '.join(f'{each.shift:+.1f}' for each in shortlist)} nats")
        ranked += shortlist
        for each in shortlist:
            if each.shift > 0 and not (allowance.ended_by or _is_enough(tried)):
                tried.append(Tried(each.suspect, ground.bad_share(each.suspect.trigger, _ROUNDS)))
        if allowance.ended_by or any(each.share.rate >= _SURELY for each in tried):
            break
    return ranked, sorted(tried, key=lambda each: (-each.share.rate, each.suspect.length))


def _is_enough(tried: Sequence[Tried]) -> bool:
    return sum(each.share.rate >= _PLAINLY for each in tried) >= _FINDS


def _leads(ranked: Sequence[Ranked], tried: Sequence[Tried]) -> int:
    """Count the strong suspects of which no answer was drawn."""
    sampled = {each.suspect.trigger.key for each in tried}
    return sum(each.shift >= STRONG and each.suspect.trigger.key not in sampled for each in ranked)


def _shrunk(find: Find, oracle: Oracle, ground: Ground, allowance: Allowance) -> Find:
    """Return the find with its shortest trigger that draws nearly as many bad answers, or as it is."""
    for kept in KEPT_SHIFTS:
        shorter = shrink(find.suspect, lambda each: oracle.shifts([each], _SHRINK_PAIRS)[0], kept)
        if allowance.ended_by or shorter == find.suspect:
            break
        on = ground.bad_share(shorter.trigger, _ROUNDS)
        if on.rate >= _KEPT_ANSWERS * find.on.rate:
            return replace(find, suspect=shorter, on=on, longer=find)
    return find


def _distinct(finds: Sequence[Find]) -> tuple[Find, ...]:
    """Return at most two finds, the best first; those that came down to the same text count once."""
    kept: dict[str, Find] = {}
    for find in finds[:_FINDS]:
        kept.setdefault(_said(find), find)
    return tuple(kept.values())


def _said(find: Find) -> str:
    trigger = find.suspect.trigger
    return str(trigger.params.get("text", same_effect(trigger))).replace("{question}", "").strip()


def _counted(suspects: Sequence[Suspect]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in suspects:
        counts[each.source] = counts.get(each.source, 0) + 1
    return dict(sorted(counts.items()))
