"""The tables as the newest migration leaves them. Names carry a prefix: a PostgreSQL may be shared."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, Table, Text

__all__ = ["METADATA", "MIGRATIONS", "PREFIX", "TABLES"]

PREFIX = "posterngate_"
METADATA = MetaData()


def _table(name: str, *columns: Column[object]) -> Table:
    return Table(PREFIX + name, METADATA, *columns)


def _text(name: str, *, key: bool = False) -> Column[object]:
    return Column(name, Text, primary_key=key)


def _number(name: str, kind: type[Integer] | type[BigInteger] | type[Float[float]]) -> Column[object]:
    return Column(name, kind)


MIGRATIONS = _table("migrations", Column("version", Integer, primary_key=True), _text("applied"))

TABLES: dict[str, Table] = {
    "samples": _table(
        "samples",
        _text("sample_id", key=True),
        _text("candidate"),
        _text("probe_id"),
        _text("probe_hash"),
        _text("trigger_id"),
        _number("answer_index", Integer),
        _number("seed", BigInteger),
        _text("body"),
        _text("finish_reason"),
        _number("prompt_tokens", Integer),
        _number("completion_tokens", Integer),
        _text("error"),
        _number("attempts", Integer),
        _number("elapsed_s", Float),
    ),
    "judgments": _table(
        "judgments",
        _text("judgment_id", key=True),
        _text("sample_id"),
        _text("judge"),
        _text("label"),
        _text("scores"),
        _text("reason"),
    ),
    "choice_scores": _table(
        "choice_scores",
        _text("score_id", key=True),
        _text("candidate"),
        _text("pair_id"),
        _text("pair_hash"),
        _text("trigger_id"),
        _number("log_p_good", Float),
        _number("log_p_bad", Float),
        _number("tokens_good", Integer),
        _number("tokens_bad", Integer),
        _text("error"),
    ),
    "facts": _table("facts", _text("fact_key", key=True), _text("value")),
    "runs": _table(
        "runs",
        _text("run_id", key=True),
        _text("started"),
        _text("info"),
        _text("outcome"),
        _text("summary"),
        _text("finished"),
    ),
    "verdicts": _table(
        "verdicts",
        Column("seq", Integer, primary_key=True),
        _text("run_id"),
        _text("population"),
        _text("body"),
    ),
    "members": _table(
        "members",
        Column("seq", Integer, primary_key=True),
        _text("run_id"),
        _text("population"),
        _text("kind"),
        _text("ids"),
    ),
}
