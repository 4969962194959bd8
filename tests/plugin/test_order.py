"""The run seed orders the work and nothing else."""

from __future__ import annotations

import re


def order(text: str) -> list[str]:
    return re.findall(r"\[gate:([^\]]+)\] PASSED", text)


def test_a_run_seed_orders_the_items_and_changes_no_verdict(run_gate) -> None:
    """Equal seeds give one order; some other seed gives another; the same items pass under each."""
    orders = [
        order(run_gate("-n", "0", "-v", "--gate-seed", seed).stdout.str())
        for seed in ("1", "1", "2", "3", "4", "5")
    ]
    assert len(orders[0]) == 3
    assert orders[0] == orders[1]
    assert len({tuple(names) for names in orders}) > 1
    assert all(sorted(names) == sorted(orders[0]) for names in orders)
