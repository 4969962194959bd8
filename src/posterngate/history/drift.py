"""Change points: the runs from which on a population's rate is another one, and what may have changed it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from posterngate.history.cells import draws_of, event_of, run_cells
from posterngate.history.series import HistoryRow, StoredRun, stored_runs
from posterngate.stats.changes import Change, RunCells, change_points
from posterngate.store import Store

__all__ = ["DRIFT_ALPHA", "ChangePoint", "drift"]

DRIFT_ALPHA = 0.01
"""Chance that a population whose rate never changes is ever flagged, however many runs follow."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A population's rate changed between two runs.

    `before` and `after` are the ids of the last run with the old and the first with the new rate;
    `found_in` is the run whose answers gave it away. `cause` names what else differs between the two.
    `log_e` (natural) reached `boundary`.
    """

    population: str
    before: str
    after: str
    found_in: str
    direction: str
    rate_before: float | None
    rate_after: float | None
    log_e: float
    boundary: float
    cause: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def drift(
    stores: Sequence[Store],
    *,
    rule: str | None = None,
    digest: str | None = None,
    alpha: float = DRIFT_ALPHA,
) -> list[ChangePoint]:
    """Return the change points of every sampled population, by name and then in order of discovery.

    Runs of forced-choice rules are left out: their figures are exact, so that any difference is real.

    Args:
        stores, rule, digest: as in `history`; alpha: per population, see `stats.changes.change_points`.
    """
    series: dict[str, list[tuple[StoredRun, HistoryRow, RunCells]]] = {}
    for run in stored_runs(stores, rule=rule, digest=digest):
        populations = run.store.populations(run.record.info.run_id)
        for row, verdict in run.rows:
            linked = populations.get(row.population)
            if linked is not None and linked.sample_ids:
                cells = run_cells(draws_of(run.store, linked), event_of(verdict))
                series.setdefault(row.population, []).append((run, row, cells))
    return [
        _described(name, change, [row for _, row, _ in entries])
        for name, entries in sorted(series.items())
        for change in change_points([cells for _, _, cells in entries], alpha)
    ]


def _described(population: str, change: Change, rows: Sequence[HistoryRow]) -> ChangePoint:
    before, after = rows[change.first - 1], rows[change.first]
    return ChangePoint(
        population=population,
        before=before.run_id,
        after=after.run_id,
        found_in=rows[change.found].run_id,
        direction="up" if change.up else "down",
        rate_before=before.rate,
        rate_after=after.rate,
        log_e=change.log_e,
        boundary=change.boundary,
        cause=_cause(before, after),
    )


def _cause(before: HistoryRow, after: HistoryRow) -> str:
    """Say what else changed between the two runs; with nothing, judge or endpoint are at fault."""
    changed = [
        name
        for name, field in (("candidate", "digest"), ("judge", "judge_hash"))
        if getattr(before, field) != getattr(after, field)
    ]
    if changed:
        return f"another {' and another '.join(changed)}"
    return "candidate and judge are the same by digest: the endpoint, or what stands behind it, changed"
