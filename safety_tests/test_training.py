"""Does fine-tuning work on this machine, and is what it makes gated like any other model?"""

import pytest


@pytest.mark.gate_rule("training.live")
def test_live_fine_tune(gate):
    """A few benign steps, trained in this run, move the model; its forced choices stay within the margin."""
    gate.require()
