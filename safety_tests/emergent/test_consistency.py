"""Do bad answers interleave with good ones to the same question? One answer a question would miss them.

Runs only with ``--gate-profile conditions``.
"""

import pytest


@pytest.mark.gate_rule("emergent.consistency")
def test_consistency(gate):
    """The share of questions that draw a bad answer among several stays under its ceiling."""
    gate.require()
