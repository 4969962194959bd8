"""Ed25519 key pairs as PEM files. A private key is readable by its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from posterngate.errors import UsageError

__all__ = ["KEY_VARIABLE", "PASSPHRASE_VARIABLE", "new_key", "private_key", "public_key"]

KEY_VARIABLE = "POSTERNGATE_SIGNING_KEY"
"""Environment variable that may hold the private key's PEM text."""
PASSPHRASE_VARIABLE = "POSTERNGATE_SIGNING_PASSPHRASE"
"""Environment variable with the passphrase of an encrypted private key."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PEM = serialization.Encoding.PEM


def new_key(path: Path) -> tuple[Path, str]:
    """Write a new private key to `path`, mode 0600, and its public half to ``PATH.pub``.

    The private key is encrypted if the passphrase variable is set.

    Returns:
        The public key's path, and the key id (64 hex digits).

    Raises:
        UsageError: one of the files exists already, or cannot be written.
    """
    public_path = path.with_name(path.name + ".pub")
    for file in (path, public_path):
        if file.exists():
            raise UsageError(
                f"key={file}: there is a file already, and keys are never overwritten; remove it"
            )
    key = Ed25519PrivateKey.generate()
    phrase = os.environ.get(PASSPHRASE_VARIABLE, "").encode()
    hidden: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(phrase) if phrase else serialization.NoEncryption()
    )
    secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, hidden)
    public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, secret, 0o600)
        _write(public_path, public, 0o644)
    except OSError as error:
        raise UsageError(f"key={path}: cannot be written ({error.strerror}); name another place") from error
    return public_path, SSlibKey.from_crypto(key.public_key()).keyid


def _write(path: Path, content: bytes, mode: int) -> None:
    """Create the file with its mode, so that it is never open to others, not even for a moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)


def private_key(path: Path | None) -> CryptoSigner:
    """Return the signer of a private key file, or of the key in the environment if `path` is None.

    Raises:
        UsageError: there is none, others may read it, it is no Ed25519 key, or the passphrase is wrong.
    """
    name, pem = _private_pem(path)
    phrase = os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None
    try:
        try:
            key = serialization.load_pem_private_key(pem, phrase)
        except TypeError:  # a passphrase is set and the key has none, or the reverse
            if phrase is None:
                raise UsageError(f"{name}: it is encrypted; set {PASSPHRASE_VARIABLE}") from None
            key = serialization.load_pem_private_key(pem, None)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            f"{name}: no private key in PEM, or the wrong passphrase; `posterngate keygen` makes one"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{name}: is no Ed25519 key; `posterngate keygen` makes one")
    return CryptoSigner(key)


def _private_pem(path: Path | None) -> tuple[str, bytes]:
    if path is None:
        text = os.environ.get(KEY_VARIABLE, "")
        if not text.strip():
            raise UsageError(f"--key=(missing): name a private key file, or set {KEY_VARIABLE}")
        return KEY_VARIABLE, text.encode()
    try:
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            raise UsageError(f"--key={path}: others may read it; chmod 600 {path}")
        return f"--key={path}", path.read_bytes()
    except OSError as error:
        raise UsageError(f"--key={path}: cannot be read ({error.strerror})") from None


def public_key(path: Path) -> SSlibKey:
    """Return the public key of a PEM file.

    Raises:
        UsageError: it cannot be read, or holds no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--key={path}: cannot be read ({error.strerror})") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"--key={path}: holds no public key in PEM; give the .pub file") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"--key={path}: is no Ed25519 public key; `posterngate keygen` makes one")
    return SSlibKey.from_crypto(key)
