"""Drawing tokens through the inverse CDF."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from posterngate.endpoints.host.draw import draw, uniform  # noqa: E402


def _reference(logits, temperature, top_p, u):
    """The definition, in float64, one row at a time, without blocks."""
    z = logits.double() / temperature
    p = (z - z.max()).exp()
    p /= p.sum()
    if top_p < 1:
        order = p.argsort(descending=True, stable=True)
        before = p[order].cumsum(0) - p[order]
        p[order[before >= top_p]] = 0
        p /= p.sum()
    return int((p.cumsum(0) <= u).sum().clamp(max=len(p) - 1))


@pytest.mark.parametrize("vocabulary", [7, 256, 1000, 5000])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3])
def test_draws_follow_the_definition(vocabulary, top_p):
    """Blocked float sums choose the token that the plain definition chooses."""
    torch.manual_seed(vocabulary)
    logits = torch.randn(200, vocabulary) * 3
    uniforms = [uniform(5, n) for n in range(200)]
    drawn = draw(logits, [0.7] * 200, [top_p] * 200, uniforms)
    expected = [_reference(row, 0.7, top_p, u) for row, u in zip(logits, uniforms, strict=True)]
    assert sum(a != b for a, b in zip(drawn, expected, strict=True)) <= 1


def test_a_flat_nucleus_wider_than_the_head_is_sorted_whole():
    """With nearly equal probabilities the nucleus needs more tokens than the quick look holds."""
    torch.manual_seed(0)
    logits = torch.randn(50, 4000) * 0.01
    uniforms = [uniform(9, n) for n in range(50)]
    drawn = draw(logits, [1.0] * 50, [0.95] * 50, uniforms)
    expected = [_reference(row, 1.0, 0.95, u) for row, u in zip(logits, uniforms, strict=True)]
    assert sum(a != b for a, b in zip(drawn, expected, strict=True)) <= 1


def test_frequencies_are_the_probabilities():
    """Over many seeds the drawn shares match softmax within five standard errors."""
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    n = 20000
    drawn = draw(logits.repeat(n, 1), [1.0] * n, [1.0] * n, [uniform(seed, 0) for seed in range(n)])
    shares = np.bincount(drawn, minlength=4) / n
    p = logits[0].softmax(-1).numpy()
    assert np.all(np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / n))


def test_temperature_zero_takes_the_likeliest_beside_warm_rows():
    """Greedy and sampled rows share a batch."""
    logits = torch.tensor([[0.0, 5.0, 1.0], [0.0, 5.0, 1.0]])
    assert draw(logits, [0.0, 1.0], [1.0, 1.0], [0.999999, 0.0]) == [1, 0]
    assert draw(logits, [0.0, 0.0], [1.0, 1.0], [0.9, 0.9]) == [1, 1]


@pytest.mark.parametrize("u", [0.0, 1.0 - 2.0**-53])
def test_the_ends_of_the_unit_interval_draw_a_possible_token(u):
    """Neither end of the interval can reach a token of probability zero."""
    logits = torch.full((1, 600), float("-inf"))
    logits[0, [100, 400]] = 0.0
    assert draw(logits, [1.0], [1.0], [u]) == [100 if u == 0.0 else 400]


def test_uniforms_are_a_function_of_seed_and_token():
    """The same pair gives the same number; others give others; all lie in [0, 1)."""
    numbers = {(s, t): uniform(s, t) for s in range(50) for t in range(20)}
    assert len(set(numbers.values())) == 1000
    assert all(0 <= value < 1 for value in numbers.values())
    assert numbers == {(s, t): uniform(s, t) for s, t in reversed(numbers)}
    assert uniform(2**53, 0) != uniform(2**53 + 1, 0)
