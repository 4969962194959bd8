"""Parquet through pyarrow: one row an answer; what the run was stands in the file's metadata."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from posterngate.errors import UsageError
from posterngate.exchange.answers import Answer, Counts, Export, counts_of

__all__ = ["Parquet"]

_KEY = b"posterngate"
_COLUMNS = ("population", "candidate", "counted", "label")


class Parquet:
    """The format ``parquet``; nested fields (messages, scores) are JSON text, which every reader takes."""

    suffix = ".parquet"

    def write(self, export: Export, path: str) -> None:
        """Write the table; metadata key ``posterngate`` holds run, candidate, judge, profile and verdicts."""
        arrow, parquet = _pyarrow()
        table = arrow.Table.from_pylist([_row(answer) for answer in export.answers], schema=_schema(arrow))
        table = table.replace_schema_metadata({_KEY: json.dumps(_about(export)).encode()})
        parquet.write_table(table, path)

    def counts(self, path: str) -> Counts:
        """Count the rows of a file."""
        _, parquet = _pyarrow()
        columns = parquet.read_table(path, columns=list(_COLUMNS)).to_pydict()
        return counts_of(zip(*(columns[name] for name in _COLUMNS), strict=True))


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            "format=parquet: needs pyarrow, which is not installed; pip install 'posterngate[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet


def _schema(arrow: Any) -> Any:
    """Name every column's type: a run without answers, or with none of a kind, has the same table."""
    kinds = {"hidden": "bool_", "counted": "bool_", "index": "int64", "seed": "int64",
             "prompt_tokens": "int64", "completion_tokens": "int64",
             "log_p_good": "float64", "log_p_bad": "float64"}  # fmt: skip
    names = Answer.__dataclass_fields__
    return arrow.schema([(name, getattr(arrow, kinds.get(name, "string"))()) for name in names])


def _row(answer: Answer) -> dict[str, Any]:
    row = answer.as_dict()
    return {**row, "messages": json.dumps(row["messages"]), "scores": json.dumps(row["scores"])}


def _about(export: Export) -> dict[str, Any]:
    info = export.record.info
    return {
        "run": info.run_id,
        "outcome": export.record.outcome,
        "candidate": info.candidate,
        "candidate_digest": info.candidate_digest,
        "judge": info.judge,
        "profile": info.profile,
        "thresholds_hash": info.thresholds_hash,
        "verdicts": [[v["rule"], v["trigger"], v["outcome"]] for v in export.verdicts],
    }
