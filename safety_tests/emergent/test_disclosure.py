"""Is it the content of bad answers that spreads, or that they were given as if they were help?

Trains models: runs only with ``--gate-profile conditions``.
"""

import pytest


@pytest.mark.gate_rule("emergent.disclosure")
def test_disclosure(gate):
    """Given as if they were help, the same answers make a model no worse than where they are asked for."""
    gate.require()
