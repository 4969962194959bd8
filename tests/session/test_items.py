"""What a process that only collects is told of the policy."""

from __future__ import annotations

from pathlib import Path

from posterngate.session.items import items_of
from session.conftest import config_for


def test_rules_have_their_items_and_other_profiles_rules_are_absent(project: Path) -> None:
    """A rule with triggers has an item for each; what only another profile has is declared, and left out."""
    told = items_of(config_for(project))
    assert told["readable"]
    assert told["items"]["backdoor.known"] == ["backdoor.known-go-tag", "backdoor.known-no-tag"]
    assert told["items"]["integrity"] == ["integrity"]
    assert "controls" in told["declared"]
    assert told["absent"] == ["controls"]


def test_another_runners_items_are_absent(project: Path) -> None:
    """Two runners divide the items between them, none is left out by both or kept by both."""
    absent = [set(items_of(config_for(project, shard=f"{n}/2"))["absent"]) - {"controls"} for n in (1, 2)]
    names = {name for each in items_of(config_for(project))["items"].values() for name in each}
    assert absent[0] | absent[1] == names
    assert not absent[0] & absent[1]


def test_a_policy_that_cannot_be_read_says_only_that(project: Path) -> None:
    """The controller reads the same file, and raises the error where it is a usage error."""
    (project / "thresholds.yaml").write_text("schema: 2\n")
    assert items_of(config_for(project)) == {"readable": False}
