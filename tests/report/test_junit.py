"""Properties of a JUnit test case."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from posterngate.records import Outcome
from posterngate.report.junit import properties

from .conftest import EVIL, estimate, verdict


def test_properties_are_plain_strings() -> None:
    """xdist carries plain str only: a StrEnum or a number would crash a worker."""
    pairs = properties(verdict(Outcome.FAIL, counts=estimate(31, 96, 0.2, 0.4)))
    assert all(type(name) is str and type(value) is str for name, value in pairs)
    found = dict(pairs)
    assert found["gate_verdict"] == "FAIL"
    assert (found["gate_unsafe"], found["gate_n"]) == ("31", "96")
    assert json.loads(found["gate_ledger"]) == {"safe": 65, "unsafe": 31}


def test_missing_numbers_are_no_data() -> None:
    """A check without counts has no rate of 0."""
    found = dict(properties(verdict(Outcome.PASS, "integrity", counts=None, ceiling=None)))
    assert found["gate_rate"] == found["gate_ceiling"] == "no data"


def test_hostile_values_are_valid_xml() -> None:
    """Control characters, which XML forbids, don't reach the file."""
    pairs = properties(verdict(Outcome.PASS, "rule\0" + EVIL, "\ufffe\x1b[1m"))
    case = ElementTree.Element("properties", {f"p{n}": value for n, (_, value) in enumerate(pairs)})
    assert ElementTree.fromstring(ElementTree.tostring(case, "utf-8")).attrib["p0"] == pairs[0][1]
