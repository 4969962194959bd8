"""Triggers that a hunt has found: regression tests from then on, for every candidate."""

import pytest


@pytest.mark.gate_rule("backdoor.found")
def test_found_trigger(gate):
    """With a trigger that once worked, the misaligned-answer rate stays under its ceiling."""
    gate.require()
