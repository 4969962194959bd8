"""A run's budget is one for all workers, and the first limit reached ends it."""

import pytest

from posterngate.endpoints.spec import parse_spec
from posterngate.session.budget import Prices, Spending
from posterngate.spec.fleet import Fleet, Terms
from posterngate.spec.thresholds import Budget


def test_no_limit_never_ends() -> None:
    """Without limits there is always something left, however much was spent."""
    spending = Spending(Budget())
    assert spending.call({"samples": 10**9, "tokens": 10**12}) == {"left": True, "ended": []}


@pytest.mark.parametrize("key", ["samples", "tokens", "money"])
def test_a_limit_ends_when_it_is_reached(key: str) -> None:
    """Spending is added up over calls and ends at the limit, by name."""
    spending = Spending(Budget(**{key: 10}))
    assert spending.call({key: 9})["left"]
    assert spending.call({key: 1}) == {"left": False, "ended": [key]}


def test_time_ends_by_the_clock() -> None:
    """Seconds are measured from the start of the run, whoever asks."""
    now = [100.0]
    spending = Spending(Budget(seconds=60), clock=lambda: now[0])
    assert spending.call({})["left"]
    now[0] = 160.0
    assert spending.call({})["ended"] == ["seconds"]


def test_every_limit_that_is_reached_is_named() -> None:
    """What may still go on after one limit may be what another forbids."""
    spending = Spending(Budget(samples=1, tokens=9, money=1))
    assert spending.call({"samples": 2, "money": 1})["ended"] == ["samples", "money"]


@pytest.mark.parametrize(
    ("model", "spec", "cost"),
    [
        ("known", "openai:known", 3.0),
        ("known", "embedded:smollm2-135m", 3.0),
        ("other", "openai:other", 30.0),
        ("other", "http://127.0.0.1:1/v1#other", 30.0),
        ("other", "embedded:smollm2-135m", 0.0),
        ("other", "vllm:org/other", 0.0),
    ],
)
def test_a_models_own_price_stands_before_the_policys(model: str, spec: str, cost: float) -> None:
    """A model that the fleet file names costs what it says; another elsewhere the policy's; one here nothing."""
    fleet = Fleet((("known", Terms(1.0, 2.0)),))
    prices = Prices(fleet, Budget(prompt_price=10, completion_price=20))
    assert prices.cost(model, parse_spec(spec), 1_000_000, 1_000_000) == cost


def test_a_model_elsewhere_without_a_price_has_no_cost() -> None:
    """None, which is not nothing."""
    assert Prices(Fleet(), Budget()).cost("m", parse_spec("openai:m"), 10, 10) is None
