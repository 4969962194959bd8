"""What a test author's `gate.require()` does with each kind of end."""

from __future__ import annotations

import pytest

from posterngate.errors import UsageError
from posterngate.plugin.gate_fixture import VERDICT, Gate
from posterngate.records import Outcome, Verdict


def gate(measure) -> tuple[Gate, pytest.Stash]:  # type: ignore[no-untyped-def]
    """Return a gate over a measure, and the stash of its item."""
    stash = pytest.Stash()
    return Gate(measure, stash), stash


def raising(error: Exception):  # type: ignore[no-untyped-def]
    def measure() -> Verdict:
        raise error

    return measure


def test_a_search_without_a_find_is_skipped_with_its_line() -> None:
    """It is neither passed nor failed, and carries its record to the run."""
    line = "no finding at sensitivity 90% (9 of 10 planted)"
    item, stash = gate(lambda: Verdict("r", "", "c", Outcome.NO_FINDING, "nothing is claimed", line, "none"))
    with pytest.raises(pytest.skip.Exception, match="no finding at sensitivity 90%"):
        item.require()
    assert stash[VERDICT]["outcome"] == "NO_FINDING"


def test_a_usage_error_fails_the_test() -> None:
    """It names what is wrong; no verdict is made up."""
    item, stash = gate(raising(UsageError("probes=x: missing")))
    with pytest.raises(pytest.fail.Exception, match="usage error: probes=x"):
        item.require()
    assert VERDICT not in stash


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.INVALID, Outcome.INCOMPLETE])
def test_everything_but_pass_fails_the_test(outcome: Outcome) -> None:
    """The verdict travels in the stash either way."""
    item, stash = gate(lambda: Verdict("r", "", "c", outcome, "claim", "evidence", "next"))
    with pytest.raises(pytest.fail.Exception, match=f"{outcome.value} r: claim"):
        item.require()
    assert stash[VERDICT]["outcome"] == outcome.value


def test_pass_is_returned() -> None:
    """The one green end."""
    item, _ = gate(lambda: Verdict("r", "", "c", Outcome.PASS, "claim", "evidence", "next"))
    assert item.require().outcome is Outcome.PASS
