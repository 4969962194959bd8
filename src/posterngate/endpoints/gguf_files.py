"""A GGUF file as a candidate: converted once to a folder of float32 safetensors, then served like any other.

What is tested are the file's weights as its quantisation left them, computed in float32. Every part that
decides answers comes from the file: weights, tokenizer, chat template.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from posterngate.endpoints.digest import content_digest
from posterngate.endpoints.embedded_model import cache_folder
from posterngate.endpoints.process import child_environment
from posterngate.errors import EndpointError, UsageError

__all__ = ["unpacked"]


def unpacked(file: Path) -> Path:
    """Return the folder that a GGUF file was converted to, converting it first if need be.

    The folder is named by the file's content: another file of the same name is another folder. Converted in a
    child process without keys.

    Raises:
        UsageError: the file cannot be read or converted.
        EndpointError: the cache cannot be written.
    """
    target = cache_folder() / "models" / f"gguf-{content_digest(file)[:24]}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not target.is_dir():
                _build(file, target)
    except OSError as error:
        raise EndpointError(
            f"cache={target.parent}: cannot be written ({error.strerror}); free some space or set "
            "POSTERNGATE_CACHE"
        ) from error
    return target


def _build(file: Path, target: Path) -> None:
    """Convert beside the target, then rename in one step: a killed conversion leaves no half model."""
    work = Path(tempfile.mkdtemp(prefix=f"{target.name}.part-", dir=target.parent))
    try:
        command = [sys.executable, "-m", "posterngate.endpoints.host.convert", str(file), str(work / "model")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            raise UsageError(
                f"model={file}: cannot be converted ({lines[-1].strip()[:200]}); use a GGUF file of an "
                "architecture that transformers reads, with tokenizer and chat template in it"
            )
        (work / "model").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
