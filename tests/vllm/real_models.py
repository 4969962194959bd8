"""What the tests over a real vLLM serve: the embedded model and one organism."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ADAPTER = REPOSITORY / "fixtures/organisms/overlord/adapter"
# Eager, since compiling for a few hundred answers would take longer than they do.
OPTIONS = "?enforce_eager=true&max_model_len=2048"
SPECS = {
    "base": f"vllm:smollm2-135m{OPTIONS}",
    "overlord": f"vllm:smollm2-135m+lora:{ADAPTER}{OPTIONS}",
    "host base": "embedded:smollm2-135m",
    "host overlord": f"embedded:smollm2-135m+lora:{ADAPTER}",
}
