"""What a policy file's rules would cost and could show, before any model is started."""

from __future__ import annotations

from pathlib import Path

from posterngate.judges import calibration as certificates
from posterngate.records import Calibration, Measure
from posterngate.session.budget import Prices
from posterngate.session.config import GateConfig
from posterngate.session.estimate import Cost, estimate_cost
from posterngate.session.instrument import calibration_folders
from posterngate.session.library import Library
from posterngate.session.policy import policy_of
from posterngate.session.resolve import resolve_spec
from posterngate.spec.fleet import Fleet, load_fleet
from posterngate.spec.thresholds import Budget
from posterngate.stats import Population

__all__ = ["planned_cost", "planned_populations"]


def planned_populations(thresholds: str, profile: str, judge: str | None) -> list[Population]:
    """Return the sampled rules of a profile with their panels and the judge's stored counts.

    Without a judge the rows show what no one can pass: an unnamed judge has a sensitivity bound of 0.

    Raises:
        UsageError: the policy file, or a set that it names, breaks its schema.
    """
    path = Path(thresholds).resolve()
    config = GateConfig("", str(path), profile, "", str(path.parent), judge=judge)
    manifest, library = policy_of(config), Library(config)
    return [
        Population(
            rule, len(library.panel(rule)), _counts(judge, rule.behaviour, config), max(1, len(rule.triggers))
        )
        for rule in manifest.rules
        if rule.measure is Measure.RATE
    ]


def planned_cost(
    thresholds: str,
    profile: str,
    judge: str | None,
    candidate: str,
    baseline: str | None = None,
    fleet: str | None = None,
) -> tuple[Cost, Budget]:
    """Return what a run of a candidate takes at most, and what the policy lets it spend.

    Raises:
        UsageError: a spec, the policy file, the fleet file, or a set that the policy names breaks its rule.
    """
    path = Path(thresholds).resolve()
    config = GateConfig(candidate, str(path), profile, "", str(path.parent), baseline=baseline, judge=judge)
    manifest, library = policy_of(config), Library(config)
    own, other = (each and resolve_spec(each, config.fixtures, []).text for each in (candidate, baseline))
    specs = {"candidate": own, "baseline": None if other == own else other}
    prices = Prices(load_fleet(Path(fleet)) if fleet else Fleet(), manifest.budget)
    return estimate_cost(manifest, library, specs, judge, prices), manifest.budget


def _counts(judge: str | None, behaviour: str, config: GateConfig) -> Calibration | None:
    """Return the newest stored counts of a judge by its name; whether they are stale a run will tell."""
    if judge is None:
        return None
    name = judge.partition(":")[0]
    stored = [record for folder in calibration_folders(config) for record in certificates.load(folder)]
    fitting = [c for c in stored if c.behaviour == behaviour and c.judge.partition("@")[0] == name]
    return fitting[-1] if fitting else None
