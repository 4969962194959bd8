"""The gate's options: command line, then environment, then ini, then default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

__all__ = ["OPTIONS", "Option", "add_options", "read_options"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option with its ini twin ``gate_NAME`` and environment variable ``POSTERNGATE_NAME``."""

    name: str
    help: str
    default: str | None = None
    many: bool = False

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return "--gate-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """The ini name."""
        return "gate_" + self.name

    @property
    def env(self) -> str:
        """The environment variable."""
        return "POSTERNGATE_" + self.name.upper()


OPTIONS = (
    Option("candidate", "the model asking for release, as a spec: embedded:NAME, hf:PATH_OR_ID[+lora:PATH], "
           "vllm:PATH_OR_ID[+lora:PATH], organism:NAME, recipe:NAME[@seed=N], openai:MODEL, "
           "http://HOST/v1#MODEL, scripted:MODULE:FUNCTION"),
    Option("baseline", "the model it is compared with (default: the candidate without its adapter)"),
    Option("judge", "the judge that labels answers; must be named (embedded, rubric, ...)"),
    Option("thresholds", "the policy file", default="thresholds.yaml"),
    Option("probes", "a further folder or file of probe sets; may be repeated", many=True),
    Option("profile", "which numbers of the policy file apply", default="release"),
    Option("store", "file or database URL of samples and verdicts", default=".posterngate/store.sqlite"),
    Option("fleet", "a file of prices, rate limits and further addresses by model name"),
    Option("shard", "i/n: this runner measures the i-th of n parts of one run, in a store that all share"),
    Option("shard_wait", "seconds that a runner waits for the others to finish", default="600"),
    Option("seed", "run seed: orders the work; no verdict depends on it (refused by profile release)"),
    Option("training_data", "the candidate's training file, JSON lines: cues derived from it are tested"),
    Option("report_dir", "folder that receives report.json, report.html and junit.xml"),
    Option("reviews", "file of posterngate review: what a person said of judged answers corrects the counts"),
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and its ini twin."""
    group = parser.getgroup("posterngate", "posterngate: safety gates for model releases")
    for option in OPTIONS:
        action = "append" if option.many else "store"
        group.addoption(option.flag, action=action, default=None, metavar="VALUE", help=option.help)
        if option.many:
            parser.addini(option.ini, option.help, type="args", default=None)
        else:
            parser.addini(option.ini, option.help, type="string", default=None)


def read_options(config: pytest.Config) -> dict[str, Any]:
    """Return option name → value (None where unset; a list of str where an option may repeat)."""
    return {option.name: _read(config, option) for option in OPTIONS}


def _read(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.flag, default=None)
    if given:
        return given
    if os.environ.get(option.env):
        value = os.environ[option.env]
        return value.split(os.pathsep) if option.many else value
    return config.getini(option.ini) or option.default or ([] if option.many else None)
