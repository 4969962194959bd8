"""Start a gate in a repository: policy, safety tests, fixtures and a workflow.

Nothing that exists is overwritten: if one file is in the way, none is written.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
from pathlib import Path

from posterngate.cli.starter import Choices, Source, find_source, pytest_table, starter_files
from posterngate.endpoints.spec import parse_spec
from posterngate.errors import UnknownNameError, UsageError
from posterngate.judges import JUDGES

__all__ = ["PROFILES", "add_arguments", "run"]

PROFILES = ("pr", "release", "hosted")
_OWN_MODEL = ("embedded:", "organism:")
_QUESTIONS = {
    "candidate": ("Which model asks for release?", "embedded:smollm2-135m"),
    "judge": ("Which judge labels its answers?", "embedded"),
    "profile": ("Which numbers apply by default, pr, release or hosted?", "pr"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; what is left out is asked for."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="the repository (default: here)")
    parser.add_argument("--candidate", metavar="SPEC", help="the model asking for release")
    parser.add_argument("--judge", metavar="SPEC", help="the judge, for example rubric:http://HOST/v1#MODEL")
    parser.add_argument("--profile", metavar="NAME", help="pr, release or hosted (no model on this machine)")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="CHECKOUT", help="copy from this checkout of posterngate"
    )
    parser.add_argument("--no-workflow", action="store_true", help="write no GitHub workflow")
    parser.add_argument(
        "--gitlab",
        action="store_true",
        help="write .gitlab/safety-gate.yml too, for .gitlab-ci.yml to include",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and print the next command. Returns 0.

    Raises:
        UsageError: an answer is missing or wrong, a file is in the way, or there is nothing to copy.
    """
    source = find_source(args.source)
    _refuse_silence([name for name in _QUESTIONS if not getattr(args, name)])
    choices = _checked(Choices(**{name: getattr(args, name) or _ask(name) for name in _QUESTIONS}))
    table = pytest_table(args.folder)
    files = starter_files(source, choices, args.folder, workflow=not args.no_workflow, gitlab=args.gitlab)
    _write(files, args.folder)
    print("\n".join(_closing(files, source, choices, args.folder, table)))
    return 0


def _refuse_silence(missing: list[str]) -> None:
    """Where nobody can answer, every option that is left out is named at once."""
    if missing and not sys.stdin.isatty():
        named = ", ".join(f"--{name}=(missing)" for name in missing)
        example = " ".join(f"--{name} {_QUESTIONS[name][1]}" for name in missing)
        raise UsageError(f"{named}: nobody can be asked here; give it, for example {example}")


def _ask(name: str) -> str:
    question, default = _QUESTIONS[name]
    return input(f"{question} [{default}] ").strip() or default


def _checked(choices: Choices) -> Choices:
    for name, value in choices.options.items():
        if "\n" in value:
            raise UsageError(f"--{name}={value!r} holds a line break; write it in one line")
    parse_spec(choices.candidate)
    judge = choices.judge.partition(":")[0]
    if judge not in JUDGES.names():
        raise UnknownNameError("judge", judge, JUDGES.names())
    if choices.profile not in PROFILES:
        raise UnknownNameError("profile", choices.profile, PROFILES)
    return choices


def _write(files: dict[str, bytes], folder: Path) -> None:
    taken = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise UsageError(
            f"file={taken[0]}{more}: exists already; nothing was written; move it away or name another folder"
        )
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"folder={folder}: cannot be written ({error.strerror}); name another one") from None


def _closing(
    files: dict[str, bytes], source: Source, choices: Choices, folder: Path, table: str | None
) -> list[str]:
    """Say what was written, what is missing, and what to run."""
    shown = sorted({name if name.startswith(".git") else name.split("/")[0] for name in files})
    lines = [f"wrote {len(files)} files: {', '.join(shown)}"]
    if source.missing_organisms:
        lines.append(
            f"no adapter is shipped for {', '.join(source.missing_organisms)}: profile pr asks for no "
            "controls, and profile release refuses to run until they are trained "
            "(posterngate train NAME --install)"
        )
    if choices.needs_torch and importlib.util.find_spec("torch") is None:
        lines.append(
            f"profile {choices.profile} with these specs runs models on this machine, and there is no torch: "
            "pip install 'posterngate[embedded]', or take profile hosted with a hosted model and judge"
        )
    lines += _advice(choices)
    command = "pytest safety_tests -n 8"
    if table is not None:
        lines.append(f"{table} holds pytest's settings and was left as it is; add to them:")
        lines += [f'  gate_{name} = "{value}"' for name, value in choices.options.items()]
        command += "".join(f" --gate-{name} {shlex.quote(value)}" for name, value in choices.options.items())
    here = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    return [*lines, f"next: {here}{command}"]


def _advice(choices: Choices) -> list[str]:
    """Say what the first run will need or lack, as far as the three answers show it."""
    lines = []
    kind = choices.judge.partition(":")[0]
    if kind in ("rubric", "panel"):
        lines.append(
            "no rule can PASS until this judge is measured: "
            f"posterngate calibrate {choices.judge} --gold FILE"
        )
    elif kind == "embedded" and not choices.candidate.startswith(_OWN_MODEL):
        lines.append(
            "judge embedded shows that the alarm works; "
            "to certify this candidate name a calibrated rubric judge"
        )
    if choices.candidate.startswith(_OWN_MODEL):
        lines.append(
            "the first run fetches the embedded model and takes some minutes; later ones read the store"
        )
    return lines
