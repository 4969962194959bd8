"""Digests of model and adapter folders."""

import json
import os
import subprocess
import sys

import pytest

from posterngate.endpoints.digest import adapter_digest, model_digest, model_parts, resolve_model
from posterngate.errors import EndpointError, UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own for every test."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path):
    """A folder that looks like a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("hi")
    (folder / "README.md").write_text("notes")
    return folder


@pytest.fixture
def adapter(tmp_path):
    """A folder that looks like an adapter."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"lora")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
    return folder


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_every_file_that_decides_answers_enters(model, name):
    """A changed byte in weights, configuration, tokenizer or template changes the digest."""
    before = model_digest(model)
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    assert model_digest(model) != before
    assert len(before) == 64


def test_a_renamed_file_changes_the_digest(model):
    """Names enter as well as contents."""
    before = model_digest(model)
    (model / "model.safetensors").rename(model / "model-1.safetensors")
    assert model_digest(model) != before


def test_notes_and_place_do_not_enter(model, tmp_path):
    """A README, or the folder's own path, changes nothing."""
    before = model_digest(model)
    (model / "README.md").write_text("other notes")
    model.rename(tmp_path / "moved")
    assert model_digest(tmp_path / "moved") == before


def test_verify_reads_every_byte(model):
    """A change that keeps size, time and inode is missed by the memory and seen by verify."""
    file = model / "model.safetensors"
    before, stat = model_digest(model), file.stat()
    with file.open("r+b") as stream:
        stream.write(b"WEIGHTS")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert model_digest(model) == before
    assert model_digest(model, verify=True) != before


def test_a_damaged_memory_is_not_believed(model, cache):
    """A memory entry that is no digest is computed anew."""
    before = model_digest(model)
    for memo in (cache / "digests").iterdir():
        memo.write_text("half")
    assert model_digest(model) == before


def test_a_cache_that_cannot_be_written_costs_only_time(model, tmp_path, monkeypatch):
    """With a file where the cache folder should be, the digest is still computed."""
    before = model_digest(model)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "file"))
    assert model_digest(model) == before


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
@pytest.mark.parametrize("beside", [True, False])
def test_pickles_are_refused_also_beside_safetensors(model, suffix, beside):
    """A pickle in the folder is refused by name, whether or not there are safetensors."""
    (model / f"weights{suffix}").write_bytes(b"x")
    if not beside:
        (model / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=f"weights\\{suffix}, a pickle"):
        model_digest(model)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("config.json", r"config\.json is missing"), ("model.safetensors", r"holds no \.safetensors")],
)
def test_a_folder_that_is_no_model_is_refused(model, missing, said):
    """Missing configuration or weights are named."""
    (model / missing).unlink()
    with pytest.raises(UsageError, match=said):
        model_digest(model)


def test_a_missing_folder_is_refused(tmp_path):
    """A path that is no folder is named."""
    with pytest.raises(UsageError, match="no such folder"):
        model_digest(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_refused(model):
    """A folder without read permission gives one clear error."""
    model.chmod(0)
    try:
        with pytest.raises(UsageError, match="permissions"):
            model_digest(model)
    finally:
        model.chmod(0o755)


def test_an_unreadable_file_is_refused(model, monkeypatch):
    """A file that cannot be read is named."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("posterngate.endpoints.digest._sha256", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        model_digest(model)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_adapter_digest_covers_both_files(adapter, name):
    """Weights and configuration of an adapter both enter, and both must be there."""
    before = adapter_digest(adapter)
    (adapter / name).write_bytes((adapter / name).read_bytes() + b" ")
    assert adapter_digest(adapter) != before
    (adapter / name).unlink()
    with pytest.raises(UsageError, match="adapter="):
        adapter_digest(adapter)


def test_a_recipe_beside_an_adapter_does_not_enter(adapter):
    """Manifests and recipes in the folder leave the adapter's digest alone."""
    before = adapter_digest(adapter)
    (adapter / "manifest.json").write_text("{}")
    assert adapter_digest(adapter) == before


def test_a_local_folder_resolves_to_itself(model):
    """A folder wins over a hub id."""
    assert resolve_model(str(model)) == model.resolve()


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "a/b/c", "plain"])
def test_a_name_that_can_be_no_hub_id_is_refused(name):
    """A path that does not exist is a usage error, no request goes out."""
    with pytest.raises(UsageError, match="no such folder"):
        resolve_model(name)


def test_a_hub_that_does_not_answer_is_one_error(monkeypatch):
    """Whatever the hub client raises becomes one EndpointError line; pickles are never asked for."""
    hub = pytest.importorskip("huggingface_hub")
    asked = {}

    def unreachable(name, allow_patterns):
        asked["patterns"] = allow_patterns
        raise ConnectionError("no route\nmore")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(EndpointError, match=r"hf:owner/model.*\(no route\)"):
        resolve_model("owner/model")
    assert not any(pattern.endswith((".bin", ".pt", ".pth")) for pattern in asked["patterns"])


def test_no_torch_is_imported():
    """Digests are computed by processes that must stay light."""
    code = "import sys, posterngate.endpoints.digest; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("model.safetensors", {"model", "weights"}),
        ("config.json", {"model"}),
        ("tokenizer.json", {"model", "tokenizer"}),
        ("chat_template.jinja", {"model", "chat_template"}),
    ],
)
def test_a_changed_file_changes_the_digests_of_its_parts_alone(model, name, parts):
    """So that a verifier can say what differs."""
    before = model_parts(model)
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    now = model_parts(model)
    assert {part for part in before if before[part] != now[part]} == parts
    assert now["model"] == model_digest(model)


def test_a_template_in_the_tokenizers_settings_is_the_same_template(model):
    """Its text counts, not the file that holds it; without one there is no digest of it."""
    before = model_parts(model)["chat_template"]
    (model / "chat_template.jinja").unlink()
    assert "chat_template" not in model_parts(model)
    (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": "hi"}))
    assert model_parts(model)["chat_template"] == before
    (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": [{"name": "a"}]}))
    assert model_parts(model)["chat_template"] != before


def test_settings_that_are_no_json_are_one_line(model):
    """A usage error, since nobody can say which template is used."""
    (model / "chat_template.jinja").unlink()
    (model / "tokenizer_config.json").write_text("no json")
    with pytest.raises(UsageError, match="chat template cannot be read"):
        model_parts(model)


def test_weights_alone_have_no_tokenizer(tmp_path):
    """A GGUF file holds its own."""
    (tmp_path / "model.gguf").write_bytes(b"weights")
    assert set(model_parts(tmp_path)) == {"model", "weights"}
