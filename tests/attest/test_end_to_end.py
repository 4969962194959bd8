"""Gate, sign, verify, and six ways to be refused: real files, real processes."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest

from attest.conftest import Gated

VERIFY = (
    "verify",
    "--allow-rehearsal",
    "--thresholds",
    "thresholds.yaml",
    "--profile",
    "pr",
    "--key",
    "key.pub",
)


def test_a_signed_pass_of_these_files_is_verified(gated: Gated) -> None:
    """Exit 0, with the candidate, the run and the day on which it ends; the report is the run's own."""
    said = gated.cli(
        *VERIFY,
        "--model",
        "model",
        "--adapter",
        "adapter",
        "--report",
        "gate-report/report.json",
        "verdict.sig",
    )
    assert "VERIFIED PASS" in said
    assert "expires 20" in said


def flipped(path: Path) -> None:
    """Change one bit in the middle of a file, and nothing of its size or time."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def edited_count(signature: Path, target: Path) -> None:
    """Write the envelope again, unsigned anew, with one planned sample more."""
    envelope = json.loads(signature.read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["rules"][0]["planned"] += 1
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    target.write_text(json.dumps(envelope))


@pytest.fixture
def words(gated: Gated, tmp_path: Path) -> dict[str, str]:
    """The options of a verification that goes through; each refusal changes one of them."""
    return {
        "--thresholds": "thresholds.yaml", "--profile": "pr", "--key": "key.pub",
        "--model": "model", "--adapter": "adapter", "": "verdict.sig",
    }  # fmt: skip


def refused(gated: Gated, words: dict[str, str], code: int) -> str:
    """Verify with these options in a process of its own; return the refusal's lines."""
    listed = [word for option, value in words.items() for word in (option, value) if word]
    said = gated.cli("verify", "--allow-rehearsal", *listed, code=code)
    assert "VERIFIED" not in said
    return said


def test_a_flipped_bit_in_the_weights_is_another_model(
    gated: Gated, words: dict[str, str], tmp_path: Path
) -> None:
    """Exit 12, although size and time of the file are what they were; the part is named."""
    shutil.copytree(gated.root / "model", tmp_path / "model")
    flipped(tmp_path / "model/model.safetensors")
    said = refused(gated, {**words, "--model": str(tmp_path / "model")}, 12)
    assert "REFUSED other-model: weights: signed" in said
    assert "tokenizer" not in said


def test_another_adapter_is_refused(gated: Gated, words: dict[str, str]) -> None:
    """Exit 20; the base is the one that was signed."""
    said = refused(gated, {**words, "--adapter": "other"}, 20)
    assert said.count("REFUSED") == 1
    assert "other-adapter: adapter: signed" in said


def test_an_edited_count_breaks_the_signature(gated: Gated, words: dict[str, str], tmp_path: Path) -> None:
    """Exit 11: nothing of an edited statement is believed."""
    edited_count(gated.root / "verdict.sig", tmp_path / "verdict.sig")
    said = refused(gated, {**words, "": str(tmp_path / "verdict.sig")}, 11)
    assert "REFUSED bad-signature" in said


@pytest.mark.parametrize(
    ("old", "new", "words_of_it"),
    [
        ("emergent.format: {ceiling: 0.3,", "emergent.format: {ceiling: 0.4,", "this policy is looser"),
        (
            "emergent.format: {ceiling: 0.3,",
            "emergent.format: {ceiling: 0.2,",
            "was gated under a looser policy",
        ),
    ],
)
def test_a_loosened_ceiling_is_refused(
    gated: Gated, words: dict[str, str], tmp_path: Path, old: str, new: str, words_of_it: str
) -> None:
    """Exit 14, whether the gate's ceiling was the looser one or the deploy step's is."""
    policy = (gated.root / "thresholds.yaml").read_text()
    assert old in policy
    changed = gated.root / f"{tmp_path.name}.yaml"
    changed.write_text(policy.replace(old, new, 1))
    said = refused(gated, {**words, "--thresholds": changed.name}, 14)
    assert f"REFUSED loosened: {words_of_it}" in said
    assert "emergent.format: ceiling was loosened" in said


def test_an_expired_statement_is_stale(gated: Gated, words: dict[str, str]) -> None:
    """Exit 13: what counts is when the run ended, not when it was signed."""
    shutil.copy(gated.root / "store.sqlite", gated.root / "old.sqlite")
    with sqlite3.connect(gated.root / "old.sqlite") as database:
        database.execute("UPDATE posterngate_runs SET finished = '2026-01-01T00:00:00+00:00'")
    gated.cli(
        "sign", "--store", "old.sqlite", "--key", "key", "--days", "1", "--output", "old.sig", "--rehearsal"
    )
    said = refused(gated, {**words, "": "old.sig"}, 13)
    assert "REFUSED stale: expired on 2026-01-02" in said


def test_no_signature_is_unsigned(gated: Gated, words: dict[str, str], tmp_path: Path) -> None:
    """Exit 10, for a missing file as for an envelope from which the signature was taken."""
    said = refused(gated, {**words, "": str(tmp_path / "none.sig")}, 10)
    assert "REFUSED unsigned" in said
    envelope = json.loads((gated.root / "verdict.sig").read_text())
    (tmp_path / "bare.sig").write_text(json.dumps({**envelope, "signatures": []}))
    assert "REFUSED unsigned" in refused(gated, {**words, "": str(tmp_path / "bare.sig")}, 10)


def test_the_commands_of_the_page_run(gated: Gated) -> None:
    """Those of docs/how-to/sign-and-verify.md for a key of one's own, with this project's places and profile."""
    page = (Path(__file__).parents[2] / "docs/how-to/sign-and-verify.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    places = {"/models/base": "model", "/models/my-adapter": "adapter"}
    more = {
        "sign": ["--store", "store.sqlite", "--rehearsal"],
        "verify": ["--profile", "pr", "--allow-rehearsal"],
    }
    said = {}
    for line in blocks.splitlines():
        _, command, *options = [places.get(word, word) for word in shlex.split(line)]
        elsewhere = {"--keyless", "--certificate-identity", "--candidate"} & set(options)
        if command in ("keygen", "sign", "verify") and not elsewhere:
            said[command] = gated.cli(command, *options, *more.get(command, []))
    assert list(said) == ["keygen", "sign", "verify"]
    assert "VERIFIED PASS" in said["verify"]
