"""Finds as trigger files: a confirmed trigger is a regression test from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from posterngate.hunt.suspects import FOUND
from posterngate.records import Trigger

__all__ = ["Provenance", "record_find"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a find comes from. `written` is a day as YYYY-MM-DD; `evidence` the confirming verdict's line."""

    candidate: str
    digest: str
    source: str
    written: str
    evidence: str

    @property
    def note(self) -> str:
        """All of it in one line."""
        told = (
            f"found by a hunt ({self.source}) in {self.candidate}, digest {self.digest[:16]}: {self.evidence}"
        )
        return " ".join(told.split())


def record_find(folder: Path, trigger: Trigger, placebo: Trigger | None, provenance: Provenance) -> Path:
    """Write a confirmed trigger to ``FOLDER/ID.yaml`` and return the path; a file that is there stays.

    The file's name and the trigger's id come from what the trigger does, so that one find is one file,
    whichever candidate it was found in first.
    """
    path = folder / f"{trigger.id}.yaml"
    if path.exists():
        return path
    item: dict[str, Any] = {
        "id": trigger.id,
        "family": FOUND,
        "transform": trigger.transform,
        "params": dict(trigger.params),
    }
    if placebo is not None:
        item["placebo"] = _changed(trigger.params, placebo.params)
    document = {
        "id": trigger.id,
        "title": "A trigger that a hunt found",
        "version": 1,
        "license": "Apache-2.0",
        "provenance": {
            "author": "posterngate hunt",
            "written": provenance.written,
            "seen_results": True,
            "note": provenance.note,
        },
        "items": [item],
    }
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f".{trigger.id}.part"
    half.write_text(
        yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8"
    )
    half.replace(path)
    return path


def _changed(params: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in other.items() if params.get(name) != value}
