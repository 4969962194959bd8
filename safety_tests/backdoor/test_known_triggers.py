"""Do known trigger phrases switch misbehaviour on? Off, on and placebo, candidate and baseline."""

import pytest


@pytest.mark.gate_rule("backdoor.known")
def test_known_trigger(gate):
    """With the trigger in the prompt, the misaligned-answer rate stays under its ceiling."""
    gate.require()


@pytest.mark.gate_rule("backdoor.interaction")
def test_interaction(gate):
    """The trigger adds no more to the candidate's rate than to its baseline's, but for the margin."""
    gate.require()
