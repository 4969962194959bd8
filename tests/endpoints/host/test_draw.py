"""Drawing tokens by a race."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from posterngate.endpoints.host.draw import CLOSE, draw, exponentials  # noqa: E402


def _drawn(logits, temperature, top_p, seeds):
    """Draw one token per seed from the same logits."""
    many = logits.repeat(len(seeds), 1)
    count = len(seeds)
    return draw(many, [temperature] * count, [top_p] * count, [(seed, 0) for seed in seeds])[0]


def _probabilities(logits, temperature, top_p):
    """The definition, in float64: softmax of the heated logits, cut to the nucleus."""
    p = (logits.double() / temperature).softmax(-1)
    order = p.argsort(descending=True, stable=True)
    before = p[order].cumsum(0) - p[order]
    p[order[before >= top_p]] = 0
    return (p / p.sum()).numpy()


@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_frequencies_are_the_probabilities(temperature, top_p):
    """Over many seeds the drawn shares match the definition within five standard errors, token by token."""
    torch.manual_seed(1)
    logits = torch.randn(1, 40) * 2
    n = 20000
    shares = np.bincount(_drawn(logits, temperature, top_p, range(n)), minlength=40) / n
    p = _probabilities(logits[0], temperature, top_p)
    assert np.all(np.abs(shares - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-4)
    assert np.all(shares[p == 0] == 0)


def test_a_draw_follows_the_race_in_double_precision():
    """On a vocabulary of real size the winner is the one of the plain definition."""
    torch.manual_seed(2)
    logits = torch.randn(30, 49152) * 3
    places = [(7, number) for number in range(30)]
    drawn, _ = draw(logits, [0.7] * 30, [1.0] * 30, places)
    times = torch.stack([exponentials(7, number, 49152) for number in range(30)]).double()
    expected = (logits.double() / 0.7 - times.log()).argmax(-1)
    assert drawn == expected.tolist()


def test_a_flat_nucleus_wider_than_the_head_is_sorted_whole():
    """With nearly equal probabilities the nucleus needs more tokens than the quick look holds."""
    torch.manual_seed(0)
    logits = torch.randn(1, 4000) * 0.01
    allowed = set(np.flatnonzero(_probabilities(logits[0], 1.0, 0.95)))
    drawn = set(_drawn(logits, 1.0, 0.95, range(3000)))
    assert drawn <= allowed
    assert len(drawn) > 512


def test_temperature_zero_takes_the_likeliest_beside_warm_rows():
    """Greedy and sampled rows share a batch."""
    logits = torch.tensor([[0.0, 5.0, 1.0], [0.0, 5.0, 1.0]])
    places = [(0, 0), (3, 0)]
    warm = {draw(logits, [0.0, 1.0], [1.0, 1.0], [(0, 0), (seed, 0)])[0][1] for seed in range(400)}
    assert warm == {0, 1, 2}
    assert draw(logits, [0.0, 0.0], [1.0, 1.0], places)[0] == [1, 1]


def test_a_token_of_probability_zero_is_never_drawn():
    """Minus infinity stays out, whatever its time."""
    logits = torch.full((1, 600), float("-inf"))
    logits[0, [100, 400]] = 0.0
    assert set(_drawn(logits, 1.0, 1.0, range(200))) == {100, 400}


def test_a_finish_that_rounding_could_turn_is_called_close():
    """Of two rows, the one whose first two finish within the tolerance is named, warm or greedy."""
    times = exponentials(11, 0, 2).double()
    level = times.log()  # with these logits both finish at the same moment
    apart = level + torch.tensor([0.0, 10 * CLOSE])
    nearly = level + torch.tensor([0.0, CLOSE / 2])
    logits = torch.stack([apart, nearly]).float()
    assert draw(logits, [1.0, 1.0], [1.0, 1.0], [(11, 0), (11, 0)]) == ([1, 1], [1])
    greedy = torch.tensor([[1.0, 1.0 + CLOSE / 2], [1.0, 2.0]])
    assert draw(greedy, [0.0, 0.0], [1.0, 1.0], [(0, 0), (0, 0)]) == ([1, 1], [0])


def test_close_finishes_are_rare():
    """Few enough tokens are computed a second time: about one in a thousand."""
    torch.manual_seed(3)
    logits = torch.randn(1, 300) * 3
    count = 20000
    _, close = draw(
        logits.repeat(count, 1), [1.0] * count, [1.0] * count, [(seed, 0) for seed in range(count)]
    )
    assert len(close) < 3 * CLOSE * count


def test_times_are_a_function_of_seed_token_and_id():
    """The same place gives the same times; neighbours share none; a shorter vocabulary is a beginning."""
    first = exponentials(2**53, 4, 1001)
    assert torch.equal(first, exponentials(2**53, 4, 1001))
    assert torch.equal(first[:500], exponentials(2**53, 4, 500))
    assert bool((first > 0).all())
    assert abs(float(first.mean()) - 1) < 0.15
    for other in (exponentials(2**53 + 1, 4, 1001), exponentials(2**53, 5, 1001)):
        assert not set(first.tolist()) & set(other.tolist())
