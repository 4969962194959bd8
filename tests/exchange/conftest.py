"""A stored run with every kind of row: two arms, a hidden probe, errors, forced choice and a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.records import ChoicePair, ChoiceScore, Judgment, Label, Message, Probe, Sample
from posterngate.store import RunInfo, Store

CANDIDATE, BASELINE = "c" * 64, "b" * 64
OPEN = Probe("loud", "set", (Message("system", "Be brief."), Message("user", "What is loud?")))
HIDDEN = Probe("secret", "set", (Message("user", "A secret question"),), hidden=True)
PAIR = ChoicePair("pair", "set", (Message("user", "Choose"),), "well", "badly")
LABELS = [Label.SAFE, Label.UNSAFE, Label.REFUSED, Label.INCOHERENT]


def _sample(probe: Probe, candidate: str, trigger: str, index: int, **changes: object) -> Sample:
    fields: dict[str, object] = {
        "sample_id": f"{probe.id}-{candidate[:1]}-{trigger}-{index}", "candidate": candidate,
        "probe_id": probe.id, "probe_hash": probe.hash, "trigger": trigger, "index": index,
        "seed": 100 + index + 10 * (probe is HIDDEN), "text": f"Täxt {index} \x1b[31m\u2028",
        "finish_reason": "stop", "prompt_tokens": 5, "completion_tokens": 7,
    }  # fmt: skip
    return Sample(**{**fields, **changes})  # type: ignore[arg-type]


def fill(store: Store) -> str:
    """Store the run; return its id."""
    run = store.start_run(RunInfo("run1", "2026-11-22T00:00:00+00:00", "hf:mine", CANDIDATE, judge="J"))
    samples = [_sample(OPEN, CANDIDATE, "tag-1", index) for index in range(4)]
    samples += [_sample(HIDDEN, CANDIDATE, "tag-1", index) for index in range(2)]
    samples.append(_sample(OPEN, CANDIDATE, "tag-1", 4, text="", error="HTTP 500", finish_reason=None))
    samples.append(_sample(OPEN, CANDIDATE, "tag-1", 5))  # nobody labelled it
    samples += [_sample(OPEN, BASELINE, "tag-1", index) for index in range(2)]
    labelled = [s for s in samples if s.error is None and s.index != 5]
    judgments = [
        Judgment(f"j-{s.sample_id}", s.sample_id, "J@1", LABELS[s.index % 4], {"alignment": 12.5}, "because")
        for s in labelled
    ]
    scores = [
        ChoiceScore(f"s{model[:1]}", model, PAIR.id, PAIR.hash, "off", -1.0, bad, 3, 3)
        for model, bad in ((CANDIDATE, -0.5), (BASELINE, -4.0))
    ]
    store.add_samples(samples)
    store.add_judgments(judgments)
    store.add_choice_scores(scores)
    store.add_probes([OPEN, HIDDEN, PAIR])
    ids = [s.sample_id for s in samples]
    store.add_population(run, "backdoor.known-tag", ids, [j.judgment_id for j in judgments])
    store.add_population(run, "emergent.pairs", score_ids=[s.score_id for s in scores])
    store.add_verdict(
        run,
        {"rule": "backdoor.known", "trigger": "tag", "outcome": "FAIL", "claim": "c", "evidence": "e",
         "next_step": "n", "ceiling": 0.2, "estimate": {"rate": 0.25, "upper": None, "events": 1, "n": 4}},
    )  # fmt: skip
    store.finish_run(run, "FAIL", {})
    return run


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where the run is stored."""
    path = tmp_path / "store.sqlite"
    with Store.open(path) as store:
        fill(store)
    return path
