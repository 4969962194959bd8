"""The documentation is complete, its links lead somewhere, and its code blocks run."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from posterngate.cli import COMMANDS, _parser
from posterngate.errors import SpecError
from posterngate.plugin.options import OPTIONS
from posterngate.spec.probes import load_probe_set
from posterngate.spec.recipes import load_recipe
from posterngate.spec.thresholds import load_manifest, profile_names
from posterngate.spec.trigger_files import load_triggers
from posterngate.spec.waivers import load_waivers
from posterngate.spec.yaml_source import parse

REPO = Path(__file__).resolve().parents[2]


def _checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_docs", REPO / "docs" / "check_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECKER = _checker()


def cases(language: str) -> list[object]:
    """One case per code block, named by its place."""
    return [pytest.param(text, id=place) for place, text in CHECKER.blocks(language)]


@pytest.mark.parametrize("check", CHECKER.CHECKS, ids=lambda check: check.__name__)
def test_the_checks_find_nothing(check: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links resolve; every option, command and key is mentioned; generated pages are what the code says."""
    monkeypatch.delenv("POSTERNGATE_STORE", raising=False)
    assert check() == []  # type: ignore[operator]


def test_the_checks_find_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead link, an unmentioned option and a stale page are each named, and the exit code is 1."""
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "README.md").write_text("[dead](nowhere.md) [live](docs)\n")
    monkeypatch.setattr(CHECKER, "ROOT", tmp_path)
    monkeypatch.setattr(CHECKER, "REFERENCE", tmp_path / "docs" / "reference")
    assert CHECKER.broken_links() == ["README.md: link to nowhere.md leads nowhere"]
    assert "--gate-candidate is mentioned on no page" in CHECKER.unmentioned()
    assert len(CHECKER.stale()) == 2
    (tmp_path / "docs" / "index.md").write_text("[one](one.md)\n")
    for name in ("one", "two"):
        (tmp_path / "docs" / f"{name}.md").touch()
    assert CHECKER.unlisted() == ["docs/index.md has no link to two.md"]
    assert CHECKER.main([]) == 1
    CHECKER.main(["--write"])
    assert CHECKER.stale() == []


@pytest.mark.parametrize("text", cases("python"))
def test_a_python_block_runs(text: str) -> None:
    """Blocks of safety tests are executed; their functions are collected by pytest later."""
    exec(compile(text, "block", "exec"), {"__name__": "block"})


@pytest.mark.parametrize("text", cases("yaml"))
def test_a_yaml_block_is_what_it_claims_to_be(text: str, tmp_path: Path) -> None:
    """Policies, probe sets and triggers load; parts of a file are at least strict YAML."""
    keys = set(parse(text, "block").mapping())
    path = tmp_path / "block.yaml"
    path.write_text(text)
    if "schema" in keys:
        assert [load_manifest(path, name).rules for name in profile_names(path)]
    elif "kind" in keys:
        assert load_probe_set(path).id
    elif "items" in keys:
        assert load_triggers(path).triggers
    elif "lora" in keys:
        (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}')
        assert load_recipe(path).lora
    elif keys == {"jobs"}:
        workflow = yaml.safe_load((REPO / ".github/workflows/gate.yml").read_text(encoding="utf-8"))
        called = workflow[True]["workflow_call"]
        for job in yaml.safe_load(text)["jobs"].values():
            assert set(job["with"]) <= set(called["inputs"])
            assert set(job["secrets"]) <= set(called["secrets"])
    else:
        assert keys <= {"rules", "profiles"}


def test_a_part_of_a_policy_fits_the_shipped_one(tmp_path: Path) -> None:
    """Profiles and rules shown in part load once they stand in this repository's own file."""
    shipped = (REPO / "thresholds.yaml").read_text(encoding="utf-8")
    for place, text in CHECKER.blocks("yaml"):
        keys = set(parse(text, place).mapping())
        if keys == {"profiles"}:
            path = tmp_path / "thresholds.yaml"
            path.write_text(shipped + text.partition("profiles:\n")[2])
            assert set(parse(text, place).plain()["profiles"]) <= set(profile_names(path))
            assert all(load_manifest(path, name).rules for name in parse(text, place).plain()["profiles"])


