"""The plugin is loaded by every pytest of the environment: it must cost nothing and say nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "openai", "transformers", "sqlalchemy", "rich", "scipy", "peft", "jinja2", "httpx")


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    """In a fresh interpreter, none of the large libraries is imported by the plugin."""
    code = (
        "import sys, json, pytest; before = set(sys.modules); import posterngate.plugin; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(done.stdout))


def test_an_empty_project_sees_nothing_of_it(pytester: pytest.Pytester) -> None:
    """Without a gate: no line, no warning, and no heavy import by the end of the session."""
    pytester.makepyfile(test_plain="def test_plain():\n    pass\n")
    pytester.makeconftest(
        "import json, pathlib, sys\n"
        "def pytest_unconfigure():\n"
        "    pathlib.Path('loaded.json').write_text(json.dumps(sorted(sys.modules)))\n"
    )
    words = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", "-W", "error")
    result = pytester.runpytest_subprocess(*words)
    assert result.ret == 0
    lines = [
        line for line in result.outlines + result.errlines if not line.startswith(("plugins:", "rootdir:"))
    ]
    assert not [line for line in lines if "posterngate" in line or "gate" in line.lower().split()]
    loaded = {name.partition(".")[0] for name in json.loads((pytester.path / "loaded.json").read_text())}
    assert not {"torch", "openai", "transformers", "sqlalchemy", "scipy"} & loaded


def test_a_project_without_a_candidate_may_still_use_other_tests_options(pytester: pytest.Pytester) -> None:
    """The options are declared everywhere, and change nothing where no gate test is collected."""
    pytester.makepyfile(test_plain="def test_plain():\n    pass\n")
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--gate-candidate", "scripted:nothing:nobody", "--gate-seed", "x"
    )
    assert result.ret == 0
    assert not (pytester.path / ".posterngate").exists()
