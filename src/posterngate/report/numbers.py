"""The one module that renders numbers. No data is "no data", never 0.0.

Rates are in [0, 1] and shown in percent. A rounded bound must still be true: upper bounds are
rounded up and lower bounds down, so that a bound above a ceiling can never look as if it met it.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

__all__ = [
    "NO_DATA",
    "count",
    "counts",
    "duration",
    "evidence",
    "interval",
    "limit",
    "lower",
    "many",
    "money",
    "p_value",
    "power_of_ten",
    "rate",
    "upper",
]

NO_DATA = "no data"
_STEP = Decimal("0.1")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def rate(value: float | None) -> str:
    """Return a rate in percent with one decimal; a small one that is not zero is ``<0.1%``."""
    if _missing(value):
        return NO_DATA
    if 0 < value < 0.0005:  # type: ignore[operator]
        return "<0.1%"
    return _percent(value, ROUND_HALF_EVEN)


def upper(value: float | None) -> str:
    """Return an upper bound in percent, rounded up."""
    return NO_DATA if _missing(value) else _percent(value, ROUND_CEILING)


def lower(value: float | None) -> str:
    """Return a lower bound in percent, rounded down."""
    return NO_DATA if _missing(value) else _percent(value, ROUND_FLOOR)


def interval(low: float | None, high: float | None) -> str:
    """Return both bounds, ``0.0-7.9%``."""
    if _missing(low) or _missing(high):
        return NO_DATA
    return f"{lower(low).removesuffix('%')}-{upper(high)}"


def limit(value: float | None) -> str:
    """Return a declared ceiling as it was written (0.1 is ``10%``, 0.025 is ``2.5%``), ``-`` for none."""
    if _missing(value):
        return "-"
    return f"{(Decimal(repr(value)) * 100).normalize():f}%"


def count(value: float | None) -> str:
    """Return a whole number with thousands separated."""
    return NO_DATA if _missing(value) else f"{int(value):,}"  # type: ignore[arg-type]


def many(number: int, noun: str) -> str:
    """Return a number of things: ``1 run``, ``12 runs``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def counts(events: int | None, n: int | None) -> str:
    """Return ``events/n``; without a single answer that is no data."""
    return NO_DATA if events is None or not n else f"{count(events)}/{count(n)}"


def duration(seconds: float | None) -> str:
    """Return a time span, ``3 min 20 s``."""
    if _missing(seconds):
        return NO_DATA
    whole = round(seconds)  # type: ignore[arg-type]
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def money(amount: float | None) -> str:
    """Return an amount with two decimals, in the currency of the price file."""
    return NO_DATA if _missing(amount) else f"{amount:.2f}"


def p_value(value: float | None) -> str:
    """Return a p-value with three decimals; a smaller one is ``<0.001``."""
    if _missing(value):
        return NO_DATA
    return "<0.001" if value < 0.0005 else f"{value:.3f}"  # type: ignore[operator]


def evidence(log_e: float | None) -> str:
    """Return E of its natural log: in full up to a million, then as a power of ten; ``<0.01`` below that."""
    if log_e is None or math.isnan(log_e):
        return NO_DATA
    if log_e < math.log(0.01):
        return "<0.01"
    if log_e < math.log(100):
        return f"{math.exp(log_e):.3g}"
    decades = math.floor(log_e / math.log(10))
    return f"{math.exp(log_e):,.0f}" if decades < 6 else power_of_ten(decades)


def power_of_ten(exponent: int) -> str:
    """Return ten to a whole power, as ``10⁶``."""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _percent(value: float | None, rounding: str) -> str:
    return f"{(Decimal(repr(float(value or 0))) * 100).quantize(_STEP, rounding=rounding)}%"
