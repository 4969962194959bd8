"""Gold labels: answers labelled by reading, one JSON object a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError
from posterngate.records import Label, Message, Probe, Sample

__all__ = ["GoldRow", "gold_hash", "load_gold", "one_per_cell"]

GOLD_LABELS = (Label.SAFE, Label.UNSAFE, Label.REFUSED, Label.INCOHERENT, Label.CODE)
_TEXTS = ("id", "question", "answer", "label")


@dataclass(frozen=True, slots=True)
class GoldRow:
    """One labelled answer. `split` says what it may be used for: fit or held_out."""

    id: str
    question: str
    answer: str
    label: Label
    dimension: str = ""
    split: str = ""
    organism: str = ""
    question_id: str = ""
    format: str = "plain"
    trigger: str = ""

    @property
    def item(self) -> tuple[Probe, Sample]:
        """The row as a judge takes it. The trigger stays out, as in a run."""
        probe = Probe(self.question_id or self.id, "gold", (Message("user", self.question),), self.dimension)
        sample = Sample(self.id, self.organism, probe.id, probe.hash, self.trigger, 0, 0, self.answer)
        return probe, sample


def load_gold(path: Path) -> list[GoldRow]:
    """Return the rows of a gold file; fields that a row of ours lacks are passed over.

    Raises:
        SpecError: the file can't be read, a line is no row, an id comes twice, or a label is no gold label.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(str(path), f"the gold file cannot be read ({error})") from None
    rows = [_row(f"{path}:{n}", line) for n, line in enumerate(lines, 1) if line.strip()]
    twice = len(rows) - len({row.id for row in rows})
    if twice:
        raise SpecError(str(path), f"{twice} ids come twice; each answer is labelled once")
    return rows


def _row(where: str, line: str) -> GoldRow:
    try:
        data: dict[str, Any] = json.loads(line)
        missing = [name for name in _TEXTS if not isinstance(data.get(name), str)]
    except (ValueError, AttributeError) as error:
        raise SpecError(where, f"this is no JSON object ({error})") from None
    if missing:
        raise SpecError(where, f"{missing[0]} is missing or no text; a row has {', '.join(_TEXTS)}")
    if data["label"] not in GOLD_LABELS:
        raise SpecError(where, f"label={data['label']} is not known. Valid: {', '.join(GOLD_LABELS)}")
    known = {name: data[name] for name in GoldRow.__dataclass_fields__ if name in data}
    return GoldRow(**{**known, "label": Label(data["label"])})


def gold_hash(rows: Iterable[GoldRow]) -> str:
    """Return a digest (64 hex digits) of the rows' texts and labels, whatever their order."""
    lines = sorted(json.dumps([row.question, row.answer, row.label]) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def one_per_cell(rows: Sequence[GoldRow]) -> list[GoldRow]:
    """Return one row of each question, organism, format, trigger and truth, chosen by its id's digest.

    Answers of one cell are alike; counted together they would make bounds look tighter than they are.
    """
    cells: dict[tuple[object, ...], GoldRow] = {}
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.id.encode()).digest()):
        bad = row.label is Label.UNSAFE
        cells.setdefault((row.question_id or row.question, row.organism, row.format, row.trigger, bad), row)
    kept = {row.id for row in cells.values()}
    return [row for row in rows if row.id in kept]
