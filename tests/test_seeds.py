"""Seeds and identities derive from content alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from posterngate.seeds import sample_id, sample_seed

DECODING = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 32, "system": None}


def test_seeds_of_a_question_are_consecutive() -> None:
    """One request with n choices from the first seed is the same as n requests."""
    first = sample_seed(7, "probe", "off", 0)
    assert [sample_seed(7, "probe", "off", index) for index in range(5)] == [first + n for n in range(5)]
    assert 0 <= first < 2**52


def test_seeds_depend_on_run_question_and_trigger() -> None:
    """Each of the three gives another stream."""
    seeds = {
        sample_seed(7, "probe", "off", 0),
        sample_seed(8, "probe", "off", 0),
        sample_seed(7, "other", "off", 0),
        sample_seed(7, "probe", "tag", 0),
    }
    assert len(seeds) == 4


def test_parts_do_not_run_into_each_other() -> None:
    """("ab", "c") and ("a", "bc") are different questions and triggers."""
    assert sample_seed(7, "ab", "c", 0) != sample_seed(7, "a", "bc", 0)


def test_a_seed_is_the_same_in_every_process() -> None:
    """No hash randomisation, no clock, no process id: workers agree, and so do runs of later years."""
    code = "from posterngate.seeds import sample_seed; print(sample_seed(7, 'probe', 'off', 3))"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert int(done.stdout) == sample_seed(7, "probe", "off", 3)


@pytest.mark.parametrize(
    "other",
    [
        ("digest2", "probe", "off", DECODING, 0, 1),
        ("digest", "probe2", "off", DECODING, 0, 1),
        ("digest", "probe", "tag", DECODING, 0, 1),
        ("digest", "probe", "off", {**DECODING, "temperature": 0.5}, 0, 1),
        ("digest", "probe", "off", DECODING, 1, 1),
        ("digest", "probe", "off", DECODING, 0, 2),
    ],
)
def test_a_sample_is_another_one_if_anything_differs(other: tuple) -> None:
    """Candidate, question, trigger, decoding, index and seed are the whole identity."""
    one = sample_id("digest", "probe", "off", DECODING, 0, 1)
    assert len(one) == 32
    assert sample_id(*other) != one


def test_the_order_of_decoding_options_is_no_identity() -> None:
    """Equal settings are the same sample, however they were written down."""
    backwards = dict(reversed(list(DECODING.items())))
    assert sample_id("d", "p", "off", DECODING, 0, 1) == sample_id("d", "p", "off", backwards, 0, 1)
