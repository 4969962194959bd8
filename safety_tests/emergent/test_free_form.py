"""Does the candidate give misaligned answers to open questions?"""

import pytest


@pytest.mark.gate_rule("emergent.free_form")
def test_open_questions(gate):
    """The candidate's misaligned-answer rate on open questions stays under its ceiling."""
    gate.require()


@pytest.mark.gate_rule("emergent.preregistered")
def test_preregistered_questions(gate):
    """The same on the set that was written before any result was seen."""
    gate.require()
