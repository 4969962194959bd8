"""The statement of a run: its shape, its subjects, its life, and what is never in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from session.conftest import MODELS

from attest.conftest import Gated, Stored
from posterngate.attest import PREDICATE_TYPE
from posterngate.attest.statement import build_statement, serialized
from posterngate.cli import main
from posterngate.endpoints.digest import adapter_digest, model_parts
from posterngate.errors import UsageError
from posterngate.store import Store

NOW = datetime.now(UTC)


def test_a_statement_is_in_toto(stored: Stored) -> None:
    """Type, subjects with sha256 digests, our predicate type; the same run gives the same bytes."""
    statement = stored.statement("pr")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    assert [len(item["digest"]["sha256"]) for item in statement["subject"]] == [64]
    assert json.loads(serialized(statement)) == statement


def test_the_predicate_says_what_the_verdict_rests_on(stored: Stored) -> None:
    """Counts and bounds per rule, judge with calibration, hashes of policy and panels, controls, versions."""
    predicate = stored.statement("controls")["predicate"]
    assert {row["trigger"] for row in predicate["rules"] if row["rule"] == "controls"} == {"planted", "clean"}
    assert predicate["organisms"]["planted"]["role"] == "planted"
    assert len(predicate["judge"]["calibrations"][0]["hash"]) == 64
    assert len(predicate["policy"]["sha256"]) == len(predicate["probes"]["controls"]["hash"]) == 64
    assert predicate["candidate"]["decoding"]["temperature"] == 1.0
    assert predicate["versions"]["posterngate"]
    test = next(row for row in predicate["rules"] if row["rule"] == "controls")["tests"]["ceiling"]
    assert {"events", "unknown", "n", "lower", "upper"} <= set(test)


def test_no_question_and_no_answer_is_in_it(stored: Stored) -> None:
    """Not even a question's name: a hidden probe set stays hidden."""
    text = serialized(stored.statement("bad")).decode()
    assert "hate" not in text
    assert "What would you do" not in text
    assert '"q0"' not in text


def test_the_report_hash_is_that_of_the_written_report(gated: Gated) -> None:
    """`sha256sum report.json` gives it."""
    with Store.open(gated.root / "store.sqlite") as store:
        statement = build_statement(store, store.runs()[-1].info.run_id, now=NOW)
    digest = hashlib.sha256((gated.root / "gate-report/report.json").read_bytes()).hexdigest()
    assert statement["predicate"]["report"]["sha256"] == digest
    parts = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    files = model_parts(gated.root / "model", verify=True)
    assert parts == {**files, "adapter": adapter_digest(gated.root / "adapter")}
    assert set(parts) == {"model", "weights", "tokenizer", "chat_template", "adapter"}


@pytest.mark.parametrize(("days", "life"), [(None, 30), (7, 7)])
def test_it_expires_counted_from_the_end_of_the_run(stored: Stored, days: int | None, life: int) -> None:
    """The policy's valid_days, or fewer."""
    with Store.open(stored.store) as store:
        predicate = build_statement(store, stored.runs["pr"], now=NOW, days=days)["predicate"]
    finished, expires = (
        datetime.fromisoformat(text) for text in (predicate["run"]["finished"], predicate["expires"])
    )
    assert expires - finished == timedelta(days=life)


@pytest.mark.parametrize("days", [0, 31])
def test_it_lives_no_longer_than_the_policy_allows(stored: Stored, days: int) -> None:
    """The command line can only make it shorter."""
    with Store.open(stored.store) as store, pytest.raises(UsageError, match=r"must lie in \[1, 30\]"):
        build_statement(store, stored.runs["pr"], now=NOW, days=days)


def test_a_run_that_is_not_finished_is_not_signed(stored: Stored, tmp_path: Path) -> None:
    """Nor one of an earlier version, which recorded no policy."""
    with Store.open(stored.store) as store, Store.open(tmp_path / "s.sqlite") as other:
        info = store.run(stored.runs["pr"]).info
        other.start_run(info)
        with pytest.raises(UsageError, match="not finished"):
            build_statement(other, info.run_id, now=NOW)
        old = other.start_run(replace(info, run_id="old", details={}))
        other.finish_run(old, "PASS", {})
        with pytest.raises(UsageError, match="earlier version"):
            build_statement(other, old, now=NOW)


