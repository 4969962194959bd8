"""Key pairs: private to their owner, never overwritten, refused where they are not what they should be."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from posterngate.attest.envelope import opened, sealed
from posterngate.attest.keys import KEY_VARIABLE, PASSPHRASE_VARIABLE, new_key, private_key, public_key
from posterngate.errors import UsageError

PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no passphrase from the environment of these tests."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)


def test_a_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask; the public half is its own file."""
    public, keyid = new_key(tmp_path / "deep" / "key")
    assert stat.S_IMODE((tmp_path / "deep/key").stat().st_mode) == 0o600
    assert public.name == "key.pub"
    assert public_key(public).keyid == keyid == private_key(tmp_path / "deep/key").public_key.keyid


@pytest.mark.parametrize("taken", ["key", "key.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    """Neither half; nothing is written."""
    (tmp_path / taken).write_text("mine")
    with pytest.raises(UsageError, match="never overwritten"):
        new_key(tmp_path / "key")
    assert [path.name for path in tmp_path.iterdir()] == [taken]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """As ssh does, with the remedy."""
    new_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        private_key(tmp_path / "key")


def test_a_passphrase_hides_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needed again to sign; a wrong one is told from a broken file by nothing."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "open sesame")
    public, _ = new_key(tmp_path / "key")
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    assert opened_again(tmp_path / "key", public)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(UsageError, match="wrong passphrase"):
        private_key(tmp_path / "key")
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(UsageError, match=PASSPHRASE_VARIABLE):
        private_key(tmp_path / "key")


def test_a_passphrase_that_is_not_needed_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable may be set for another key."""
    public, _ = new_key(tmp_path / "key")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "of another key")
    assert opened_again(tmp_path / "key", public)


def opened_again(key: Path, public: Path) -> bool:
    """True if what the one seals the other opens."""
    import json

    return opened(json.loads(sealed(b"{}", private_key(key))), public_key(public)) == b"{}"


def test_a_key_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PEM text, for CI systems that have secrets and no files."""
    _, keyid = new_key(tmp_path / "key")
    monkeypatch.setenv(KEY_VARIABLE, (tmp_path / "key").read_text())
    assert private_key(None).public_key.keyid == keyid
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(UsageError, match=KEY_VARIABLE):
        private_key(None)


def write_curve(folder: Path) -> None:
    """Write a pair of another kind, an elliptic curve's."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN)
    (folder / "curve").write_bytes(secret)
    (folder / "curve").chmod(0o600)
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "curve.pub").write_bytes(public)


def test_other_keys_and_no_keys_are_one_line(tmp_path: Path) -> None:
    """A missing file, no PEM, and a key of another kind."""
    write_curve(tmp_path)
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    for name, words in {"none": "cannot be read", "text": "in PEM", "curve": "no Ed25519"}.items():
        with pytest.raises(UsageError, match=words):
            private_key(tmp_path / name)
    for name, words in {"none": "cannot be read", "text": "in PEM", "curve.pub": "no Ed25519"}.items():
        with pytest.raises(UsageError, match=words):
            public_key(tmp_path / name)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name another place"):
        new_key(tmp_path / "file" / "key")
