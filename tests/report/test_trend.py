"""Tables over runs."""

from __future__ import annotations

from rich.cells import cell_len

from posterngate.history import diff, history
from posterngate.report import numbers
from posterngate.report.trend import diff_table, history_table
from posterngate.store import Store

from .conftest import add_answers, info


def test_history_fits_100_columns(store: Store) -> None:
    """Each rule of each run is one row with rate, bounds and counts."""
    text = history_table([row.as_dict() for row in history([store])])
    assert max(map(cell_len, text.splitlines())) <= 100
    for part in ("2026-01-02T03:04", "run1", "32.3%", "21.3-44.2%", "31/96", "no data"):
        assert part in text
    assert history_table([]) == "no run in the store\n"


def test_a_diff_shows_pairs_and_warns(store: Store) -> None:
    """Counts by pair; different judges and shared answers are noted under the table."""
    store.start_run(info("run2", judge_hash="other"))
    add_answers(store, "run2", "emergent.free_form", 31)
    rows = [row.as_dict() for row in diff(store, "run1", "run2")]
    text = diff_table(rows)
    assert "emergent.free_form" in text
    assert "different judges" in text
    assert "same stored answer" in text
    assert diff_table([]) == "the two runs share no population\n"
    assert "note" not in diff_table([{**rows[0], "same_judge": True, "shared": 0}])


def test_p_values_are_short() -> None:
    """A tiny p-value is a bound, a missing one no data."""
    assert [numbers.p_value(p) for p in (None, 0.0001, 0.04)] == ["no data", "<0.001", "0.040"]
