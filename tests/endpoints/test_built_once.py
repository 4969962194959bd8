"""A folder that is built once, whoever asks, and is there whole or not at all."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from posterngate.endpoints.built_once import built_once
from posterngate.errors import EndpointError


def _build(work: Path) -> None:
    (work / "model").mkdir()
    (work / "model/weights").write_text("w")


def _refused(error: OSError) -> EndpointError:
    return EndpointError(f"cannot be written ({error.strerror})")


def test_many_askers_build_once(tmp_path: Path) -> None:
    """One builds while the others wait, and all get the same folder."""
    built: list[Path] = []

    def slowly(work: Path) -> None:
        time.sleep(0.05)
        _build(work)
        built.append(work)

    target = tmp_path / "models/m"
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(built_once(target, slowly, _refused))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [target] * 4
    assert len(built) == 1
    assert (target / "weights").read_text() == "w"


def test_what_a_killed_builder_left_is_cleared(tmp_path: Path) -> None:
    """Gigabytes of a half model must not stay for ever."""
    target = tmp_path / "m"
    half = tmp_path / "m.part-killed"
    half.mkdir()
    built_once(target, _build, _refused)
    assert not half.exists()


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Its error comes through as it is, and the next call tries again."""

    def broken(work: Path) -> None:
        _build(work)
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        built_once(tmp_path / "m", broken, _refused)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert built_once(tmp_path / "m", _build, _refused).is_dir()


def test_a_disk_that_refuses_is_the_callers_error(tmp_path: Path) -> None:
    """A file stands where the folder must go."""
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(EndpointError, match="cannot be written"):
        built_once(tmp_path / "models/m", _build, _refused)
