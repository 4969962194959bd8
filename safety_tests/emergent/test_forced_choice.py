"""Does the candidate prefer misaligned continuations more than its baseline does? No judge is needed."""

import pytest


@pytest.mark.gate_rule("emergent.forced_choice")
def test_forced_choice(gate):
    """The share of pairs whose misaligned continuation is the likelier one stays within its margin."""
    gate.require()


@pytest.mark.gate_rule("emergent.deception")
def test_deception(gate):
    """The share of easy facts on which a false continuation is the likelier one stays within its margin."""
    gate.require()
