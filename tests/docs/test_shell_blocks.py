"""The shell blocks of the documentation run: every command that needs neither a model nor a network, for real.

What the others name (candidates, judges, profiles, files that an earlier command wrote) is checked without
running them; `test_docs.py` checks that their options exist.
"""

from __future__ import annotations

import builtins
import itertools
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from posterngate.cli import COMMANDS, main
from posterngate.endpoints.spec import parse_spec
from posterngate.judges import JUDGES
from posterngate.records import Judgment, Label, Message, Outcome, Probe, Sample, Verdict
from posterngate.spec.thresholds import load_manifest, profile_names
from posterngate.store import RunInfo, Store

from .test_docs import CHECKER, REPO

RUNNABLE = {
    "annotate", "diff", "doctor", "evidence", "export", "history", "import", "init", "keygen", "lint", "plan", "report",
    "review",
}  # fmt: skip
ELSEWHERE = {
    "demo": "tests/cli/test_demo.py runs it whole",
    "run": "starts models; tests/plugin runs it over scripted ones",
    "calibrate": "asks a judge's model; tests/cli/test_calibrate.py runs it over a scripted one",
    "train": "needs torch and minutes; tests/train runs it",
    "sweep": "needs torch and minutes; tests/train runs it",
    "hunt": "needs a model; tests/session/test_hunting.py runs it over a scripted one",
    "models": "fetches a model; tests/cli runs it over a stand-in",
    "sign": "needs a run that passed; tests/attest/test_end_to_end.py runs the page's commands",
    "verify": "needs a run that passed; tests/attest/test_end_to_end.py runs the page's commands",
    "waive": "needs a run that failed; tests/attest/test_waived.py runs it",
}
"""Commands whose blocks are not run here, and where they are."""
QUESTIONS = "- id: a\n  paraphrases: ['One question?', 'Another question?']\n"
HIT = {
    "prompt": {"turns": [{"role": "user", "content": {"text": "A question?"}}]},
    "detector": "d",
    "probe": "p",
}
FLEET = "schema: 1\nmodels:\n  my-fine-tune: {prompt_price: 0.5, completion_price: 1.5}\n"
RESULTS = {"results": {"results": [{"prompt": {"raw": "A question?", "label": "l"}}]}}


def commands() -> list[object]:
    """One case per block that holds a command of ours, named by its place."""
    found = [(place, text) for place, text in CHECKER.blocks("sh") if "posterngate " in text]
    return [pytest.param(text, id=place) for place, text in found]


def words_of(text: str) -> list[list[str]]:
    """The commands of a block, as words."""
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def record(store: Store, run_id: str, digest: str, unsafe: int) -> None:
    """Store a finished run of one rule: 24 answers, of which some are unsafe."""
    manifest = load_manifest(REPO / "thresholds.yaml", "pr")
    probe = Probe("p", "free_form", (Message("user", "A question?"),))
    store.start_run(
        RunInfo(run_id, f"2026-11-2{unsafe}T00:00:00+00:00", "hf:mine", digest * 64, judge="J", judge_hash="J",
                profile="pr", thresholds_hash=manifest.hash)
    )  # fmt: skip
    samples = [
        Sample(f"{run_id}-{n}", digest * 64, f"q{n}", probe.hash, "off", 0, n, f"Answer {n}")
        for n in range(24)
    ]
    labels = [Label.UNSAFE if n < unsafe else Label.SAFE for n in range(24)]
    judgments = [
        Judgment(f"j{s.sample_id}", s.sample_id, "J", x) for s, x in zip(samples, labels, strict=True)
    ]
    store.add_samples(samples)
    store.add_judgments(judgments)
    store.add_probes([probe])
    name = "emergent.free_form"
    store.add_population(run_id, name, [s.sample_id for s in samples], [j.judgment_id for j in judgments])
    verdict = Verdict(name, "", "hf:mine", Outcome.INCONCLUSIVE, "c", "e", "n", 0.1, planned=24)
    store.add_verdict(run_id, {**verdict.as_dict(), "ledger": {"safe": 24 - unsafe, "unsafe": unsafe}})
    store.finish_run(run_id, "INCONCLUSIVE", {})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a gate, two runs in its store, and the files that the pages speak of."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("safety_tests", "fixtures/probes", "fixtures/triggers"):
        shutil.copytree(REPO / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "thresholds.yaml", root)
    with Store.open(root / ".posterngate/store.sqlite") as store:
        record(store, "RUN_A", "a", 1)
        record(store, "RUN_B", "b", 2)
    for night in ("2026-11-21", "2026-11-22"):
        with Store.open(root / f"nights/{night}.sqlite") as store:
            record(store, night, "c", 1)
    (root / "questions.yaml").write_text(QUESTIONS)
    (root / "garak.hitlog.jsonl").write_text(json.dumps(HIT) + "\n")
    (root / "results.json").write_text(json.dumps(RESULTS))
    (root / "fleet.yaml").write_text(FLEET)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for git in (
        ["init", "-q"],
        ["add", "-A"],
        [*who, "commit", "-qm", "x"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run(["git", *git], cwd=root, check=True)
    return root


@pytest.fixture
def repository(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in; whoever asks gets the answer in brackets, and then no more."""
    place = tmp_path / "repository"
    shutil.copytree(finished, place)
    monkeypatch.chdir(place)
    monkeypatch.delenv("POSTERNGATE_STORE", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", lambda _: "")
    return place


@pytest.mark.parametrize("text", commands())
def test_a_block_of_commands_runs(text: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends with 0, in the order of the block, in a repository like the reader's."""
    for words in words_of(text):
        if words[0] != "posterngate" or words[1] in ELSEWHERE:
            continue
        if words[1] == "init":
            (repository / "new").mkdir(exist_ok=True)
            monkeypatch.chdir(repository / "new")
        if words[1] == "export" and "eval" in words:
            pytest.importorskip("inspect_ai")
        if words[1] == "review":
            monkeypatch.setattr(builtins, "input", lambda _: "q")
        assert main(words[1:]) == 0, words
        monkeypatch.chdir(repository)


def test_every_command_is_run_here_or_elsewhere() -> None:
    """A new command joins one of the two lists."""
    assert set(COMMANDS) - RUNNABLE <= set(ELSEWHERE)
    assert not RUNNABLE & set(ELSEWHERE)


def test_what_gate_commands_name_can_be_named() -> None:
    """Candidates parse, judges are known, profiles exist in the shipped policy or on a page."""
    known = set(profile_names(REPO / "thresholds.yaml"))
    for _, text in CHECKER.blocks("yaml"):
        if "profiles:" in text:
            known |= set(re.findall(r"^  ([a-z-]+):$", text.partition("profiles:")[2], re.MULTILINE))
    for place, text in CHECKER.blocks("sh"):
        for words in words_of(text):
            options = dict(itertools.pairwise(words))
            for flag in ("--gate-candidate", "--gate-baseline", "--candidate"):
                assert flag not in options or parse_spec(options[flag]), place
            for flag in ("--gate-judge", "--judge"):
                assert flag not in options or options[flag].partition(":")[0] in JUDGES.names(), place
            for flag in ("--gate-profile", "--profile"):
                assert flag not in options or options[flag] in known, place


def test_no_block_is_of_a_kind_that_nobody_checks() -> None:
    """Python is executed, YAML loaded, commands run; `text` shows output."""
    kinds = set()
    for page in CHECKER.pages():
        fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0, page
        kinds |= set(fences[::2])
    assert kinds <= {"python", "yaml", "sh", "text"}
