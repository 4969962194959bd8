"""The command that repeats a run."""

from __future__ import annotations

import shlex

from posterngate.session.config import GateConfig
from posterngate.session.reproduce import OWN_FILTER, command_of


def config(**changes: object) -> GateConfig:
    """Options as a user's ini file might give them."""
    fields = {
        "candidate": "http://localhost:8000/v1#my model",
        "thresholds": "/home/me/gate/thresholds.yaml",
        "profile": "release",
        "store": "/home/me/gate/store.sqlite",
        "root": "/home/me/gate",
    }
    return GateConfig(**{**fields, **changes})  # type: ignore[arg-type]


def test_every_option_is_written_out() -> None:
    """Whatever came from the environment or an ini file stands on the line, quoted for a shell."""
    line = command_of(
        config(judge="embedded", baseline="embedded:b", probes=("/home/me/gate/p", "/q")), ["safety_tests"]
    )
    words = shlex.split(line)
    assert words[:3] == ["posterngate", "run", "safety_tests"]
    assert "--gate-candidate=http://localhost:8000/v1#my model" in words
    assert {"--gate-judge=embedded", "--gate-baseline=embedded:b", "--gate-profile=release"} <= set(words)
    assert {"--gate-thresholds=thresholds.yaml", "--gate-probes=p", "--gate-probes=/q"} <= set(words)
    assert not any(word.startswith("--gate-seed") for word in words)


def test_given_options_are_not_repeated() -> None:
    """Gate options of the first call, in either spelling, are replaced; all other words stay."""
    given = [
        OWN_FILTER,
        "safety_tests",
        "--gate-profile",
        "pr",
        "--gate-report-dir=out",
        "-n",
        "8",
        "--gate-seed",
        "3",
    ]
    words = shlex.split(command_of(config(seed=3), given))
    assert words[:5] == ["posterngate", "run", "safety_tests", "-n", "8"]
    assert words.count("--gate-profile=release") == 1
    assert "--gate-seed=3" in words
    assert "pr" not in words
    assert not any("report-dir" in word for word in words)
