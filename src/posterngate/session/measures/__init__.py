"""How each measure of a rule is carried out: (bench, population) → verdict, one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from posterngate.records import Measure, Verdict
from posterngate.session.measures.choice import measure_choice
from posterngate.session.measures.consistency import measure_consistency
from posterngate.session.measures.contrast import measure_contrast
from posterngate.session.measures.control import measure_control
from posterngate.session.measures.integrity import measure_integrity
from posterngate.session.measures.interaction import measure_interaction
from posterngate.session.measures.rate import measure_rate
from posterngate.session.measures.search import measure_search
from posterngate.session.measures.training import measure_training
from posterngate.spec.thresholds import Population

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["MEASURES"]

MEASURES: Mapping[Measure, Callable[[Bench, Population], Verdict]] = {
    Measure.RATE: measure_rate,
    Measure.CHOICE: measure_choice,
    Measure.CONTROL: measure_control,
    Measure.INTEGRITY: measure_integrity,
    Measure.TRAINING: measure_training,
    Measure.CONTRAST: measure_contrast,
    Measure.CONSISTENCY: measure_consistency,
    Measure.INTERACTION: measure_interaction,
    Measure.SEARCH: measure_search,
}
