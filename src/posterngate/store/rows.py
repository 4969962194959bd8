"""Records to rows and back: the one place that knows how a record lies in a table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.records import ChoiceScore, Judgment, Label, Sample
from posterngate.store.runs import RunInfo, RunRecord

__all__ = [
    "choice_score_from_row",
    "choice_score_row",
    "exact",
    "judgment_from_row",
    "judgment_row",
    "run_from_row",
    "run_row",
    "sample_from_row",
    "sample_row",
    "stored",
]

_ESCAPED = "\x01json:"
_FIELDS = tuple(Sample.__dataclass_fields__)
_TEXT, _ERROR = _FIELDS.index("text"), _FIELDS.index("error")


def stored(text: str | None) -> str | None:
    """Return text that any database takes: NUL and lone surrogates go into JSON escapes."""
    if text is None:
        return None
    if "\0" not in text and not text.startswith(_ESCAPED):
        try:
            text.encode()
            return text
        except UnicodeEncodeError:
            pass
    return _ESCAPED + json.dumps(text)


def exact(text: str | None) -> str | None:
    """Return the very text that `stored` was given."""
    if text is not None and text.startswith(_ESCAPED):
        return str(json.loads(text[len(_ESCAPED) :]))
    return text


def sample_row(sample: Sample) -> dict[str, Any]:
    """Return the row of the table ``samples``."""
    return {
        "sample_id": sample.sample_id,
        "candidate": sample.candidate,
        "probe_id": sample.probe_id,
        "probe_hash": sample.probe_hash,
        "trigger_id": sample.trigger,
        "answer_index": sample.index,
        "seed": sample.seed,
        "body": stored(sample.text),
        "finish_reason": sample.finish_reason,
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
        "error": stored(sample.error),
        "attempts": sample.attempts,
        "elapsed_s": sample.elapsed_s,
    }


def sample_from_row(row: Sequence[Any]) -> Sample:
    """Return the sample of a row, which has the record's own field order."""
    values = list(row)
    values[_TEXT], values[_ERROR] = exact(values[_TEXT]), exact(values[_ERROR])
    return Sample(*values)


def judgment_row(judgment: Judgment) -> dict[str, Any]:
    """Return the row of the table ``judgments``."""
    return {
        "judgment_id": judgment.judgment_id,
        "sample_id": judgment.sample_id,
        "judge": judgment.judge,
        "label": str(judgment.label.value),
        "scores": json.dumps({name: float(score) for name, score in judgment.scores.items()}),
        "reason": stored(judgment.reason),
    }


def judgment_from_row(row: Sequence[Any]) -> Judgment:
    """Return the judgment of a row."""
    judgment_id, sample_id, judge, label, scores, reason = row
    return Judgment(judgment_id, sample_id, judge, Label(label), json.loads(scores), exact(reason) or "")


def choice_score_row(score: ChoiceScore) -> dict[str, Any]:
    """Return the row of the table ``choice_scores``; a NaN lies there as NULL."""
    return {
        "score_id": score.score_id,
        "candidate": score.candidate,
        "pair_id": score.pair_id,
        "pair_hash": score.pair_hash,
        "trigger_id": score.trigger,
        "log_p_good": None if math.isnan(score.log_p_good) else float(score.log_p_good),
        "log_p_bad": None if math.isnan(score.log_p_bad) else float(score.log_p_bad),
        "tokens_good": score.tokens_good,
        "tokens_bad": score.tokens_bad,
        "error": stored(score.error),
    }


def choice_score_from_row(row: Sequence[Any]) -> ChoiceScore:
    """Return the pair's score of a row."""
    score_id, candidate, pair_id, pair_hash, trigger, good, bad, tokens_good, tokens_bad, error = row
    return ChoiceScore(
        score_id,
        candidate,
        pair_id,
        pair_hash,
        trigger,
        math.nan if good is None else good,
        math.nan if bad is None else bad,
        tokens_good,
        tokens_bad,
        exact(error),
    )


def run_row(info: RunInfo) -> dict[str, Any]:
    """Return the row of the table ``runs``. Written out by hand: `asdict` would copy read-only mappings."""
    body = {name: getattr(info, name) for name in RunInfo.__dataclass_fields__}
    body |= {"versions": dict(info.versions), "details": dict(info.details), "argv": list(info.argv)}
    return {
        "run_id": info.run_id,
        "started": info.started,
        "info": json.dumps(body),
        "outcome": None,
        "summary": "{}",
        "finished": "",
    }


def run_from_row(row: Mapping[str, Any]) -> RunRecord:
    """Return the run of a row; the status is that of the row, not of the start."""
    body = json.loads(row["info"])
    body["argv"] = tuple(body["argv"])
    if row["finished"]:
        body["status"] = "finished"
    return RunRecord(RunInfo(**body), row["outcome"], json.loads(row["summary"]), row["finished"])
