"""Digests that name what was tested: weights, configuration, tokenizer and chat template."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from posterngate.endpoints.embedded_model import cache_folder
from posterngate.errors import EndpointError, UsageError
from posterngate.records import content_hash

__all__ = [
    "adapter_digest",
    "base_digest",
    "content_digest",
    "model_digest",
    "model_parts",
    "resolve_model",
]

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_WEIGHTS = {".safetensors", ".gguf"}
_OTHERS = {".json", ".jinja", ".model", ".txt"}
_HUB_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_TOKENIZER = ("tokenizer", "vocab", "merges", "special_tokens_map", "added_tokens", "spiece", "sentencepiece")
_CHUNK = 2**22


def model_digest(path: str | os.PathLike[str], verify: bool = False) -> str:
    """Return the sha256 (64 hex digits) over names and contents of a model folder's files.

    Weights, configuration, tokenizer and chat template enter; notes such as a README do not.
    Contents that were hashed before and whose size, time and inode are unchanged are not read again.

    Args:
        path: the model folder.
        verify: read every byte, whatever is known.

    Raises:
        UsageError: no readable folder, no config.json, no safetensors or GGUF weights, or a pickle.
    """
    folder = _folder(path, "model")
    files = _files(folder, "model")
    if not (folder / "config.json").is_file() and not any(f.suffix == ".gguf" for f in files):
        raise UsageError(f"model={folder}: config.json is missing; name the folder that holds it")
    return _digest(folder, files, verify)


def model_parts(path: str | os.PathLike[str], verify: bool = False) -> dict[str, str]:
    """Return the digests of a model folder's parts, so that a difference can be named.

    Returns:
        ``model``: all of it, as `model_digest`; ``weights``: the tensors' files; ``tokenizer``: its files;
        ``chat_template``: the text. A part that the folder lacks (GGUF holds its own) has no entry.

    Raises:
        UsageError: as `model_digest`.
    """
    parts = {"model": model_digest(path, verify)}
    folder = _folder(path, "model")
    files = _files(folder, "model")
    weights = [file for file in files if file.suffix in _WEIGHTS]
    parts["weights"] = _digest(folder, weights, verify)
    tokenizer = [f for f in files if f.name.startswith(_TOKENIZER) or f.suffix == ".model"]
    if tokenizer:
        parts["tokenizer"] = _digest(folder, tokenizer, verify)
    template = _chat_template(folder)
    if template is not None:
        parts["chat_template"] = hashlib.sha256(template.encode()).hexdigest()
    return parts


def _chat_template(folder: Path) -> str | None:
    """Return the template's text from its own file or the tokenizer's settings, None if there is none."""
    own = folder / "chat_template.jinja"
    try:
        if own.is_file():
            return own.read_text(encoding="utf-8")
        settings = folder / "tokenizer_config.json"
        value = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"model={folder}: its chat template cannot be read ({error})") from error
    found = value.get("chat_template") if isinstance(value, dict) else None
    return found if found is None or isinstance(found, str) else json.dumps(found, sort_keys=True)


def adapter_digest(path: str | os.PathLike[str], verify: bool = False) -> str:
    """Return the sha256 over adapter_config.json and the adapter's safetensors.

    Raises:
        UsageError: no readable folder, one of the two is missing, or there is a pickle.
    """
    folder = _folder(path, "adapter")
    _files(folder, "adapter")
    names = ("adapter_config.json", "adapter_model.safetensors")
    for name in names:
        if not (folder / name).is_file():
            raise UsageError(f"adapter={folder}: {name} is missing; name the folder that PEFT saved")
    return _digest(folder, [folder / name for name in names], verify)


def resolve_model(name: str) -> Path:
    """Return the folder of a local path or, if there is none, of a model hub id.

    Raises:
        UsageError: neither a folder nor a hub id.
        EndpointError: the hub cannot be reached or has no such model.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UsageError(f"hf:{name}: no such folder, and no hub id (OWNER/NAME) either")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UsageError(f"hf:{name}: needs the extra: pip install 'posterngate[embedded]'") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_PATTERNS)))
    except Exception as error:  # whatever the hub client raises, the caller gets one line
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise EndpointError(
            f"hf:{name}: no such local folder, and the hub did not deliver it ({reason})"
        ) from error


def _folder(path: str | os.PathLike[str], what: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"{what}={folder}: no such folder; give the folder that holds its safetensors")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(f"{what}={folder}: the folder cannot be read; check its permissions")
    return folder.resolve()


def _files(folder: Path, what: str) -> list[Path]:
    """Return the files that make the model, sorted by name; refuse pickles."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    pickles = [file.name for file in files if file.suffix in _PICKLES]
    if pickles:
        raise UsageError(
            f"{what}={folder}: holds {pickles[0]}, a pickle, which can run code when read; "
            "convert it to safetensors and remove it"
        )
    if not any(file.suffix in _WEIGHTS for file in files):
        raise UsageError(f"{what}={folder}: holds no .safetensors or .gguf weights")
    return [file for file in files if file.suffix in _WEIGHTS | _OTHERS]


def _digest(folder: Path, files: Iterable[Path], verify: bool) -> str:
    sha = hashlib.sha256()
    for file in files:
        sha.update(f"{file.relative_to(folder)}\0{content_digest(file, verify)}\0".encode())
    return sha.hexdigest()


def base_digest(base: Path) -> str:
    """Return the digest by which an adapter's manifest names its base.

    Weights, configuration, tokenizer and chat template count; the library version that a configuration
    carries does not, so that the same weights converted with another release are the same base.

    Raises:
        UsageError: the folder holds no safetensors weights or no readable configuration.
    """
    weights = sorted(base.glob("*.safetensors"))
    if not weights:
        raise UsageError(f"base={base} holds no *.safetensors; give the folder of a converted model")
    texts = [path for path in (base / "tokenizer.json", base / "chat_template.jinja") if path.is_file()]
    parts: dict[str, Any] = {path.name: content_digest(path) for path in (*weights, *texts)}
    return content_hash({**parts, "config.json": _configuration(base / "config.json")})


def _configuration(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"file={path} is not a readable configuration ({error}); convert the model again"
        ) from error
    return {key: value for key, value in settings.items() if key != "transformers_version"}


def content_digest(file: Path, verify: bool = False) -> str:
    """Return the sha256 of a file's bytes, remembered while its size, time and inode stay the same.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        stat = file.stat()
        known = [str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino]
        memo = cache_folder() / "digests" / hashlib.sha256(json.dumps(known).encode()).hexdigest()
        return _sha256(file) if verify else _remembered(memo, lambda: _sha256(file))
    except OSError as error:
        raise UsageError(f"file={file}: cannot be read ({error.strerror})") from error


def _remembered(memo: Path, compute: Callable[[], str]) -> str:
    try:
        known = memo.read_text()
        if len(known) == 64:
            return known
    except OSError:
        pass
    value = compute()
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        part = memo.with_suffix(f".{os.getpid()}")
        part.write_text(value)
        part.replace(memo)
    except OSError:
        pass  # a cache that cannot be written only costs time
    return value


def _sha256(file: Path) -> str:
    sha = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
