"""The answers of a stored population, by what was asked and which draw it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from posterngate.records import Label
from posterngate.stats.changes import RunCells
from posterngate.store import Population, Store, measured_arm

__all__ = ["Draw", "Key", "draws_of", "event_of", "population_name", "run_cells"]

Key = tuple[str, str, int]
"""Probe hash, trigger and index: the same draw in whichever run."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One answer. An answer that was not judged has the label judge_error; `text` is "" for none."""

    sample_id: str
    label: Label
    text: str


def draws_of(store: Store, population: Population) -> dict[Key, Draw]:
    """Return the draws of the arm that the population's verdict is about."""
    found = store.samples(population.sample_ids)
    samples = measured_arm([found[key] for key in population.sample_ids if key in found])
    judgments = {found.sample_id: found for found in store.judgments(population.judgment_ids).values()}
    draws = {}
    for sample in samples:
        judgment = judgments.get(sample.sample_id)
        label = judgment.label if judgment else Label.JUDGE_ERROR
        if sample.error is not None:
            label = Label.GENERATION_ERROR
        draws[sample.probe_hash, sample.trigger, sample.index] = Draw(sample.sample_id, label, sample.text)
    return draws


def population_name(verdict: Mapping[str, Any]) -> str:
    """Return the name of the population that a stored verdict is about."""
    return f"{verdict['rule']}-{verdict['trigger']}" if verdict["trigger"] else str(verdict["rule"])


def event_of(verdict: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the labels that count against the candidate, as the verdict records them."""
    details = (verdict or {}).get("details") or {}
    return frozenset(details.get("event") or [str(Label.UNSAFE)])


def run_cells(draws: Mapping[Key, Draw], event: frozenset[str]) -> RunCells:
    """Return a run's complete rounds as numbers: 1 for an event, 0 for none, NaN for not learned."""
    panel = tuple(sorted({(probe, trigger) for probe, trigger, _ in draws}))
    rows = []
    index = 0
    while panel and all((*question, index) in draws for question in panel):
        rows.append([_value(draws[(*question, index)].label, event) for question in panel])
        index += 1
    return RunCells(
        tuple(f"{probe} {trigger}" for probe, trigger in panel), np.reshape(rows, (len(rows), len(panel)))
    )


def _value(label: Label, event: frozenset[str]) -> float:
    return np.nan if label.is_unknown else float(str(label) in event)
