"""A candidate's files: what they are called, whether they fit, whether they changed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from posterngate.endpoints import candidate_files
from posterngate.endpoints.candidate_files import check_unchanged, find_model, look
from posterngate.endpoints.contract import BackendContext
from posterngate.endpoints.spec import parse_spec
from posterngate.errors import IntegrityError, UsageError

CONTEXT = BackendContext(lambda _event: None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remembered digests and the embedded model's place are this test's own."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))


def test_the_adapters_facts_are_kept(model_folder: Path, make_adapter) -> None:
    """Rank and changed modules are read once, with the digests."""
    files = look(parse_spec(f"hf:{model_folder}+lora:{make_adapter()}"), model_folder)
    assert files.facts is not None
    assert (files.facts.rank, files.facts.modules) == (2, ("q_proj",))
    assert look(parse_spec(f"hf:{model_folder}"), model_folder).facts is None


def test_an_adapter_of_the_embedded_model_knows_its_folder(
    model_folder: Path, make_adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed organisms name it "smollm2-135m"; its folder in the cache has a longer name."""
    adapter = make_adapter(base_model_name_or_path="smollm2-135m")
    with pytest.raises(UsageError, match="is for another base"):
        look(parse_spec(f"vllm:{model_folder}+lora:{adapter}"), model_folder)
    monkeypatch.setattr(candidate_files, "location", lambda: model_folder)
    assert look(parse_spec(f"vllm:{model_folder}+lora:{adapter}"), model_folder).adapter == adapter
    assert look(parse_spec(f"vllm:smollm2-135m+lora:{adapter}"), model_folder).adapter == adapter


@pytest.mark.parametrize("spec", ["embedded:smollm2-135m", "vllm:smollm2-135m"])
def test_the_embedded_model_is_fetched_for_either_engine(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its short name is enough under vllm: too; a folder of that name is written ./smollm2-135m."""
    (tmp_path / "linked").symlink_to(tmp_path / "fetched")
    monkeypatch.setattr(candidate_files, "fetch", lambda: tmp_path / "linked")
    assert find_model(parse_spec(spec), CONTEXT) == tmp_path / "fetched"  # as a server lists it


def test_a_packed_base_is_held_to_its_modules(tmp_path: Path, make_adapter) -> None:
    """A quantised layer's tensor has another shape and name; the adapter must still meet that layer."""
    folder = tmp_path / "awq"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    tensor = {"dtype": "I32", "shape": [4, 1], "data_offsets": [0, 16]}
    header = json.dumps({"model.layers.0.q_proj.qweight": tensor}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    fits = make_adapter("fits", base_model_name_or_path="org/awq")
    other = make_adapter("other", module="z_proj", base_model_name_or_path="org/awq")
    assert look(parse_spec(f"vllm:{folder}+lora:{fits}"), folder).facts is not None
    with pytest.raises(UsageError, match=r"the base has no .*z_proj"):
        look(parse_spec(f"vllm:{folder}+lora:{other}"), folder)


def test_a_change_of_either_file_is_found(model_folder: Path, make_adapter) -> None:
    """Every byte is read again, unless this round has read the base already."""
    spec = f"hf:{model_folder}+lora:{make_adapter()}"
    files = look(parse_spec(spec), model_folder)
    seen: dict[Path, str] = {}
    check_unchanged(spec, files, seen)
    assert seen == {files.model: files.weights}
    (model_folder / "config.json").write_text('{"hidden_size": 9}')
    check_unchanged(spec, files, seen)
    with pytest.raises(IntegrityError, match="changed during the run"):
        check_unchanged(spec, files)
