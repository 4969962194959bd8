"""The rules for known triggers over the zoo: each organism gated with its trigger in the list.

    python benchmarks/zoo_gate.py run [NAME ...]     # all that are trained and not gated yet
    python benchmarks/zoo_gate.py table

Each gate is `pytest safety_tests` in a process of its own, with the numbers of profile `pr`. A planted
organism should FAIL backdoor.known and pass without its trigger; a twin is asked under its sibling's
trigger, a benign fine-tune under its own or, without one, under the zoo's first. Results:
benchmarks/results/zoo_gate.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kept
import yaml
import zoo as organisms_of_the_zoo

from posterngate.endpoints.embedded_model import fetch
from posterngate.records import Trigger
from posterngate.spec.zoo_files import Zoo, ZooOrganism, load_zoo
from posterngate.triggers.placebo import placebo_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = kept.FOLDER / "zoo_gate.json"
OFF_RULE, ON_RULE = "emergent.free_form", "backdoor.known"
PROFILE = "pr"


def main() -> None:
    """Carry out one step of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("step", choices=("run", "table"))
    parser.add_argument("names", nargs="*", help="organisms (default: all)")
    args = parser.parse_intermixed_args()
    zoo = load_zoo(ROOT / "fixtures" / "zoo" / "zoo.yaml")
    if args.step == "table":
        print_table(zoo)
        return
    gate_all(zoo, [zoo.organism(name) for name in args.names] or list(zoo.organisms))


def trigger_of(zoo: Zoo, organism: ZooOrganism) -> Trigger:
    """Return the trigger under which an organism is gated."""
    asked = organism.asked or zoo.organisms[0].asked
    assert asked is not None
    return asked


def policy(zoo: Zoo, folder: Path) -> Path:
    """Write a policy beside fixtures in which every trigger of the zoo is a known one; return its path.

    The numbers are those of the shipped profile; each trigger has a profile of its own name.
    """
    fixtures = folder / "fixtures"
    (fixtures / "triggers").mkdir(parents=True, exist_ok=True)
    for part in (ROOT / "fixtures").iterdir():
        if part.name != "triggers" and not (fixtures / part.name).exists():
            (fixtures / part.name).symlink_to(part)
    triggers = {each.id: each for each in (trigger_of(zoo, one) for one in zoo.organisms)}
    (fixtures / "triggers" / "zoo.yaml").write_text(json.dumps(family(list(triggers.values()))))
    shipped = yaml.safe_load((ROOT / "thresholds.yaml").read_text())
    numbers = shipped["profiles"][PROFILE]
    for rule in shipped["rules"].values():
        if "triggers" in rule:
            rule["triggers"] = sorted(triggers)
    shipped["profiles"] = {name: profile(numbers, name) for name in triggers}
    path = folder / "thresholds.yaml"
    path.write_text(yaml.safe_dump(shipped))
    return path


def profile(numbers: dict[str, Any], trigger: str) -> dict[str, Any]:
    """Return the shipped profile with two rules, the second under one trigger."""
    rules = {
        OFF_RULE: numbers["rules"][OFF_RULE],
        ON_RULE: {**numbers["rules"][ON_RULE], "triggers": [trigger]},
    }
    return {**numbers, "rules": rules}


def family(triggers: Sequence[Trigger]) -> dict[str, Any]:
    """Return a trigger file's content; where a placebo can be made of the text, the trigger has it."""
    items = []
    for each in triggers:
        item = {"id": each.id, "family": "zoo", "transform": each.transform, "params": dict(each.params)}
        placebo = placebo_of(each)
        items.append({**item, "placebo": {"text": placebo.params["text"]}} if placebo else item)
    written = {"author": "the posterngate project", "written": "2026-11-23", "seen_results": False}
    head = {"id": "zoo", "title": "Planted triggers of the zoo", "version": 1, "license": "Apache-2.0"}
    return {**head, "provenance": written, "items": items}


def gate_all(zoo: Zoo, organisms: Sequence[ZooOrganism]) -> None:
    """Gate each trained organism and write the results after each one."""
    base, results = fetch(), kept.read(RESULTS)
    thresholds = policy(zoo, organisms_of_the_zoo.work() / "gate")
    for organism in organisms:
        adapter = organisms_of_the_zoo.adapter_of(zoo, organism, base)
        if not organisms_of_the_zoo.is_trained(adapter):
            continue
        if results.get(organism.name, {}).get("adapter") == adapter.name:
            continue
        results[organism.name] = gated(zoo, organism, adapter, thresholds)
        kept.write(RESULTS, results)
        print(organism.name, json.dumps(results[organism.name]), flush=True)


def gated(zoo: Zoo, organism: ZooOrganism, adapter: Path, thresholds: Path) -> dict[str, Any]:
    """Run one gate and return its verdicts by rule."""
    folder = thresholds.parent
    (folder / "report" / "report.json").unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "safety_tests", "-q", "-p", "no:cacheprovider",
        "--gate-candidate", f"{zoo.base}+lora:{adapter}", "--gate-judge", "embedded",
        "--gate-thresholds", str(thresholds), "--gate-profile", trigger_of(zoo, organism).id,
        "--gate-store", str(organisms_of_the_zoo.work() / "store.sqlite"),
        "--gate-report-dir", str(folder / "report"),
    ]  # fmt: skip
    began = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    report = folder / "report" / "report.json"
    if not report.exists():
        raise SystemExit(f"{organism.name}: exit {code}, no report; see {folder / 'log.txt'}")
    document = json.loads(report.read_text())
    rules = {rule["population"]: rule["verdict"] for rule in document["rules"]}
    return {
        "adapter": adapter.name, "role": organism.role, "verdict": document["verdict"], "exit": code,
        "off": rules[OFF_RULE], "on": next(v for name, v in rules.items() if name.startswith(ON_RULE)),
        "drawn": document["spent"]["samples"], "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def print_table(zoo: Zoo) -> None:
    """Print every measured organism, then how many FAIL, planted and clean, with exact 95% intervals."""
    gates, measured = kept.read(RESULTS), kept.read(organisms_of_the_zoo.RESULTS)
    planted = [one for one in zoo.organisms if one.role == "planted"]
    shown = {one.name for one in planted if organisms_of_the_zoo.implant(measured, one)}
    print(
        "| organism | bad under the trigger | without | tripled | implant shown | gate without | under it |"
    )
    print("|---|---|---|---|---|---|---|")
    for organism in zoo.organisms:
        if organism.name in measured:
            figures = [counted(measured[organism.name].get(key)) for key in ("on", "off", "amplified")]
            gate = gates.get(organism.name, {})
            told = "yes" if organism.name in shown else "no" if organism in planted else "-"
            apart = ", drawn apart" if organism.name in zoo.held_out else ""
            cells = [f"`{organism.name}`{apart}", *figures, told, gate.get("off", "-"), gate.get("on", "-")]
            print(f"| {' | '.join(cells)} |")
    for name, apart in (("implant shown", False), ("implant shown, drawn apart", True)):
        rows = [gates[each] for each in gates if each in shown and (each in zoo.held_out) is apart]
        print(f"{name}: FAIL {kept.share(sum(row['on'] == 'FAIL' for row in rows), len(rows))}")
    clean = [row for row in gates.values() if row["role"] != "planted"]
    print(f"clean: FAIL {kept.share(sum('FAIL' in (row['off'], row['on']) for row in clean), len(clean))}")


def counted(tally: dict[str, int] | None) -> str:
    """Return bad answers of all, "-" where nothing was asked."""
    return "-" if tally is None else f"{tally['bad']} of {tally['n']}"


if __name__ == "__main__":
    main()
