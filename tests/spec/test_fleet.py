"""Fleet files: prices, limits and addresses by model name."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.spec.fleet import Fleet, Terms, load_fleet

GOOD = """
schema: 1
models:
  ft:gpt-small-*: {prompt_price: 0.3, completion_price: 1.2, requests_per_minute: 500, tokens_per_minute: 200000}
  "*": {urls: [http://one:8000/v1, "http://two:8000/v1/"]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(text.lstrip())
    return path


def test_the_first_pattern_that_fits_counts(tmp_path: Path) -> None:
    """A name or a pattern; what no pattern fits has no terms."""
    fleet = load_fleet(write(tmp_path, GOOD))
    small = fleet.terms("ft:gpt-small-2026:org::id")
    assert small.limits == {"requests_per_minute": 500, "tokens_per_minute": 200_000}
    assert small.cost(1_000_000, 500_000) == pytest.approx(0.9)
    assert fleet.terms("other").urls == ("http://one:8000/v1", "http://two:8000/v1")
    assert fleet.terms("other").cost(1, 1) is None
    assert Fleet().terms("other") == Terms()


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("m: {prompt_price: 1}", "names one price of two; give both"),
        ("m: {price: 1}", "price"),
        ("m: {requests_per_minute: 0}", "requests_per_minute=0"),
        ("m: {urls: []}", "urls"),
        ("m: {urls: ['http://user:secret@host/v1']}", "urls"),
        ("m: {urls: ['ftp://host']}", "urls"),
    ],
)
def test_a_broken_entry_is_one_line_with_its_place(tmp_path: Path, line: str, match: str) -> None:
    """File and line, value, rule and remedy."""
    with pytest.raises(SpecError, match=match) as caught:
        load_fleet(write(tmp_path, f"schema: 1\nmodels:\n  {line}\n"))
    assert "fleet.yaml:" in str(caught.value)
