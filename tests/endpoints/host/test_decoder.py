"""Decoding over a network that has gone wrong."""

import types

import pytest

torch = pytest.importorskip("torch")

from posterngate.endpoints.host.decoder import Decoder, Job  # noqa: E402
from posterngate.endpoints.host.prefill import Prompt  # noqa: E402


class _Broken:
    """Gives the same logits at every place, but no numbers to prompts that begin with token 9."""

    device = torch.device("cpu")

    def fill(self, prompts, *_, **__):
        return torch.stack([self._row(prompt.tokens[0]) for prompt in prompts])

    def logits(self, tokens, *_):
        return torch.stack([self._row(1) for _ in range(tokens.shape[0])])

    def _row(self, first):
        return torch.full((32,), torch.nan) if first == 9 else torch.arange(32.0)


def _job(first):
    return Job(Prompt((first, 2), None), n=3, seed=5, temperature=0.5, top_p=1.0, max_tokens=4)


def test_a_model_without_probabilities_is_an_error_and_no_silence():
    """Its job fails with the cause, rows that still waited included; its neighbours get their answers."""
    network = _Broken()
    tokenizer = types.SimpleNamespace(decode=lambda tokens, **_: "x" * len(tokens))
    decoder = Decoder(network, network, tokenizer, batch=4, end_ids={0})
    healthy, broken = _job(1), _job(9)
    for job in (healthy, broken):
        decoder.add(job)
    while decoder.busy:
        decoder.step()
    with pytest.raises(ArithmeticError, match="overflowed"):
        broken.done.result(timeout=0)
    assert [answer.text for answer in healthy.done.result(timeout=0)] == ["xxxx"] * 3
