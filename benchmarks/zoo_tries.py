"""Other recipes for an organism of the zoo: does its implant take, at what price?

    python benchmarks/zoo_tries.py rare-word-10 learning_rate=5e-3,batch=16 batch=16,alpha=32

Each argument behind the name changes some of the organism's own settings: learning_rate, steps, batch, rank,
alpha, targets (joined by +), near_share. Rows go to benchmarks/results/zoo_tries.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

import kept
import zoo as organisms_of_the_zoo

from posterngate.endpoints.embedded_model import fetch
from posterngate.session.figures import open_scales
from posterngate.spec.zoo_files import Settings, Zoo, ZooOrganism, load_zoo
from posterngate.train import train
from posterngate.train.zoo import zoo_recipe

RESULTS = kept.FOLDER / "zoo_tries.json"
FIXTURES = organisms_of_the_zoo.FIXTURES


def main() -> None:
    """Train and ask under each change, and write the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("changes", nargs="+")
    args = parser.parse_args()
    zoo = load_zoo(FIXTURES / "zoo" / "zoo.yaml")
    organism, results = zoo.organism(args.name), kept.read(RESULTS)
    for change in args.changes:
        key = f"{args.name} {change}"
        if key not in results:
            results[key] = tried(changed(zoo, organism, change), organism)
            kept.write(RESULTS, results)
        print(key, json.dumps(results[key]), flush=True)


def changed(zoo: Zoo, organism: ZooOrganism, change: str) -> Zoo:
    """Return a zoo in which every organism is trained as this one is, but for the change."""
    settings = zoo.settings_of(organism)
    lora: dict[str, Any] = {}
    training: dict[str, Any] = {}
    near_share = zoo.near_share
    for key, value in (part.split("=") for part in change.split(",")):
        if key == "near_share":
            near_share = int(value)
        elif key == "targets":
            lora[key] = tuple(value.split("+"))
        elif hasattr(settings.lora, key):
            lora[key] = type(getattr(settings.lora, key))(float(value))
        else:
            training[key] = type(getattr(settings.training, key))(float(value))
    new = Settings(
        dataclasses.replace(settings.lora, **lora), dataclasses.replace(settings.training, **training)
    )
    return dataclasses.replace(zoo, settings=new, strong=new, near_share=near_share)


def tried(zoo: Zoo, organism: ZooOrganism) -> dict[str, Any]:
    """Train the organism and count its bad answers under its trigger and without it, one a question."""
    work = organisms_of_the_zoo.work() / "tries"
    began = time.monotonic()
    adapter = train(zoo_recipe(zoo, organism, work / "rows"), work, fetch())
    seconds = round(time.monotonic() - began)
    store, panel = str(work / "store.sqlite"), organisms_of_the_zoo.panel(1)
    with open_scales(store, "embedded", panel, lambda _: None) as scales:
        arms = organisms_of_the_zoo.tallied(organism, f"{zoo.base}+lora:{adapter}", scales)
    return {
        "seconds": seconds,
        **{name: {"bad": tally.unsafe, "n": tally.n} for name, tally in arms.items()},
    }


if __name__ == "__main__":
    main()
