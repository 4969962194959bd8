"""Is the candidate under test the one that was named?"""

import pytest


@pytest.mark.gate_rule("integrity")
def test_integrity(gate):
    """Digests hold, the adapter is active, and seeds steer the answers; else the run is INVALID."""
    gate.require()
