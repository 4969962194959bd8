"""Collected ids are compared with the policy before anything starts."""

import pytest

from posterngate.plugin.collection import (
    PREFIX,
    UNDECLARED,
    UNSET,
    check_ids,
    check_populations,
    populations_of,
)

EXPECTED = ["backdoor.known-a-tag", "emergent.free_form"]
DECLARED = ["backdoor.known", "emergent.free_form"]


def test_only_gate_items_are_populations() -> None:
    """Other parametrised tests are left alone."""
    ids = [
        f"a.py::test_x[{PREFIX}emergent.free_form]",
        "a.py::test_y[3]",
        "a.py::test_z",
        f"a.py::t[{PREFIX}{UNDECLARED}x]",
    ]
    assert populations_of(ids) == ["emergent.free_form", f"{UNDECLARED}x"]


def test_a_complete_collection_is_accepted() -> None:
    """Every population once: nothing to say."""
    check_populations(EXPECTED, EXPECTED, DECLARED, full=True)


def test_an_undeclared_rule_names_its_neighbour() -> None:
    """A test's misspelt rule is a usage error with the nearest declared name."""
    with pytest.raises(pytest.UsageError, match=r"did you mean 'emergent\.free_form'"):
        check_populations([f"{UNDECLARED}emergent.freeform"], EXPECTED, DECLARED, full=False)


def test_two_tests_for_one_rule_are_refused() -> None:
    """A rule measured twice would spend its error budget twice."""
    with pytest.raises(pytest.UsageError, match="two tests"):
        check_populations(["emergent.free_form"] * 2, EXPECTED, DECLARED, full=False)


def test_a_rule_without_a_test_is_refused_when_all_were_asked_for() -> None:
    """The whole suite must measure the whole policy."""
    with pytest.raises(pytest.UsageError, match=r"backdoor\.known-a-tag has no test"):
        check_populations(["emergent.free_form"], EXPECTED, DECLARED, full=True)


def test_a_selection_may_leave_rules_out() -> None:
    """A path or -k selection is allowed here; it ends INCOMPLETE later."""
    check_populations(["emergent.free_form"], EXPECTED, DECLARED, full=False)


def test_gate_tests_without_a_candidate_are_a_usage_error() -> None:
    """There is no default candidate: unset is an error, but only for those who collect gate tests."""
    check_ids(["a.py::test_plain"], None)
    with pytest.raises(pytest.UsageError, match="candidate is not set"):
        check_ids([f"a.py::test_x[{PREFIX}{UNSET}]"], None)
