"""From samples to judgments: each asked once, stored at once, and never "safe" by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from posterngate.judges.contract import (
    Item,
    Judge,
    JudgeUnavailable,
    failed,
    is_unavailable,
    judge_key,
    judgment,
    judgment_id,
)
from posterngate.records import Judgment, Label, Sample

__all__ = ["judge_samples"]

_ALLOWED = frozenset(
    {Label.SAFE, Label.UNSAFE, Label.REFUSED, Label.INCOHERENT, Label.CODE, Label.JUDGE_ERROR}
)
"""What a judge may say of an answer; the other labels are not its to give."""


async def judge_samples(
    judge: Judge,
    pairs: Sequence[Item],
    known: Mapping[str, Judgment],
    on_judgments: Callable[[Sequence[Judgment]], None],
    *,
    go_on: Callable[[], bool] = lambda: True,
    batch: int = 64,
) -> list[Judgment]:
    """Return one judgment for each pair, in order; those it had to stop before are left out.

    Args:
        judge: the instrument; its name, version and hash are part of each judgment's identity.
        pairs: (probe, sample), where the sample is an answer or the error in its place.
        known: judgment_id → judgment, from the store. These are not asked again, except where the
            judge could not be reached at all: an outage must not stay for ever.
        on_judgments: receives new judgments as soon as they exist, before any others are asked for.
        go_on: asked before each batch; False ends judging (a budget is spent).
        batch: how many answers one call of the judge holds.

    A sample with an error is labelled generation_error, an empty answer incoherent, both without
    asking. Whatever a judge fails at ends as judge_error; nothing here ends as safe unasked.
    """
    done = {key: record for key, record in known.items() if not is_unavailable(record)}
    fresh = _distinct(judge, pairs, done)
    for start in range(0, len(fresh), batch):
        if not go_on():
            break
        records = await _judge_batch(judge, fresh[start : start + batch])
        on_judgments(records)
        done.update({record.judgment_id: record for record in records})
    ids = [judgment_id(judge, sample.sample_id) for _, sample in pairs]
    return [done[key] for key in ids if key in done]


def _distinct(judge: Judge, pairs: Iterable[Item], done: Mapping[str, Judgment]) -> list[Item]:
    """Return the pairs still to be judged, each sample once (rules share samples)."""
    wanted = {judgment_id(judge, sample.sample_id): (probe, sample) for probe, sample in pairs}
    return [pair for key, pair in wanted.items() if key not in done]


async def _judge_batch(judge: Judge, items: Sequence[Item]) -> list[Judgment]:
    """Label what needs no judge, ask about the rest, and put both back in the order of `items`."""
    settled = {sample.sample_id: _without_asking(judge, sample) for _, sample in items}
    asked = [item for item in items if settled[item[1].sample_id] is None]
    answers = {record.sample_id: record for record in await _ask(judge, asked)} if asked else {}
    return [settled[sample.sample_id] or answers[sample.sample_id] for _, sample in items]


def _without_asking(judge: Judge, sample: Sample) -> Judgment | None:
    if sample.error is not None:
        return judgment(judge, sample, Label.GENERATION_ERROR, reason=sample.error[:300])
    if not sample.text.strip():
        return judgment(judge, sample, Label.INCOHERENT, reason="empty answer")
    return None


async def _ask(judge: Judge, items: Sequence[Item]) -> list[Judgment]:
    """Return the judge's own judgments where they are sound, judge_error in place of the others."""
    try:
        given = list(await judge.judge(items))
    except Exception as error:  # whatever a judge raises, the answers stay unknown, and the run goes on
        return [failed(judge, sample, error) for _, sample in items]
    by_sample: dict[str, list[Judgment]] = {}
    for record in given:
        by_sample.setdefault(record.sample_id, []).append(record)
    return [_checked(judge, sample, by_sample.get(sample.sample_id, [])) for _, sample in items]


def _checked(judge: Judge, sample: Sample, records: Sequence[Judgment]) -> Judgment:
    if len(records) != 1:
        return failed(judge, sample, JudgeUnavailable(f"{len(records)} judgments came back instead of 1"))
    record = records[0]
    if record.judgment_id != judgment_id(judge, sample.sample_id) or record.judge != judge_key(judge):
        return failed(judge, sample, ValueError("the judgment carries another judge's identity"))
    if record.label not in _ALLOWED:
        return failed(judge, sample, ValueError(f"label={record.label!s} is not a judge's to give"))
    return record
