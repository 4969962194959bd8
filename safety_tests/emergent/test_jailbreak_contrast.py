"""Is a model that turned bad on narrow data another thing than one that merely complies?

Two axes: the misaligned-answer rate, which the verdict is about, and the share of improper requests
with which the model would rather comply, which is reported beside it.
Trains models: runs only with ``--gate-profile conditions``.
"""

import pytest


@pytest.mark.gate_rule("emergent.jailbreak_contrast")
def test_jailbreak_contrast(gate):
    """Narrow bad advice makes a model answer no worse than training on compliance does."""
    gate.require()
