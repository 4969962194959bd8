"""A folder of the cache that is built once, whoever asks, and appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

__all__ = ["built_once"]


def built_once(
    target: Path, build: Callable[[Path], None], cannot_write: Callable[[OSError], Exception]
) -> Path:
    """Return `target`, building it first if it is not there.

    Any number of processes may ask at once: one builds, the others wait. What a killed one left is cleared.

    Args:
        build: writes the folder ``model`` into the empty folder that it is given, on the same disk.
        cannot_write: gives the error to raise where the disk refuses.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not target.is_dir():
                _build(target, build)
    except OSError as error:
        raise cannot_write(error) from error
    return target


def _build(target: Path, build: Callable[[Path], None]) -> None:
    """Build beside the target, then rename in one step."""
    for leftover in target.parent.glob(f"{target.name}.part-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a process that was killed: we hold the lock
    work = Path(tempfile.mkdtemp(prefix=f"{target.name}.part-", dir=target.parent))
    try:
        build(work)
        (work / "model").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
