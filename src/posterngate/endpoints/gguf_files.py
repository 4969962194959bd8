"""A GGUF file as a candidate: converted once to a folder of float32 safetensors, then served like any other.

What is tested are the file's weights as its quantisation left them, computed in float32. Every part that
decides answers comes from the file: weights, tokenizer, chat template.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from posterngate.endpoints.built_once import built_once
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

    def cannot_write(error: OSError) -> EndpointError:
        return EndpointError(
            f"cache={target.parent}: cannot be written ({error.strerror}); free some space or set "
            "POSTERNGATE_CACHE"
        )

    return built_once(target, partial(_convert, file), cannot_write)


def _convert(file: Path, work: Path) -> None:
    command = [sys.executable, "-m", "posterngate.endpoints.host.convert", str(file), str(work / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise UsageError(
            f"model={file}: cannot be converted ({lines[-1].strip()[:200]}); use a GGUF file of an "
            "architecture that transformers reads, with tokenizer and chat template in it"
        )
