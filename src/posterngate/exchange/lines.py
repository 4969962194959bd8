"""JSON Lines: one answer a line. A file of one model's answers is also a recording for ``replay:``."""

from __future__ import annotations

import json
from pathlib import Path

from posterngate.exchange.answers import Counts, Export, counts_of

__all__ = ["Lines"]


class Lines:
    """The format ``jsonl``."""

    suffix = ".jsonl"

    def write(self, export: Export, path: str) -> None:
        """Write one line for each answer, in the order of the run's populations."""
        with Path(path).open("w", encoding="utf-8") as file:
            for answer in export.answers:
                file.write(json.dumps(answer.as_dict(), ensure_ascii=False) + "\n")

    def counts(self, path: str) -> Counts:
        """Count the lines of a file."""
        with Path(path).open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return counts_of((row["population"], row["candidate"], row["counted"], row["label"]) for row in rows)
