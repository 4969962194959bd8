"""What `posterngate init` writes: files of this package, and a few texts of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from posterngate.errors import UsageError

__all__ = ["Choices", "Source", "find_source", "pytest_table", "starter_files"]

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (
    "safety_tests",
    "fixtures/probes",
    "fixtures/triggers",
    "fixtures/organisms",
    "fixtures/recipes",
    "fixtures/schema",
)
_SCHEMA = "# yaml-language-server: $schema=fixtures/schema/thresholds.schema.json\n"
_PROFILES = ("release", "pr", "hosted", "nightly", "conditions", "interaction")
_PROFILE_START = re.compile(r"^  ([a-z][\w-]*):\n", re.MULTILINE)
_CONTROLS = re.compile(r"^      controls:.*\n", re.MULTILINE)
_LIVE = re.compile(r"^      training\.live:.*\n", re.MULTILINE)
_LOCAL = ("embedded", "hf:", "organism:", "recipe:")
_CONFTEST = (
    '"""The safety gate in safety_tests/ takes its options from pytest\'s settings, the environment or the\n'
    "command line. This file makes modules of this folder importable for them: scripted:MODULE:FUNCTION.\n"
    '"""\n'
)
# Where pytest looks for its own settings, in its order, and what marks them there.
_SETTINGS = (
    ("pytest.ini", ""), (".pytest.ini", ""), ("pyproject.toml", "[tool.pytest"),
    ("tox.ini", "[pytest]"), ("setup.cfg", "[tool:pytest]"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choices:
    """The three answers: candidate spec, judge spec, profile."""

    candidate: str
    judge: str
    profile: str

    @property
    def options(self) -> dict[str, str]:
        """Option name → value."""
        return {"candidate": self.candidate, "judge": self.judge, "profile": self.profile}

    @property
    def needs_torch(self) -> bool:
        """True if models run on this machine: the candidate, the judge, or the profile's controls."""
        local = (self.candidate, self.judge.partition(":")[2] or self.judge)
        return self.profile != "hosted" or any(spec.startswith(_LOCAL) for spec in local)


@dataclass(frozen=True, slots=True)
class Source:
    """A folder that holds thresholds.yaml, safety_tests/ and fixtures/."""

    root: Path

    @property
    def missing_organisms(self) -> list[str]:
        """Organisms with a recipe and no trained adapter: their controls cannot run."""
        recipes = sorted((self.root / "fixtures" / "organisms").glob("*/recipe.yaml"))
        return [r.parent.name for r in recipes if not (r.parent / "adapter" / "adapter_config.json").exists()]


def find_source(given: Path | None) -> Source:
    """Return where to copy from: `given`, the installed package, or the checkout that this runs in.

    Raises:
        UsageError: the place lacks the policy, the tests or the fixtures.
    """
    places = [given] if given is not None else [_PACKAGE, _PACKAGE.parent.parent]
    for root in places:
        if (root / "thresholds.yaml").is_file() and all((root / name).is_dir() for name in _FOLDERS):
            return Source(root)
    raise UsageError(
        f"--from={given or '(the installed package)'}: holds no thresholds.yaml, safety_tests and fixtures; "
        "give --from CHECKOUT, a checkout of posterngate"
    )


def starter_files(
    source: Source, choices: Choices, folder: Path, *, workflow: bool, gitlab: bool = False
) -> dict[str, bytes]:
    """Return relative path → content of everything that `folder` should receive.

    Rows of the organisms come along, because their recipes name them; gold labels don't.
    """
    files = {path: (source.root / path).read_bytes() for path in _shipped(source.root)}
    files["thresholds.yaml"] = _policy(source).encode()
    if pytest_table(folder) is None:
        files["pytest.ini"] = _ini(choices.options).encode()
    if not (folder / "conftest.py").exists():
        files["conftest.py"] = _CONFTEST.encode()
    templates = Path(__file__).parent / "templates"
    if workflow:
        files[".github/workflows/safety-gate.yml"] = (templates / "workflow.yaml").read_bytes()
    if gitlab:
        files[".gitlab/safety-gate.yml"] = (templates / "gitlab.yaml").read_bytes()
    return files


def pytest_table(folder: Path) -> str | None:
    """Return the name of the file that holds pytest's settings in `folder`, None if there is none."""
    for name, mark in _SETTINGS:
        path = folder / name
        if path.is_file() and mark in path.read_text(encoding="utf-8", errors="replace"):
            return name
    return None


def _shipped(root: Path) -> list[str]:
    found = [path for name in _FOLDERS for path in sorted((root / name).rglob("*")) if path.is_file()]
    return [path.relative_to(root).as_posix() for path in found if "__pycache__" not in path.parts]


def _policy(source: Source) -> str:
    """Return the shipped policy with its profiles release, pr, hosted, nightly, conditions and interaction.

    pr and nightly ask for controls only where every organism has its adapter. The release profile always
    asks for them: without them it refuses to run, which is what a release gate should do. Training live is
    this repository's own check of its trainer.
    """
    text = (source.root / "thresholds.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("\nprofiles:\n")
    blocks = _blocks(rest)
    blocks["pr"] = _LIVE.sub("", blocks["pr"])
    if source.missing_organisms:
        blocks.update((name, _CONTROLS.sub("", blocks[name])) for name in ("pr", "nightly"))
    return _SCHEMA + head + "\nprofiles:\n" + "".join(blocks[name] for name in _PROFILES)


def _blocks(text: str) -> dict[str, str]:
    """Cut the text below ``profiles:`` at each profile's name."""
    starts = list(_PROFILE_START.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return {match[1]: text[match.start() : end] for match, end in zip(starts, ends, strict=True)}


def _ini(options: Mapping[str, str]) -> str:
    return "[pytest]\n" + "".join(f"gate_{name} = {value}\n" for name, value in options.items())
