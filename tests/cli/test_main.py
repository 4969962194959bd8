"""The command line as a whole: exit codes, help, and one module per command."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from posterngate import __version__, cli
from posterngate.cli import COMMANDS, main
from posterngate.errors import EndpointError, SpecError, UsageError

UNITS = {
    "annotate": "never an answer",
    "calibrate": "shares in [0, 1]",
    "demo": "Exits 1, as a blocked release does",
    "diff": "rates in [0, 1]",
    "doctor": "Nothing is started, downloaded or sent",
    "evidence": "in (0, 1)",
    "export": "number of answers per population",
    "history": "rates in [0, 1]",
    "hunt": "1 a trigger was found and confirmed",
    "import": "Nothing is overwritten",
    "init": "if one file is in the way, none is written",
    "keygen": "Nothing is ever overwritten",
    "lint": "whatever else makes a PASS easier",
    "models": "MB",
    "plan": "in (0, 1)",
    "report": "answers shown per population",
    "review": "answers judged not unsafe",
    "run": "0 PASS",
    "sign": "days until it expires",
    "sweep": "rates in [0, 1]",
    "train": "whole number >= 0",
    "verify": "13 stale",
    "waive": "YYYY-MM-DD",
}
"""What each command's help must say of its figures, or of what it does where it prints none."""


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_figures_mean(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself, with the units of what it takes and prints."""
    assert main([name, "--help"]) == 0
    assert UNITS[name] in flat(capsys.readouterr().out)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_a_module_of_one_shape(name: str) -> None:
    """A docstring whose first line is a sentence, `add_arguments` and `run`."""
    module = importlib.import_module(COMMANDS[name])
    assert (module.__doc__ or "").partition("\n")[0].endswith((".", "one."))
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`posterngate --help` names them all."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` exits 0."""
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["plan", "--no-such-option"], ["diff", "one"]])
def test_wrong_words_are_exit_4(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A missing or unknown command, option or argument is a usage error like any other."""
    assert main(words) == 4
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("ceiling=2: too high"), 4),
        (SpecError("a.yaml:3", "broken"), 4),
        (EndpointError("the host did not start"), 1),
    ],
)
def test_errors_on_purpose_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    """4 if the caller's words are off, 1 for anything else of ours; no traceback."""
    module = importlib.import_module(COMMANDS["models"])

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(module, "run", fail)
    assert main(["models", "list"]) == code
    assert capsys.readouterr().err == f"ERROR: {error}\n"


def test_a_defect_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody raised on purpose keeps its traceback."""

    def fail(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(importlib.import_module(COMMANDS["models"]), "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["models", "list"])


def test_arguments_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `argv` the process's own words are read."""
    monkeypatch.setattr(sys, "argv", ["posterngate", "--version"])
    assert main() == 0


def test_a_command_loads_nothing_of_the_others() -> None:
    """`evidence` needs no torch, no store and no HTTP client."""
    code = (
        "import sys; from posterngate.cli import main; "
        "main(['evidence', '--ceiling', '0.05', '--unsafe', '0', '--n', '10']); "
        "print([name for name in ('torch', 'openai', 'sqlalchemy', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_all_is_what_callers_use() -> None:
    """The package offers its entry point and the table of commands."""
    assert set(cli.__all__) == {"COMMANDS", "main"}
