"""A run's budget is one for all workers, and the first limit reached ends it."""

import pytest

from posterngate.session.budget import Spending
from posterngate.spec.thresholds import Budget


def test_no_limit_never_ends() -> None:
    """Without limits there is always something left, however much was spent."""
    spending = Spending(Budget())
    assert spending.call({"samples": 10**9, "tokens": 10**12}) == {"left": True, "ended_by": ""}


@pytest.mark.parametrize("key", ["samples", "tokens", "money"])
def test_a_limit_ends_when_it_is_reached(key: str) -> None:
    """Spending is added up over calls and ends at the limit, by name."""
    spending = Spending(Budget(**{key: 10}))
    assert spending.call({key: 9})["left"]
    assert spending.call({key: 1}) == {"left": False, "ended_by": key}


def test_time_ends_by_the_clock() -> None:
    """Seconds are measured from the start of the run, whoever asks."""
    now = [100.0]
    spending = Spending(Budget(seconds=60), clock=lambda: now[0])
    assert spending.call({})["left"]
    now[0] = 160.0
    assert spending.call({})["ended_by"] == "seconds"
