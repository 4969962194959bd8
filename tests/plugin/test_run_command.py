"""`posterngate run`: its own exit codes, from the recorded outcome and never from pytest's code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from posterngate.cli import main
from posterngate.cli.run import _exit_code


@pytest.fixture
def command(gate_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Call the command in this process, with pytest shielded as pytester does it."""

    def pytest_main(args: list[str], plugins: list[object]) -> int:
        words = (*args, "-p", "no:cacheprovider")
        return int(gate_project.inline_run(*words, plugins=plugins, no_reraise_ctrlc=True).ret)

    monkeypatch.setattr(pytest, "main", pytest_main)
    return lambda *words: main(["run", *words])


def safety_tests(project: pytest.Pytester) -> Path:
    return project.path / "safety_tests/test_small_gate.py"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 0),
        (["safety_tests", "--gate-candidate", "scripted:gate_models:bad"], 1),
        (["safety_tests", "--gate-candidate", "scripted:gate_models:stuck"], 3),
        (["safety_tests", "--gate-profile", "prr"], 4),
        (["safety_tests", "--no-such-option"], 4),
        (["safety_tests", "-k", "test_open"], 5),
        (["safety_tests", "-k", "no_test_at_all"], 5),
        (["safety_tests", "--collect-only"], 5),
    ],
)
def test_each_outcome_has_its_own_code(command, words: list[str], code: int) -> None:
    """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 usage, 5 for INCOMPLETE or no outcome at all."""
    assert command(*words) == code


def test_its_own_imports_are_nobodys_warning(gate_project: pytest.Pytester) -> None:
    """pytest would say that this package was imported too early; the reader has no use for that."""
    code = "import sys; from posterngate.cli import main; sys.exit(main(['run']))"
    result = gate_project.run(sys.executable, "-c", code)
    assert result.ret == 0
    assert "warnings summary" not in result.stdout.str()


def test_an_interrupt_is_130(command, gate_project: pytest.Pytester) -> None:
    """Ctrl-C in the middle is no verdict."""
    path = safety_tests(gate_project)
    path.write_text(path.read_text().replace("    gate.require()", "    raise KeyboardInterrupt", 1))
    assert command("safety_tests") == 130


def test_a_test_file_that_cannot_be_imported_is_no_interrupt(command, gate_project: pytest.Pytester) -> None:
    """pytest gives errors of collection the code of an interrupt; here it is 5: there is no outcome."""
    (gate_project.path / "safety_tests/test_broken.py").write_text("import nothing_of_this_name\n")
    assert command("safety_tests") == 5


def test_a_plain_test_that_fails_beside_a_green_gate_is_not_green(
    command, gate_project: pytest.Pytester
) -> None:
    """Outcome PASS, and pytest is red all the same: 5."""
    (gate_project.path / "safety_tests/test_more.py").write_text("def test_more():\n    assert False\n")
    assert command("safety_tests") == 5


@pytest.mark.parametrize("code", [1, 2, 3, 5])
def test_a_recorded_pass_needs_a_green_pytest(code: int) -> None:
    """Whatever made pytest red, PASS is taken back."""
    assert _exit_code(code, "PASS") == 5


@pytest.mark.parametrize("outcome", ["", "pass", "INVALID", "INCOMPLETE", "GREEN"])
def test_only_a_recorded_pass_is_zero(outcome: str) -> None:
    """No outcome, or one that nobody knows, is never green."""
    assert _exit_code(0, outcome) == 5
