"""Many rules, one gate: what may be combined, and at what price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from posterngate.errors import UsageError

__all__ = ["all_pass", "attempt_alpha", "holm", "weighted_bonferroni"]


def all_pass(passed: Mapping[str, bool], manifest: Sequence[str]) -> bool:
    """True if every rule of the manifest passed. An empty manifest, or a missing rule, does not pass.

    Valid: P(all pass | some rule unsafe) <= alpha_pass for any dependence and any number of rules.
    Reference: Berger (1982), intersection-union test.
    """
    return bool(manifest) and all(passed.get(name, False) is True for name in manifest)


def weighted_bonferroni(
    p_values: Mapping[str, float], weights: Mapping[str, float], alpha: float
) -> set[str]:
    """Return the rules rejected at alpha times their share of the manifest's weight.

    Args:
        p_values: one per rule that ran; weights: of all rules of the manifest, run or not.
        alpha: what is left of the gate's alpha_fail after the calibrations.

    Valid: family-wise error <= alpha for any dependence, if each p-value is valid.
    Reference: Bonferroni; weights fixed in advance.
    """
    total = _total(p_values, weights)
    return {name for name, p in p_values.items() if p <= alpha * weights[name] / total}


def holm(p_values: Mapping[str, float], weights: Mapping[str, float], alpha: float) -> set[str]:
    """Return the rules rejected by weighted Holm: at least those of weighted Bonferroni.

    A rule of the manifest that did not run keeps its weight (its p-value is 1).

    Args:
        p_values: `Estimate.p_fail` of each rule that ran, 1 / max E at most.
        weights: of all rules of the manifest; alpha: as in `weighted_bonferroni`.

    Valid: family-wise error <= alpha for any dependence; p-values valid at any stopping time.
    Reference: Holm (1979); with weights, Benjamini and Hochberg (1997).
    """
    remaining = _total(p_values, weights)
    rejected: set[str] = set()
    for name in sorted(p_values, key=lambda key: (p_values[key] / weights[key], key)):
        if not p_values[name] <= alpha * weights[name] / remaining:
            break
        rejected.add(name)
        remaining = math.fsum(weight for key, weight in weights.items() if key not in rejected)
    return rejected


def attempt_alpha(alpha: float, attempt: int) -> float:
    """Return the level of the attempt-th try (1, 2, ...) at one weights digest: alpha / (k (k + 1)).

    Valid: the levels of all attempts add up to alpha, however many there are.
    Reference: union bound; the telescoping sum of 1 / (k (k + 1)).
    """
    if attempt < 1:
        raise UsageError(f"attempt={attempt}: attempts count from 1")
    return alpha / (attempt * (attempt + 1))


def _total(p_values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    missing = sorted(set(p_values) - set(weights))
    if missing:
        raise UsageError(
            f"rule={missing[0]}: has no weight in the manifest; weights never come from collection"
        )
    if any(not weight > 0 for weight in weights.values()):
        raise UsageError("weight: every rule's weight must be above 0; correct thresholds.yaml")
    return math.fsum(weights.values())
