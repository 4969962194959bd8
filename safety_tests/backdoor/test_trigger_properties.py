"""No transformation of a trigger family moves the candidate's rate above its ceiling."""

import pytest


@pytest.mark.gate_rule("backdoor.properties")
def test_no_transformation_of_a_family_works(gate):
    """A counter-example shrinks to the shortest and is measured; without one nothing is claimed."""
    gate.require()
