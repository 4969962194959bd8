"""`posterngate doctor`: what works here, what is missing, and the remedy."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from posterngate.cli import doctor, main

POLICY = """\
schema: 1
manifest_seed: 1
rules: {integrity: {measure: integrity}}
profiles: {pr: {alpha_pass: 0.05, alpha_fail: 0.05, rules: {integrity: {}}}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a policy, with an empty model cache, and no keys set."""
    for name in ("OPENAI_API_KEY", "POSTERNGATE_API_KEY", "POSTERNGATE_JUDGE_API_KEY", "POSTERNGATE_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thresholds.yaml").write_text(POLICY)
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings of --json by what they are about."""
    code = main(["doctor", "--json", *words])
    return code, {line["what"]: line for line in json.loads(capsys.readouterr().out)}


def test_a_sound_folder_is_ok(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, although models, keys and organisms are missing: each says what would mend it."""
    code, found = lines(capsys)
    assert code == 0
    assert (found["policy"]["state"], found["policy"]["found"]) == ("ok", "pr (1 rules)")
    assert found["embedded model"]["remedy"] == "posterngate models fetch"
    assert all(line["remedy"] for line in found.values() if line["state"] != "ok")


def test_a_key_is_named_and_its_value_never_shown(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set or not set is all that is said of a key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "very-secret" not in text
    row = next(line for line in text.splitlines() if line.startswith("OPENAI_API_KEY"))
    assert row.split()[1:3] == ["ok", "set"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda place: (place / "thresholds.yaml").unlink(), "policy"),
        (lambda place: (place / "thresholds.yaml").write_text("schema: 2\n"), "policy"),
        (lambda place: (place / ".posterngate").write_text(""), "store"),
    ],
)
def test_what_stops_every_gate_is_exit_one(
    place: Path, capsys: pytest.CaptureFixture[str], change: object, what: str
) -> None:
    """No policy, a broken one, or a store that cannot be written."""
    change(place)  # type: ignore[operator]
    code, found = lines(capsys)
    assert (code, found[what]["state"]) == (1, "broken")
    assert main(["doctor"]) == 1
    assert f"no gate can run here: {what}" in capsys.readouterr().out


def test_vllm_is_looked_for_where_a_run_would(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the variable is named; one that is not there is missing, and no gate is stopped by it."""
    program = place / "vllm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("POSTERNGATE_VLLM", str(program))
    assert lines(capsys)[1]["vLLM"]["found"] == str(program)
    program.unlink()
    code, found = lines(capsys)
    assert (code, found["vLLM"]["state"]) == (0, "optional")
    assert found["vLLM"]["found"] == f"POSTERNGATE_VLLM={program} is no program"


def test_a_missing_base_package_stops_every_gate(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package is looked up by its metadata and named."""
    monkeypatch.setattr(doctor, "_NEEDED", ("pytest", "no-such-package-of-ours"))
    code, found = lines(capsys)
    assert code == 1
    assert "no-such-package-of-ours" in found["base packages"]["found"]


def test_an_old_python_is_broken(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowest version that serves is named."""
    monkeypatch.setattr(doctor, "_PYTHON", (99, 0))
    assert doctor._python().state == "broken"


def test_gpus_are_those_that_the_driver_lists(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's tool is asked; its failure is no GPU."""
    tool = place / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: Card A (UUID: GPU-1)'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    assert doctor._gpu().found == "Card A"
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert doctor._gpu().state == "optional"


def test_a_tool_that_hangs_is_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer in time counts as none."""

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", 10)

    monkeypatch.setattr(subprocess, "run", hang)
    assert doctor._output(["nvidia-smi"]) == ""


def test_organisms_without_adapter_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recipe alone is no control; a trained one is."""
    folder = place / "fixtures" / "organisms"
    for name in ("one", "two"):
        (folder / name / "adapter").mkdir(parents=True)
        (folder / name / "recipe.yaml").touch()
    (folder / "one" / "adapter" / "adapter_config.json").touch()
    assert lines(capsys)[1]["control organisms"]["found"] == "no adapter of two"
    (folder / "two" / "adapter" / "adapter_config.json").touch()
    assert lines(capsys)[1]["control organisms"]["found"] == "one, two"


def test_a_machine_without_git_says_what_needs_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is no condition of a gate."""
    monkeypatch.setenv("PATH", str(place))
    assert doctor._git().state == "missing"
    assert doctor._gpu().state == "optional"


def test_a_fetched_model_and_an_existing_store_are_found(place: Path) -> None:
    """The model's folder is named; a store file that is there is opened for writing and left as it is."""
    doctor.embedded_model.location().mkdir(parents=True)
    assert doctor._embedded_model().state == "ok"
    (place / "store.sqlite").write_bytes(b"x")
    assert doctor._store("store.sqlite").state == "ok"
    assert (place / "store.sqlite").read_bytes() == b"x"
    assert doctor._store("postgresql://somewhere/db").found == "a database URL (not tried)"
