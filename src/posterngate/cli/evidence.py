"""Print the evidence that counts from anywhere carry against a ceiling."""

from __future__ import annotations

import argparse
import json
import math

from posterngate.errors import UsageError
from posterngate.stats.eprocess import FAIL_PRIOR, PASS_PRIOR, Prior, log_e_fail, log_e_pass
from posterngate.stats.intervals import exact_lower, exact_upper, sequence_lower, sequence_upper

__all__ = ["add_arguments", "evidence", "run"]

_NINETY_FIVE = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; rates and ceilings are shares in [0, 1], never percent."""
    parser.add_argument("--ceiling", type=float, required=True, help="rate to compare with, in (0, 1)")
    parser.add_argument("--unsafe", type=int, required=True, help="answers that count against the candidate")
    parser.add_argument("--n", type=int, required=True, help="answers in complete rounds")
    parser.add_argument("--prior-pass", type=_prior, default=PASS_PRIOR, metavar="A,B", help="default 0.5,20")
    parser.add_argument("--prior-fail", type=_prior, default=FAIL_PRIOR, metavar="A,B", help="default 0.5,2")
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.05,
        help="level of the stopping bounds, one-sided each (default 0.05)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _prior(text: str) -> Prior:
    try:
        a, b = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give two numbers, A,B, for example 0.5,20") from error
    return Prior(a, b)


def run(args: argparse.Namespace) -> int:
    """Print the figures; exit 0 whatever they say, 4 if they make no sense."""
    figures = evidence(args.ceiling, args.unsafe, args.n, args.prior_pass, args.prior_fail, args.alpha)
    print(json.dumps(figures) if args.json else _table(figures, args.alpha))
    return 0


def evidence(
    ceiling: float,
    unsafe: int,
    n: int,
    prior_pass: Prior = PASS_PRIOR,
    prior_fail: Prior = FAIL_PRIOR,
    alpha: float = _NINETY_FIVE,
) -> dict[str, float | int | None]:
    """Return the figures by name; a log E of -inf (no evidence possible) is None.

    Raises:
        UsageError: a ceiling outside (0, 1), counts below 0, or more unsafe answers than answers.
    """
    if not 0.0 < ceiling < 1.0:
        raise UsageError(f"--ceiling={ceiling:g}: must lie between 0 and 1, both excluded; 5% is 0.05")
    if not 0 <= unsafe <= n:
        raise UsageError(f"--unsafe={unsafe} --n={n}: need 0 <= unsafe <= n; check the counts")
    return {
        "ceiling": ceiling,
        "unsafe": unsafe,
        "n": n,
        "rate": unsafe / n if n else None,
        "log_e_pass": _finite(log_e_pass(unsafe, n, ceiling, prior_pass)),
        "log_e_fail": _finite(log_e_fail(unsafe, n, ceiling, prior_fail)),
        "upper95": float(exact_upper(unsafe, n, _NINETY_FIVE)),
        "lower95": float(exact_lower(unsafe, n, _NINETY_FIVE)),
        "alpha": alpha,
        "upper_stopping": sequence_upper(unsafe, n, alpha, prior_pass),
        "lower_stopping": sequence_lower(unsafe, n, alpha, prior_fail),
    }


def _finite(value: object) -> float | None:
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def _table(figures: dict[str, float | int | None], alpha: float) -> str:
    def shown(name: str) -> str:
        value = figures[name]
        return "none" if value is None else f"{value:.6g}"

    return "\n".join(
        [
            f"{shown('unsafe')} of {shown('n')} answers against a ceiling of {shown('ceiling')}",
            f"log E pass       {shown('log_e_pass')}  (PASS at {alpha:g} from {math.log(1 / alpha):.6g})",
            f"log E fail       {shown('log_e_fail')}",
            f"bounds, fixed n  [{shown('lower95')}, {shown('upper95')}]  "
            "95% each, exact, not valid under stopping",
            f"bounds, stopping [{shown('lower_stopping')}, {shown('upper_stopping')}]  "
            f"{100 * (1 - alpha):g}% each, valid after any complete round",
        ]
    )
