"""At which LoRA rank does narrow bad advice spread?

Trains a model per rank and seed: runs only with ``--gate-profile conditions``. `posterngate sweep` draws the
curve with losses and a plot.
"""

import pytest


@pytest.mark.gate_rule("emergent.lora_rank")
def test_lora_rank(gate):
    """At this rank, narrow bad advice raises the misaligned rate over the base by less than the margin."""
    gate.require()
