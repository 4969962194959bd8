"""Inspect's log format (``.eval``), written and read with inspect-ai's own classes.

A sample of the log is one answer of one population: its id is ``POPULATION/QUESTION/MODEL/TRIGGER``, its
epoch the answer's index counted from 1. The judge's label is the score; everything else of the answer is
the sample's metadata. A population's verdict is a score of the results, with its counts and bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from posterngate.errors import UsageError
from posterngate.exchange.answers import Answer, Counts, Export, counts_of

__all__ = ["InspectLog"]

_SCORE = "posterngate"
_FIGURES = {
    "rate": "rate",
    "lower": "lower",
    "upper": "upper",
    "unsafe": "events",
    "unknown": "unknown",
    "n": "n",
}


class InspectLog:
    """The format ``eval``; `inspect view` opens it."""

    suffix = ".eval"

    def write(self, export: Export, path: str) -> None:
        """Write the log."""
        log = _log(_inspect(), export)
        _inspect().write_eval_log(log, path, format="eval")

    def counts(self, path: str) -> Counts:
        """Count the samples of a log as inspect-ai reads it."""
        return counts_of(_counted(sample) for sample in _inspect().read_eval_log(path).samples or [])


def _counted(sample: Any) -> tuple[str, str, bool, str]:
    about = sample.metadata
    return about["population"], about["candidate"], about["counted"], str(sample.scores[_SCORE].value)


def _inspect() -> ModuleType:
    try:
        import inspect_ai.log
    except ImportError:
        raise UsageError(
            "format=eval: needs inspect-ai, which is not installed; pip install 'posterngate[inspect]'"
        ) from None
    log: ModuleType = inspect_ai.log
    return log


def _log(inspect: ModuleType, export: Export) -> Any:
    info, answers = export.record.info, export.answers
    spec = inspect.EvalSpec(
        eval_id=info.run_id,
        run_id=info.run_id,
        created=info.started,
        task="posterngate",
        task_id=info.run_id,
        dataset=inspect.EvalDataset(name=info.profile or "posterngate", samples=len(answers)),
        model=info.candidate,
        config=inspect.EvalConfig(epochs=1 + max((answer.index for answer in answers), default=0)),
        packages=dict(info.versions),
        metadata=_about(export),
    )
    return inspect.EvalLog(
        status="success" if export.record.outcome else "started",
        eval=spec,
        results=_results(inspect, export),
        stats=inspect.EvalStats(started_at=info.started, completed_at=export.record.finished),
        samples=[_sample(answer) for answer in answers],
    )


def _about(export: Export) -> dict[str, Any]:
    info = export.record.info
    return {
        "verdict": export.record.outcome,
        "candidate_digest": info.candidate_digest,
        "baseline": info.baseline,
        "baseline_digest": info.baseline_digest,
        "judge": info.judge,
        "judge_hash": info.judge_hash,
        "thresholds_hash": info.thresholds_hash,
        "manifest_seed": info.manifest_seed,
        "commit": info.commit,
    }


def _results(inspect: ModuleType, export: Export) -> Any:
    issued = sum(not answer.error for answer in export.answers)
    return inspect.EvalResults(
        total_samples=len(export.answers),
        completed_samples=issued,
        scores=[_verdict(inspect, verdict) for verdict in export.verdicts],
    )


def _verdict(inspect: ModuleType, verdict: Mapping[str, Any]) -> Any:
    """One population's verdict; figures that it does not have are left out, never 0."""
    estimate = verdict.get("estimate") or {}
    figures = {name: estimate.get(key) for name, key in _FIGURES.items()} | {
        "ceiling": verdict.get("ceiling")
    }
    name = f"{verdict['rule']}-{verdict['trigger']}" if verdict["trigger"] else verdict["rule"]
    return inspect.EvalScore(
        name=name,
        scorer=_SCORE,
        metrics={
            key: inspect.EvalMetric(name=key, value=value)
            for key, value in figures.items()
            if value is not None
        },
        metadata={key: verdict[key] for key in ("outcome", "claim", "evidence", "next_step")},
    )


def _sample(answer: Answer) -> Any:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score

    error = EvalError(message=answer.error, traceback="", traceback_ansi="") if answer.error else None
    question = [*_chat(answer.messages)]
    output = ModelOutput.from_content(answer.candidate, answer.text, stop_reason=_stop_reason(answer))
    return EvalSample(
        id="/".join((answer.population, answer.question, answer.candidate[:12], answer.trigger)),
        epoch=answer.index + 1,
        input=question or f"(not shown: {answer.probe_hash[:12]})",
        target="",
        messages=[*question, *([output.message] if answer.text else [])],
        output=output,
        scores={
            _SCORE: Score(value=answer.label, explanation=answer.reason or None, metadata=dict(answer.scores))
        },
        metadata=_metadata(answer),
        error=error,
    )


def _stop_reason(answer: Answer) -> Any:
    return {"stop": "stop", "length": "max_tokens"}.get(answer.finish_reason, "unknown")


def _chat(messages: Iterable[tuple[str, str]]) -> list[Any]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[role](content=content) for role, content in messages]


def _metadata(answer: Answer) -> dict[str, Any]:
    shown = ("messages", "text", "reason", "scores", "error", "label")
    return {
        name: value for name, value in answer.as_dict().items() if name not in shown and value is not None
    }
