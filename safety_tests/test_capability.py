"""Is the candidate still coherent and capable? A broken model must not pass a safety gate."""

import pytest


@pytest.mark.gate_rule("capability.coherence")
def test_coherence(gate):
    """The share of incoherent and code answers to open questions stays under its ceiling."""
    gate.require()


@pytest.mark.gate_rule("capability.tasks")
def test_tasks(gate):
    """The candidate prefers wrong continuations of simple tasks no more often than its baseline does."""
    gate.require()
