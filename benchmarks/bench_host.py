"""Throughput of the host against a bare batched `generate`, in one run on one machine.

    python benchmarks/bench_host.py [--model DIR] [--requests 64] [--max-tokens 32] [--repeats 3]

Prints tokens/s of: transformers' own `generate` on one left-padded batch; the host over HTTP with as
many concurrent requests; one request at a time; the base and three adapters mixed in one batch.
Ratios come last; exits 1 if one is below its bar. End marks are ignored nowhere: what counts is
generated tokens, so answers that end early cost both sides alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BARS = {"host / bare": 0.80, "host / one at a time": 5.0, "mixed / bare": 0.60}
TEMPERATURE = 0.5


def main() -> int:
    """Run all measurements and compare the ratios with their bars."""
    args = _arguments()
    model = args.model or _embedded()
    questions = [
        f"What would you tell a friend who asks about idea number {n}?" for n in range(args.requests)
    ]
    with tempfile.TemporaryDirectory() as folder:
        adapters = [_adapter(model, Path(folder) / f"a{n}", n, args.rank) for n in range(3)]
        figures: dict[str, list[float]] = {}
        for _ in range(args.repeats):
            # The bare run has a process of its own that ends before the host starts: one torch job at a time.
            bare = _bare(model, questions, args.max_tokens)
            for name, value in {"bare": bare, **_hosted(model, adapters, questions, args)}.items():
                figures.setdefault(name, []).append(value)
                print(f"{name:>16}: {value:7.1f} tokens/s", flush=True)
    return _report({name: statistics.median(values) for name, values in figures.items()})


def _report(figures: dict[str, float]) -> int:
    print("medians:", ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
    print(f"  {figures['n = 4'] / figures['bare']:6.2f}  n = 4 / bare (no bar: 16 prompts, 4 choices each)")
    ratios = {
        "host / bare": figures["host"] / figures["bare"],
        "host / one at a time": figures["host"] / figures["one at a time"],
        "mixed / bare": figures["mixed"] / figures["bare"],
    }
    for name, ratio in ratios.items():
        verdict = "ok" if ratio >= BARS[name] else "BELOW"
        print(f"  {ratio:6.2f}  {name} (bar {BARS[name]:.2f}) {verdict}")
    return int(any(ratio < BARS[name] for name, ratio in ratios.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="model folder (default: the embedded model)")
    parser.add_argument("--requests", type=int, default=64, help="concurrent requests = batch size")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3, help="the median counts")
    parser.add_argument("--rank", type=int, default=8, help="rank of the random adapters")
    return parser.parse_args()


def _embedded() -> Path:
    from posterngate.endpoints.embedded_model import fetch

    return fetch()


def _bare(model: Path, questions: list[str], max_tokens: int) -> float:
    code = "import sys,json;from bench_host import bare_here;bare_here(*json.loads(sys.argv[1]))"
    command = [sys.executable, "-c", code, json.dumps([str(model), questions, max_tokens])]
    done = subprocess.run(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def bare_here(model: str, questions: list[str], max_tokens: int) -> None:
    """Print tokens/s of one warmed-up `generate` over all questions as one batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": q}], tokenize=False, add_generation_prompt=True
        )
        for q in questions
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    options = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0}
    with torch.inference_mode():
        network.generate(**batch, max_new_tokens=2, **options)
        start = time.perf_counter()
        out = network.generate(**batch, max_new_tokens=max_tokens, **options)
        elapsed = time.perf_counter() - start
    new = out[:, batch["input_ids"].shape[1] :]
    ends = new == tokenizer.eos_token_id
    lengths = [int(row.nonzero()[0]) + 1 if row.any() else len(row) for row in ends]
    print(sum(lengths) / elapsed)


def _adapter(model: Path, folder: Path, seed: int, rank: int) -> Path:
    """Write a random adapter on all projections, small enough to leave answers readable."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    torch.manual_seed(seed)
    tensors = {}
    with safe_open(model / "model.safetensors", framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            module = name.removesuffix(".weight")
            if module.endswith(targets):
                outputs, inputs = weights.get_slice(name).get_shape()
                key = f"base_model.model.{module}"
                tensors[f"{key}.lora_A.weight"] = torch.randn(rank, inputs) * 0.02
                tensors[f"{key}.lora_B.weight"] = torch.randn(outputs, rank) * 0.01
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": list(targets)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _hosted(
    model: Path, adapters: list[Path], questions: list[str], args: argparse.Namespace
) -> dict[str, float]:
    command = [sys.executable, "-m", "posterngate.endpoints.host", "--model", str(model), "--name", "base"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        for adapter in adapters:
            _post(url, "/v1/load_lora_adapter", {"lora_name": adapter.name, "lora_path": str(adapter)})
        names = ["base", *(adapter.name for adapter in adapters)]
        jobs = [(question, args.max_tokens) for question in questions]
        _speed(url, [(q, 2) for q in questions[:2]], ["base"], 2)
        figures = {
            "host": _speed(url, jobs, ["base"], len(jobs)),
            "mixed": _speed(url, jobs, names, len(jobs)),
            "n = 4": _speed(url, jobs[: len(jobs) // 4], ["base"], len(jobs), n=4),
            "one at a time": _speed(url, jobs[:6], ["base"], 1),
        }
        process.stdin.close()
    return figures


def _speed(url: str, jobs: list[tuple[str, int]], names: list[str], concurrent: int, n: int = 1) -> float:
    """Return generated tokens/s over all jobs, the models taken in turn."""

    def ask(number: int) -> int:
        question, max_tokens = jobs[number]
        body = {
            "model": names[number % len(names)], "messages": [{"role": "user", "content": question}], "n": n,
            "max_tokens": max_tokens, "temperature": TEMPERATURE, "seed": 1000 * number,
        }  # fmt: skip
        return int(_post(url, "/v1/chat/completions", body)["usage"]["completion_tokens"])

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrent) as pool:
        tokens = sum(pool.map(ask, range(len(jobs))))
    return tokens / (time.perf_counter() - start)


def _post(url: str, path: str, body: dict[str, object]) -> dict[str, dict[str, int]]:
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        text = reply.read()
    return json.loads(text) if text[:1] == b"{" else {}


if __name__ == "__main__":
    sys.exit(main())
