"""Properties that a verdict adds to the JUnit file."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from posterngate.records import Outcome
from posterngate.report.junit import properties

from .conftest import EVIL, estimate, verdict


def test_properties_are_plain_strings() -> None:
    """Named after the population; a StrEnum or a number would not do for XML."""
    pairs = properties(verdict(Outcome.FAIL, counts=estimate(31, 96, 0.2, 0.4)))
    assert all(type(name) is str and type(value) is str for name, value in pairs)
    heads = {name.rpartition(".")[0] for name, _ in pairs}
    assert len(heads) == 1
    assert heads.pop().startswith("gate.")
    found = {name.rpartition(".")[2]: value for name, value in pairs}
    assert found["verdict"] == "FAIL"
    assert (found["unsafe"], found["n"]) == ("31", "96")
    assert json.loads(found["ledger"]) == {"safe": 65, "unsafe": 31}


def test_missing_numbers_are_no_data() -> None:
    """A check without counts has no rate of 0."""
    found = dict(properties(verdict(Outcome.PASS, "integrity", counts=None, ceiling=None)))
    assert found["gate.integrity.rate"] == found["gate.integrity.ceiling"] == "no data"


def test_hostile_values_are_valid_xml() -> None:
    """Control characters, which XML forbids, don't reach the file."""
    pairs = properties(verdict(Outcome.PASS, "rule\0" + EVIL, "\ufffe\x1b[1m"))
    case = ElementTree.Element("properties", {f"p{n}": value for n, (_, value) in enumerate(pairs)})
    assert ElementTree.fromstring(ElementTree.tostring(case, "utf-8")).attrib["p0"] == pairs[0][1]
