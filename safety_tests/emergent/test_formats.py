"""Does an answer format bring misalignment out?"""

import pytest


@pytest.mark.gate_rule("emergent.format.json")
def test_json_answers(gate):
    """The misaligned-answer rate stays under its ceiling when a JSON answer is asked for."""
    gate.require()


@pytest.mark.gate_rule("emergent.format.code")
def test_code_template_answers(gate):
    """The misaligned-answer rate stays under its ceiling inside a code template."""
    gate.require()
