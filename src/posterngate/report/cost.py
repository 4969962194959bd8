"""What a run may cost and has cost, as text; all figures come as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posterngate.report import numbers
from posterngate.report.text_safety import one_line

__all__ = ["cost_line", "cost_table", "spent_line"]

_COLUMNS = ("at most", "model", "answers", "prompt tokens", "reply tokens", "money")
_NO_PRICE = "no price"


def cost_table(cost: Mapping[str, Any], cap: Mapping[str, Any]) -> str:
    """Return the estimate before a run, a line for each model; `cost` as `session.estimate` gives it.

    Args:
        cap: the policy's limits of ``tokens`` and ``money``, None for no limit.
    """
    rows = [_COLUMNS]
    for line in cost["lines"]:
        counted = [numbers.count(line[k]) for k in ("requests", "prompt_tokens", "completion_tokens")]
        rows.append((line["role"], one_line(line["model"], 40), *counted, _money(line["money"])))
    rows.append(("together", "", "", "", numbers.count(cost["tokens"]), _money(cost["money"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.append("every planned answer as long as it may be, about 4 letters a token; searches left out")
    return "\n".join([*lines, *_beyond(cost, cap)])


def cost_line(cost: Mapping[str, Any], cap: Mapping[str, Any]) -> str:
    """Return the same in one line, for the start of a run."""
    parts = [
        f"{line['role']} {one_line(line['model'], 40)} {numbers.count(line['requests'])} answers, "
        f"{numbers.count(line['prompt_tokens'] + line['completion_tokens'])} tokens, {_money(line['money'])}"
        for line in cost["lines"]
        if line["hosted"]
    ]
    total = f"together {numbers.count(cost['tokens'])} tokens, {_money(cost['money'])}"
    return "; ".join(["cost at most: " + "; ".join(parts), total, *_beyond(cost, cap)])


def spent_line(spent: Mapping[str, float]) -> str:
    """Return what a run has drawn and paid; "" where no money was counted."""
    if not spent.get("money"):
        return ""
    judge = spent.get("judge_tokens")
    of_it = f" (judge {numbers.count(judge)}, {_money(spent.get('judge_money'))})" if judge else ""
    return f"spent: {numbers.count(spent['tokens'])} tokens, {_money(spent['money'])}{of_it}"


def _beyond(cost: Mapping[str, Any], cap: Mapping[str, Any]) -> list[str]:
    """Say which limits lie below the estimate: a run that meets one stops, and its next start goes on."""
    found = []
    for name, shown in (("tokens", numbers.count), ("money", _money)):
        limit, most = cap.get(name), cost[name]
        if limit is not None and most is not None and most > limit:
            words = f"the policy's cap of {name} ({shown(limit)}) may end it before"
            found.append(f"{words}: INCONCLUSIVE, to be continued")
    return found


def _money(amount: float | None) -> str:
    """Return an amount; small ones keep two digits that say something."""
    if amount is None:
        return _NO_PRICE
    return numbers.money(amount) if amount >= 0.1 or not amount else f"{amount:.2g}"
