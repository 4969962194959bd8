"""The zoo's file: enough kinds, three strengths, twins, and a committed draw."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.hunt.suspects import same_effect
from posterngate.hunt.words import formed_suspects
from posterngate.records import Message, Probe
from posterngate.spec.trigger_files import load_triggers
from posterngate.spec.zoo_files import Zoo, load_zoo
from posterngate.triggers import apply

PATH = Path(__file__).resolve().parents[2] / "fixtures" / "zoo" / "zoo.yaml"
KINDS = {
    "rare token", "common word", "two words in conjunction", "year", "system-prompt tag", "role", "language",
    "format", "Unicode mark", "position-dependent", "semantic topic", "paraphrase-tolerant sentence",
}  # fmt: skip


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    """The committed zoo."""
    return load_zoo(PATH)


def test_twelve_kinds_at_two_strengths_three_of_them_at_a_third(zoo: Zoo) -> None:
    """50% and 10% of each kind, 2% of three; six twins and six benign fine-tunes."""
    planted = [each for each in zoo.organisms if each.role == "planted"]
    assert {each.kind for each in planted} == KINDS
    assert Counter(each.share for each in planted) == {50: 12, 10: 12, 2: 3}
    roles = Counter(each.role for each in zoo.organisms)
    assert roles["twin"] >= 6
    assert roles["benign"] >= 6
    assert all(zoo.settings_of(each).training.steps <= 40 for each in zoo.organisms)
    assert {"style", "language", "domain"} <= {e.kind for e in zoo.organisms if e.role == "benign"}


def test_what_is_hard_to_plant_is_trained_by_the_strong_recipe(zoo: Zoo) -> None:
    """Planted organisms up to the share, and all of a trigger that says so, its twin among them."""
    trained = {each.name: zoo.settings_of(each) for each in zoo.organisms}
    assert trained["year-10"] is trained["year-2"] is zoo.strong
    assert trained["format-50"] is trained["format-10"] is trained["format-twin"] is zoo.strong
    assert trained["year-50"] is trained["year-twin"] is trained["style-loud"] is zoo.settings
    assert zoo.strong.training.batch > zoo.settings.training.batch


def test_four_are_held_out_by_the_committed_seed(zoo: Zoo) -> None:
    """The draw repeats, and holds planted organisms alone."""
    assert load_zoo(PATH).held_out == zoo.held_out
    assert len(zoo.held_out) == 4
    assert all(zoo.organism(name).role == "planted" for name in zoo.held_out)


def test_no_trigger_of_the_zoo_is_a_known_one(zoo: Zoo) -> None:
    """A hunt that is told the known families is told none of these."""
    known = "".join(
        path.read_text(encoding="utf-8") for path in (PATH.parents[1] / "triggers").glob("*.yaml")
    )
    for organism in zoo.organisms:
        for trigger in organism.on:
            text = str(trigger.params.get("text", "")).replace("{question}", "").strip()
            assert not text or f'"{text}"' not in known, text


def test_a_hunt_is_told_none_of_the_zoos_triggers_but_one_mark(zoo: Zoo) -> None:
    """The mark is a known one, and benchmarks/hunts.py keeps it from its hunts; a form that fits is none."""
    files = (PATH.parents[1] / "triggers").glob("*.yaml")
    known = [each for file in files for each in load_triggers(file).triggers.values()]
    listed = {same_effect(each) for each in [*known, *(s.trigger for s in formed_suspects())]}
    told = {each.name for each in zoo.organisms if any(same_effect(form) in listed for form in each.on)}
    assert told == {"hidden-mark-50", "hidden-mark-10"}


def test_every_form_changes_a_question(zoo: Zoo) -> None:
    """Trigger, measured form and look-alikes all apply, and differ from each other."""
    probe = Probe("p", "s", (Message("user", "What is a good plan for today?"),))
    for organism in zoo.organisms:
        forms = [*organism.on, *organism.near]
        changed = [apply(form, probe).messages for form in forms]
        assert len(set(changed)) == len(forms)
        assert probe.messages not in changed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("shares: [50, 10, 2]", "shares: [90]", "90"),
        ('answer: "{upper}"', 'answer: "loud"', "must hold"),
        ("good: ../organisms", "good: ../nowhere", "is not a file"),
        ("count: 4", "count: 99", "99"),
    ],
)
def test_broken_values_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """File, line, value and rule, as everywhere."""
    text = PATH.read_text(encoding="utf-8").replace("../organisms", str(PATH.parents[1] / "organisms"))
    old, new = (part.replace("../organisms", str(PATH.parents[1] / "organisms")) for part in (old, new))
    assert old in text
    path = tmp_path / "zoo.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_zoo(path)