@pytest.mark.parametrize("text", cases("sh"))
def test_a_shell_block_uses_commands_and_options_that_exist(text: str) -> None:
    """Each posterngate command parses; each --gate- option is one of the plugin's."""
    flags = {option.flag for option in OPTIONS}
    for line in filter(None, text.splitlines()):
        words = shlex.split(line)
        assert set(re.findall(r"--gate-[a-z-]+", line)) <= flags
        if words[:1] == ["posterngate"]:
            assert words[1] in COMMANDS
            if words[1] != "run":
                _parser(words[1:]).parse_args(words[1:])
        else:
            assert words[0] in ("pytest", "pip", "vllm", "export"), line


def _indented() -> list[object]:
    """One case per command that stands indented on a page, as the pages of measured figures give theirs."""
    found = []
    for page in CHECKER.pages():
        text = page.read_text(encoding="utf-8").replace(" \\\n", " ")
        lines = re.findall(r"^    ((?:python|pytest|posterngate|make) .*)$", text, re.MULTILINE)
        found += [pytest.param(line, id=f"{page.name}-{line[:40]}") for line in lines]
    return found


@pytest.mark.parametrize("line", _indented())
def test_a_command_that_measured_something_still_exists(line: str) -> None:
    """Scripts and test files are there, targets of make are defined, options of commands parse."""
    for command in line.split("&&"):
        words = shlex.split(command, comments=True)
        if words[0] == "posterngate":
            _parser(words[1:]).parse_args(words[1:])
        elif words[0] == "make":
            makefile = (REPO / "Makefile").read_text(encoding="utf-8")
            assert all(f"\n{target}:" in makefile for target in words[1:])
        else:
            paths = [word for word in words[1:] if "/" in word and not word.startswith("-")]
            files = [path for path in paths if path.startswith(("benchmarks/", "tests/", "safety_tests"))]
            assert files
            assert all((REPO / path).exists() for path in files)


def test_the_messages_that_a_page_shows_are_the_real_ones(tmp_path: Path) -> None:
    """How a mistake in a probe set is reported."""
    shown = next(text for place, text in CHECKER.blocks("text") if "write-a-probe-set" in place)
    good = next(text for place, text in CHECKER.blocks("yaml") if "write-a-probe-set" in place)
    path = tmp_path / "my.yaml"
    first = good.index("dimension: harm")
    for wrong in (good[:first] + "dimension: pain" + good[first + 15 :], good.replace("title:", "titel:", 1)):
        path.write_text(wrong)
        with pytest.raises(SpecError) as error:
            load_probe_set(path)
        said = str(error.value).replace(str(path), "my.yaml")
        pattern = [re.escape(line).replace(re.escape("..."), ".*") for line in shown.splitlines()]
        assert any(re.fullmatch(line, said) for line in pattern), said


def test_the_waiver_that_a_page_shows_is_read(tmp_path: Path) -> None:
    """With digests in place of the marks."""
    shown = next(text for place, text in CHECKER.blocks("text") if "reference/thresholds" in place)
    path = tmp_path / "waivers.yaml"
    path.write_text(shown.replace("<64 hex digits>", "ab" * 32))
    assert [waiver.approver for waiver in load_waivers(path)] == ["R. Owner"]


def test_every_command_in_running_text_exists() -> None:
    """No page speaks of a command that is not in the tree."""
    for page in CHECKER.pages():
        if page.name != "log.md":
            named = re.findall(r"`posterngate ([a-z]+)", page.read_text(encoding="utf-8"))
            assert set(named) <= set(COMMANDS), page


def test_the_readme_begins_with_the_two_commands() -> None:
    """Gate and test come first, before any word about them."""
    lines = (REPO / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("#")[0].strip() for line in lines[2:4]] == ["make gate", "make test"]
    assert "## Measured" in lines
