"""What a policy's rules would cost, before any model is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.errors import UnknownNameError
from posterngate.session.planning import planned_populations
from session.conftest import MODELS, QUESTIONS


def test_every_sampled_rule_has_its_panel_and_its_triggers(project: Path) -> None:
    """Rates only; a rule with two triggers stands for two populations."""
    rows = planned_populations(str(project / "thresholds.yaml"), "pr", None)
    assert {row.rule.name for row in rows} == {"emergent.free_form", "emergent.format", "backdoor.known"}
    assert {row.questions for row in rows} == {QUESTIONS}
    assert {row.rule.name: row.populations for row in rows}["backdoor.known"] == 2
    assert all(row.calibration is None for row in rows)


def test_a_judges_stored_counts_are_taken_by_name(project: Path) -> None:
    """The judge is not started: its newest counts for the behaviour are read from the folder."""
    rows = planned_populations(str(project / "thresholds.yaml"), "pr", f"scripted:{MODELS}:label")
    assert {row.calibration.found for row in rows if row.calibration} == {200}
    rows = planned_populations(str(project / "thresholds.yaml"), "pr", "panel:none")
    assert all(row.calibration is None for row in rows)


def test_a_missing_set_is_named(project: Path) -> None:
    """A policy that names a set that is not there cannot be planned."""
    (project / "fixtures/probes/small.yaml").unlink()
    with pytest.raises(UnknownNameError, match="small"):
        planned_populations(str(project / "thresholds.yaml"), "pr", None)
