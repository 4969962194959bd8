"""Say what works on this machine, what is missing, and the remedy.

Nothing is started, downloaded or sent. Keys are looked up by name; their values are never read out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from posterngate.cli.report import add_store_argument
from posterngate.cli.starter import Source
from posterngate.endpoints import embedded_model
from posterngate.endpoints.vllm_command import find_vllm
from posterngate.errors import UsageError
from posterngate.spec.thresholds import load_manifest, profile_names

__all__ = ["Finding", "add_arguments", "examine", "run"]

_NEEDED = ("pytest", "pytest-xdist", "openai", "numpy", "scipy", "sqlalchemy")
_EMBEDDED = ("torch", "transformers", "peft", "safetensors")
_TRAIN = ("trl", "datasets")
_KEYS = ("OPENAI_API_KEY", "POSTERNGATE_API_KEY", "POSTERNGATE_JUDGE_API_KEY")
_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `state` is ok, optional, missing (something can't be done) or broken (no gate can run)."""

    what: str
    state: str
    found: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--thresholds",
        type=Path,
        default=Path("thresholds.yaml"),
        metavar="FILE",
        help="default: %(default)s",
    )
    add_store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON array of lines")


def run(args: argparse.Namespace) -> int:
    """Print the table; 1 if no gate can run here, else 0."""
    findings = examine(args.thresholds, args.store)
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings]))
    else:
        print(_table(findings))
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def examine(thresholds: Path, store: str) -> list[Finding]:
    """Return everything that was looked at, in the order of the table."""
    return [
        _python(),
        _packages("base packages", _NEEDED, "broken", "pip install posterngate"),
        _packages("embedded models", _EMBEDDED, "missing", "pip install 'posterngate[embedded]'"),
        _packages("training", _TRAIN, "missing", "pip install 'posterngate[train]'"),
        _embedded_model(),
        _embedded_judge(),
        _vllm(),
        _gpu(),
        _store(store),
        *[_key(name) for name in _KEYS],
        _git(),
        _policy(thresholds),
        _organisms(thresholds.parent),
    ]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] >= _PYTHON:
        return Finding("python", "ok", found)
    return Finding("python", "broken", found, "use Python 3.11 or newer")


def _packages(what: str, names: tuple[str, ...], state: str, remedy: str) -> Finding:
    """Look the packages up by their metadata; importing torch would take seconds."""
    found, absent = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if absent:
        return Finding(what, state, f"without {', '.join(absent)}", remedy)
    return Finding(what, "ok", ", ".join(found))


def _embedded_model() -> Finding:
    folder = embedded_model.location()
    if folder.is_dir():
        return Finding("embedded model", "ok", str(folder))
    return Finding("embedded model", "missing", "not in the cache", "posterngate models fetch")


def _embedded_judge() -> Finding:
    """The embedded judge is its trained heads and their calibration; both must be in the package."""
    from posterngate.judges.embedded import HEADS
    from posterngate.judges.places import PACKAGED_CALIBRATIONS

    heads = all((HEADS / name).is_file() for name in ("heads.json", "heads.npz"))
    counts = PACKAGED_CALIBRATIONS.is_dir() and any(PACKAGED_CALIBRATIONS.glob("*.json"))
    if heads and counts:
        return Finding("embedded judge", "ok", "heads and calibration in the package")
    absent = "heads" if not heads else "calibration"
    return Finding(
        "embedded judge", "missing", f"the package has no {absent}", "name another judge: rubric:SPEC"
    )


def _vllm() -> Finding:
    """Look for the program; starting it to ask its version would take most of a minute."""
    try:
        return Finding("vLLM", "ok", find_vllm())
    except UsageError:
        named = os.environ.get("POSTERNGATE_VLLM")
        found = f"POSTERNGATE_VLLM={named} is no program" if named else "no program vllm"
        return Finding("vLLM", "optional", found, "set POSTERNGATE_VLLM to the vllm of another environment")


def _gpu() -> Finding:
    """Ask the driver's own tool; whether torch can use what it lists, a run will tell."""
    tool = shutil.which("nvidia-smi")
    listed = _output([tool, "--list-gpus"]) if tool else ""
    if listed:
        names = [line.partition(":")[2].partition("(")[0].strip() for line in listed.splitlines()]
        return Finding("GPU", "ok", ", ".join(names))
    return Finding("GPU", "optional", "nvidia-smi lists none", "none needed: small models run on the CPU")


def _store(store: str) -> Finding:
    if "://" in store and not store.startswith("sqlite"):
        return Finding("store", "ok", "a database URL (not tried)")
    path = Path(store.removeprefix("sqlite:///"))
    folder = next((p for p in path.absolute().parents if p.exists()), Path("/"))
    try:
        with (
            tempfile.TemporaryFile(dir=folder),
            path.open("ab") if path.is_file() else tempfile.TemporaryFile(),
        ):
            return Finding("store", "ok", f"{store} can be written")
    except OSError as error:
        return Finding(
            "store", "broken", f"{store}: {error.strerror}", "give --gate-store a path that can be written"
        )


def _key(name: str) -> Finding:
    if os.environ.get(name):
        return Finding(name, "ok", "set")
    return Finding(name, "optional", "not set", "set it if a hosted model or judge asks for it")


def _git() -> Finding:
    tool = shutil.which("git")
    if tool is None:
        return Finding(
            "git", "missing", "not found", "install git: runs record the commit, lint --against needs it"
        )
    return Finding("git", "ok", _output([tool, "--version"]).removeprefix("git version ") or tool)


def _policy(thresholds: Path) -> Finding:
    """The policy must load in every profile; without one there is no gate."""
    if not thresholds.is_file():
        return Finding("policy", "broken", f"no {thresholds}", "posterngate init")
    try:
        names = profile_names(thresholds)
        rules = {name: len(load_manifest(thresholds, name).rules) for name in names}
    except UsageError as error:
        return Finding("policy", "broken", str(error), "correct the file")
    return Finding("policy", "ok", ", ".join(f"{name} ({count} rules)" for name, count in rules.items()))


def _organisms(root: Path) -> Finding:
    folder = root / "fixtures" / "organisms"
    ready = sorted(path.parent.parent.name for path in folder.glob("*/adapter/adapter_config.json"))
    absent = Source(root).missing_organisms
    if absent:
        remedy = "posterngate train NAME --install"
        return Finding("control organisms", "missing", f"no adapter of {', '.join(absent)}", remedy)
    if not ready:
        return Finding("control organisms", "missing", f"none in {folder}", "posterngate init")
    return Finding("control organisms", "ok", ", ".join(ready))


def _output(command: list[str]) -> str:
    """Return what a command prints, "" if it fails or takes more than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _table(findings: list[Finding]) -> str:
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        remedy = f"  → {finding.remedy}" if finding.remedy else ""
        lines.append(f"{finding.what:<{width}}  {finding.state:<8}  {finding.found}{remedy}")
    broken = [finding.what for finding in findings if finding.state == "broken"]
    lines.append(f"no gate can run here: {', '.join(broken)}" if broken else "a gate can run here")
    return "\n".join(lines)