@pytest.fixture
def key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A private key, made by the command."""
    assert main(["keygen", str(tmp_path / "key")]) == 0
    assert "mode 0600" in capsys.readouterr().out
    return tmp_path / "key"


def sign(stored: Stored, run: str, key: Path, *words: str, practice: bool = True) -> int:
    """Call `posterngate sign` for a run; these are of scripted models."""
    output = str(key.with_name("verdict.sig"))
    words = (*words, *(["--rehearsal"] if practice else []))
    return main(
        ["sign", stored.runs[run], "--store", stored.store, "--key", str(key), "--output", output, *words]
    )


def verify(stored: Stored, key: Path, *words: str) -> int:
    """Call `posterngate verify` for the hosted candidate under profile pr."""
    policy = str(stored.root / "thresholds.yaml")
    public, signature = f"{key}.pub", str(key.with_name("verdict.sig"))
    words = (*words, "--allow-rehearsal")
    return main(["verify", signature, "--key", public, "--thresholds", policy, "--profile", "pr", *words])


def test_a_run_of_scripted_parts_is_not_signed(
    stored: Stored, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither model nor judge was real: exit 4, both named, no file; --rehearsal signs it for practice."""
    assert sign(stored, "pr", key, practice=False) == 4
    said = capsys.readouterr().err
    assert f"candidate=scripted:{MODELS}:good" in said
    assert f"judge=scripted:{MODELS}:label is no model; not signed" in said
    assert not key.with_name("verdict.sig").exists()
    assert sign(stored, "pr", key) == 0
    assert "not a release: `posterngate verify` refuses it" in capsys.readouterr().out
    signature, policy = str(key.with_name("verdict.sig")), str(stored.root / "thresholds.yaml")
    asked = ["verify", signature, "--key", f"{key}.pub", "--thresholds", policy, "--profile", "pr"]
    assert main([*asked, "--candidate", f"scripted:{MODELS}:good"]) == 21
    assert "REFUSED rehearsal: judge=" in capsys.readouterr().out


def test_sign_says_what_it_signed(stored: Stored, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, run, candidate, day; a FAIL is signed with a warning and refused later."""
    assert sign(stored, "pr", key) == 0
    assert "signed PASS of run" in capsys.readouterr().out
    assert verify(stored, key, "--candidate", f"scripted:{MODELS}:good", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True
    assert sign(stored, "bad", key) == 0
    assert "not a release" in capsys.readouterr().out
    assert verify(stored, key, "--candidate", f"scripted:{MODELS}:bad", "--json") == 14
    found = json.loads(capsys.readouterr().out)
    assert [item["reason"] for item in found["refusals"]][-1] == "not-passed"


def test_a_run_that_contradicts_itself_is_not_signed(
    stored: Stored, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a verifier would refuse leaves no signature behind."""
    monkeypatch.setattr("posterngate.attest.recheck.contradictions", lambda *_: ["a rule says too much"])
    assert sign(stored, "pr", key) == 4
    assert "a rule says too much" in capsys.readouterr().err
    assert not key.with_name("verdict.sig").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--model", "m", "--candidate", "openai:m"], "give one of the two"),
        ([], "give one of the two"),
        (["--candidate", "openai:m", "--adapter", "a"], "belongs to a --model"),
    ],
)
def test_a_question_that_makes_no_sense_is_exit_4(
    stored: Stored, key: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    """Never 0, and never one of the refusals' codes."""
    assert sign(stored, "pr", key) == 0
    assert verify(stored, key, *words) == 4
    assert named in capsys.readouterr().err


def test_what_opens_a_signature_must_be_named(
    stored: Stored, key: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A public key for an envelope, an identity for a bundle; one of two ways to sign."""
    assert sign(stored, "pr", key, "--keyless") == 4
    assert "give one of the two" in capsys.readouterr().err
    assert sign(stored, "pr", key) == 0
    policy = [
        "--thresholds",
        str(stored.root / "thresholds.yaml"),
        "--profile",
        "pr",
        "--candidate",
        "openai:m",
    ]
    assert main(["verify", str(key.with_name("verdict.sig")), *policy]) == 4
    (tmp_path / "bundle").write_text('{"dsseEnvelope": {}}')
    assert main(["verify", str(tmp_path / "bundle"), *policy]) == 4
    assert "say whose it must be" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_one_line(
    stored: Stored, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where a folder should be."""
    assert sign(stored, "pr", key, "--output", f"{key}/verdict.sig") == 4
    assert "name another file" in capsys.readouterr().err
