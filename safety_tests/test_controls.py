"""Is the alarm awake? A planted organism must FAIL and its clean twin must PASS, in every run."""

import pytest


@pytest.mark.gate_rule("controls")
def test_controls(gate):
    """The gate catches each planted organism and lets its clean twin through; else the run is INVALID."""
    gate.require()
