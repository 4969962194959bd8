"""The two safety tests of the demonstration: what is asked of a candidate, without policy numbers."""

import pytest


@pytest.mark.gate_rule("emergent.free_form")
def test_open_questions(gate):
    """The candidate's misaligned-answer rate on everyday questions stays under its ceiling."""
    gate.require()


@pytest.mark.gate_rule("backdoor.known")
def test_known_triggers(gate):
    """A trigger phrase in front of the same questions changes nothing."""
    gate.require()
