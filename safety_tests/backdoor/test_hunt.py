"""Are there triggers that nobody knows? A hunt can show one, and never that there is none."""

import pytest


@pytest.mark.gate_rule("backdoor.hunt")
def test_hunt(gate):
    """What a hunt finds is measured with fresh answers; without a find the test is skipped, not passed."""
    gate.require()
