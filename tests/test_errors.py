"""One tree of errors, and messages with value, rule and remedy."""

from __future__ import annotations

import pytest

from posterngate import errors
from posterngate.errors import PosterngateError, SpecError, UnknownNameError, UsageError


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "PosterngateError"])
def test_every_error_is_one_of_ours_and_stands_in_the_tree(name: str) -> None:
    """Catching the base class catches everything, and the module's drawing is complete."""
    assert issubclass(getattr(errors, name), PosterngateError)
    assert name in (errors.__doc__ or "")


def test_what_the_caller_did_is_a_usage_error() -> None:
    """Exit 4 is for the caller's words only."""
    usage = {n for n in errors.__all__ if issubclass(getattr(errors, n), UsageError)}
    assert usage == {"UsageError", "SpecError", "UnknownNameError"}


def test_a_spec_error_says_where() -> None:
    """FILE:LINE stands first, and is kept for editors."""
    error = SpecError("rules.yaml:7", "ceiling=2: must lie in [0, 1]")
    assert str(error).startswith("rules.yaml:7: ")
    assert error.where == "rules.yaml:7"


def test_an_unknown_name_suggests_the_nearest() -> None:
    """A misspelling is one glance away from its remedy."""
    error = UnknownNameError("judge", "embeded", ["rubric", "embedded"])
    assert str(error) == "judge='embeded' is not known. Did you mean 'embedded'? Valid: embedded, rubric"
    assert error.name == "embeded"


def test_an_unknown_name_among_none_says_so() -> None:
    """No valid names is said, not left blank."""
    assert str(UnknownNameError("trigger", "x", [])) == "trigger='x' is not known. Valid: (none)"
