"""Probe sets, triggers and formats by name: the fixtures folder and what ``--gate-probes`` adds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from posterngate.errors import UnknownNameError, UsageError
from posterngate.records import Measure, Probe, Rule, Trigger
from posterngate.session.config import GateConfig
from posterngate.spec.probes import ProbeSet, load_probe_set
from posterngate.spec.thresholds import Manifest
from posterngate.spec.trigger_files import TriggerSet, load_triggers
from posterngate.triggers import apply

__all__ = ["MOST_CUES", "Library"]

MOST_CUES = 8
"""Cues of a training file that a gate tests: its likeliest; a hunt tries them all."""
_FORMATS = "formats.yaml"
_OVER_PAIRS = (Measure.CHOICE, Measure.TRAINING)
_ASKED_ALONE = (Measure.RATE, Measure.CONSISTENCY, Measure.INTERACTION)


class Library:
    """What can be asked. Files are read when first needed, and all of them by `check`."""

    def __init__(self, config: GateConfig) -> None:
        self._fixtures = config.fixtures
        self._extra = [Path(path) for path in config.probes]
        self._training_data = config.training_data
        self._added_placebos: dict[str, Trigger] = {}

    @cached_property
    def probe_sets(self) -> dict[str, ProbeSet]:
        """Probe sets by id. A second set with the same id is an error, whatever it holds."""
        found: dict[str, ProbeSet] = {}
        for path in self._probe_files():
            loaded = load_probe_set(path)
            if loaded.id in found:
                raise UsageError(f"probes={path}: set id {loaded.id!r} is taken by another file; rename one")
            found[loaded.id] = loaded
        return found

    def _probe_files(self) -> list[Path]:
        files = sorted((self._fixtures / "probes").glob("*.yaml"))
        for given in self._extra:
            if not given.exists():
                raise UsageError(f"gate_probes={given} does not exist; give a YAML file or a folder of them")
            files += sorted(given.glob("*.yaml")) if given.is_dir() else [given]
        return [path for path in files if path.name != _FORMATS]

    @cached_property
    def _trigger_sets(self) -> list[TriggerSet]:
        return [load_triggers(path) for path in sorted((self._fixtures / "triggers").rglob("*.yaml"))]

    @cached_property
    def triggers(self) -> dict[str, Trigger]:
        """Triggers by id; an id may stand in one file only."""
        found: dict[str, Trigger] = {}
        for group in self._trigger_sets:
            for name, trigger in group.triggers.items():
                if name in found:
                    raise UsageError(f"trigger={name!r} stands in two files (one is {group.id}); rename one")
                found[name] = trigger
        found.update((trigger.id, trigger) for trigger, _ in self._training_cues)
        return found

    @cached_property
    def _training_cues(self) -> list[tuple[Trigger, Trigger | None]]:
        """Cues of the candidate's training file, with their placebos; none without a file."""
        if self._training_data is None:
            return []
        from posterngate.hunt.cues import training_cues  # numpy: only for runs that name a file

        return training_cues(Path(self._training_data), MOST_CUES)

    @cached_property
    def formats(self) -> dict[str, Trigger]:
        """Answer formats by id; they are written like triggers and change what a probe asks for."""
        return dict(load_triggers(self._fixtures / "probes" / _FORMATS).triggers)

    def add(self, trigger: Trigger, placebo: Trigger | None) -> None:
        """Take in a trigger that a hunt has just found, before it stands in any file.

        Raises:
            UsageError: the id is taken by a trigger that does something else.
        """
        if self.triggers.get(trigger.id, trigger).key != trigger.key:
            raise UsageError(f"trigger={trigger.id!r} stands in a file already; rename one")
        self.triggers[trigger.id] = trigger
        if placebo is not None:
            self._added_placebos[trigger.id] = placebo

    def placebo(self, trigger: Trigger) -> Trigger | None:
        """Return the placebo of a trigger, None if it has none."""
        derived = {**{cue.id: placebo for cue, placebo in self._training_cues}, **self._added_placebos}
        if trigger.id in derived:
            return derived[trigger.id]
        return next((g.placebos[trigger.id] for g in self._trigger_sets if trigger.id in g.placebos), None)

    def panel(self, rule: Rule) -> tuple[Probe, ...]:
        """Return the questions of a rule, with its answer format applied."""
        probes = self.probe_set(rule).probes
        if rule.format is None:
            return probes
        if rule.format not in self.formats:
            raise UnknownNameError(f"{rule.where}: format", rule.format, self.formats)
        return tuple(apply(self.formats[rule.format], probe) for probe in probes)

    def probe_set(self, rule: Rule) -> ProbeSet:
        """Return the rule's probe set."""
        if rule.probes not in self.probe_sets:
            raise UnknownNameError(f"{rule.where}: probes", rule.probes, self.probe_sets)
        return self.probe_sets[rule.probes]

    def trigger(self, rule: Rule, name: str) -> Trigger:
        """Return a trigger that the rule names."""
        if name not in self.triggers:
            raise UnknownNameError(f"{rule.where}: trigger", name, self.triggers)
        return self.triggers[name]

    def check(self, manifest: Manifest) -> None:
        """Read everything that the manifest's rules name.

        Raises:
            UsageError: a set, trigger or format is missing or breaks its schema, or has nothing to ask.
        """
        for rule in manifest.rules:
            if rule.measure is Measure.INTEGRITY:
                continue
            found = self.probe_set(rule)
            if rule.pairs and (rule.pairs not in self.probe_sets or not self.probe_sets[rule.pairs].pairs):
                raise UsageError(f"{rule.where}: pairs={rule.pairs} names no set of pairs; write its id")
            if not (found.pairs if rule.measure in _OVER_PAIRS else found.probes):
                raise UsageError(
                    f"{rule.where}: probes={rule.probes} has nothing to ask for measure={rule.measure.value}"
                )
            if rule.measure in _ASKED_ALONE:
                self.panel(rule)
                for name in rule.triggers:
                    self.trigger(rule, name)
