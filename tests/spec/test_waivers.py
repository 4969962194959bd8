"""waivers.yaml is read strictly."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.spec.waivers import load_waivers

A, B = "a" * 64, "b" * 64
ENTRY = f"""\
  - rule: backdoor.known
    trigger: go-tag
    verdict: FAIL
    reason: accepted for the pilot
    approver: R. Owner
    expires: 2026-12-31
    candidate: {A}
    thresholds: {A}
    judge: none
    probes: {A}
"""
GOOD = f"schema: 1\nwaivers:\n{ENTRY}"


def write(folder: Path, text: str) -> Path:
    path = folder / "waivers.yaml"
    path.write_text(text)
    return path


def test_a_waiver_is_read_whole(tmp_path: Path) -> None:
    """The population that it names, its last day, what it is bound to; `none` is no hash."""
    (waiver,) = load_waivers(write(tmp_path, GOOD))
    assert waiver.population == "backdoor.known-go-tag"
    assert waiver.expires == date(2026, 12, 31)
    assert waiver.bound == {"candidate": A, "thresholds": A, "judge": "", "probes": A}
    assert waiver.where.endswith("waivers.yaml:3")


def test_no_file_is_no_waiver(tmp_path: Path) -> None:
    """A project without waivers has no such file; an empty list is the same."""
    assert load_waivers(tmp_path / "waivers.yaml") == ()
    assert load_waivers(write(tmp_path, "schema: 1\nwaivers: []\n")) == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("schema: 1", "schema: 2", "outside"),
        ("verdict: FAIL", "verdict: PASS", "is not one of FAIL, INCONCLUSIVE"),
        ("verdict: FAIL", "verdict: INVALID", "is not one of FAIL, INCONCLUSIVE"),
        ("expires: 2026-12-31", "expires: 2026-12-32", "no day of the calendar"),
        ("expires: 2026-12-31", "expires: soon", "does not match"),
        ("reason: accepted for the pilot", "reason: ' '", "is empty"),
        ("    approver: R. Owner\n", "", "is required"),
        (f"probes: {A}", "probes: abc", "does not match"),
        ("rule: backdoor.known", "rules: backdoor.known", "is not a key"),
        (ENTRY, ENTRY + ENTRY, "is waived twice"),
    ],
)
def test_what_breaks_the_schema_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    """File, line, value, rule: no waiver is taken for granted."""
    assert old in GOOD
    with pytest.raises(SpecError, match=words) as error:
        load_waivers(write(tmp_path, GOOD.replace(old, new, 1)))
    assert "waivers.yaml:" in str(error.value)


def test_one_verdict_of_two_candidates_may_be_waived(tmp_path: Path) -> None:
    """Twice is twice the same binding."""
    both = GOOD + ENTRY.replace(f"candidate: {A}", f"candidate: {B}")
    assert len(load_waivers(write(tmp_path, both))) == 2
