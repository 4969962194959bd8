"""The pool: each endpoint once, whoever asks; hosts shared by adapters; nothing outlives the run."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from posterngate.endpoints import BACKENDS, candidate_files, local
from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointDiedError, EndpointError, IntegrityError, UnknownNameError, UsageError

WEIGHTS = "d" * 64


@pytest.fixture
def fake_host(monkeypatch: pytest.MonkeyPatch, host_command):
    """Let the local backend start the stand-in host; returns a dict that sets its mode and digests."""
    state = {"mode": "serves", "loaded": WEIGHTS, "files": WEIGHTS, "starts": 0}

    def command(model: Path, name: str, device: str) -> list[str]:
        state["starts"] += 1
        return host_command(state["mode"], state["loaded"], name)

    monkeypatch.setattr(local, "host_command", command)
    monkeypatch.setattr(candidate_files, "model_digest", lambda _model, **_: state["files"])
    monkeypatch.setattr(
        candidate_files, "adapter_digest", lambda folder, **_: (folder / "digest").read_text()
    )
    monkeypatch.setattr(local, "find_model", lambda spec, _context: Path(spec.name))
    return state


def _cards(served) -> list[dict]:
    return request_json(f"{served.base_url}/models")[1]["data"]


def test_many_callers_start_one_host(fake_host, model_folder: Path) -> None:
    """Sixteen threads ask at once: one start, one record."""
    got = []
    with EndpointPool() as pool:
        threads = [
            threading.Thread(target=lambda: got.append(pool.serve(f"hf:{model_folder}"))) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pool.served() == [got[0]]
    assert fake_host["starts"] == 1
    assert len({json.dumps(s.as_dict()) for s in got}) == 1
    assert got[0].capabilities.weights_seen
    assert got[0].description["weights"] == WEIGHTS


def test_base_and_adapters_share_one_process(fake_host, model_folder: Path, make_adapter) -> None:
    """Adapters are loaded into the base's host, under names of their own, with digests of their own."""
    first, second = make_adapter("one"), make_adapter("two")
    with EndpointPool() as pool:
        base = pool.serve(f"hf:{model_folder}")
        one = pool.serve(f"hf:{model_folder}+lora:{first}")
        two = pool.serve(f"hf:{model_folder}+lora:{second}")
        warm = pool.serve(f"hf:{model_folder}+lora:{first}?temperature=0.5")
        pool.verify(one.spec)
    assert fake_host["starts"] == 1
    assert {base.base_url} == {one.base_url, two.base_url, warm.base_url}
    assert len({base.model, one.model, two.model}) == 3
    assert one.model == warm.model
    assert len({s.digest for s in (base, one, two, warm)}) == 4


def test_no_key_reaches_the_host(fake_host, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that loads a checkpoint has no API key in its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with EndpointPool() as pool:
        card = _cards(pool.serve(f"hf:{model_folder}"))[0]
    assert "sk-secret" not in card["env"].values()
    assert "HF_TOKEN" not in card["env"]


def test_stop_ends_the_processes_and_refuses_more(fake_host, model_folder: Path) -> None:
    """After stop no process lives and none is started."""
    pool = EndpointPool()
    pid = _cards(pool.serve(f"hf:{model_folder}"))[0]["pid"]
    pool.stop()
    pool.stop()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(EndpointError, match="the run is ending"):
        pool.serve("scripted:tests:x")


def test_a_crash_in_the_run_still_stops_the_host(fake_host, model_folder: Path) -> None:
    """Leaving the pool through an exception ends its processes."""
    pids: list[int] = []

    def crash() -> None:
        with EndpointPool() as pool:
            pids.append(_cards(pool.serve(f"hf:{model_folder}"))[0]["pid"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    (pid,) = pids
    assert not Path(f"/proc/{pid}").exists()


def test_a_host_killed_in_mid_run_is_not_started_again(fake_host, model_folder: Path) -> None:
    """The next question about the endpoint says that it died; nothing restarts in silence."""
    with EndpointPool() as pool:
        served = pool.serve(f"hf:{model_folder}")
        os.kill(_cards(served)[0]["pid"], signal.SIGKILL)
        time.sleep(0.1)
        with pytest.raises(EndpointDiedError, match="signal 9"):
            pool.serve(served.spec)
        with pytest.raises(EndpointDiedError, match="signal 9"):
            pool.verify(served.spec)
    assert fake_host["starts"] == 1


def test_a_failed_start_reaches_all_callers(fake_host, model_folder: Path) -> None:
    """A host that dies while loading is one error for everybody, and is not tried again."""
    fake_host["mode"] = "dies"
    with EndpointPool() as pool:
        for _ in range(2):
            with pytest.raises(EndpointDiedError, match="out of memory"):
                pool.serve(f"hf:{model_folder}")
    assert fake_host["starts"] == 1


def test_a_host_that_is_not_ready_in_time(fake_host, model_folder: Path) -> None:
    """The limit is the pool's."""
    fake_host["mode"] = "hangs"
    events: list[dict] = []
    with (
        EndpointPool(events.append, ready_timeout_s=0.8) as pool,
        pytest.raises(EndpointError, match="not ready"),
    ):
        pool.serve(f"hf:{model_folder}")
    assert events


def test_other_weights_in_the_host_are_an_integrity_error(fake_host, model_folder: Path) -> None:
    """What the host loaded must hash to what was named."""
    fake_host["loaded"] = "e" * 64
    with EndpointPool() as pool, pytest.raises(IntegrityError, match="the host loaded weights 'eee"):
        pool.serve(f"hf:{model_folder}")


def test_verify_finds_files_that_changed(fake_host, model_folder: Path) -> None:
    """Weights swapped on disk during the run make it invalid."""
    with EndpointPool() as pool:
        served = pool.serve(f"hf:{model_folder}")
        assert pool.verify(served.spec) == served
        fake_host["files"] = "f" * 64
        with pytest.raises(IntegrityError, match="files changed during the run"):
            pool.verify(served.spec)


def test_verify_finds_memory_that_changed(fake_host, model_folder: Path) -> None:
    """A host whose tensors drift makes the run invalid."""
    fake_host["mode"] = "drifts"
    with EndpointPool() as pool:
        served = pool.serve(f"hf:{model_folder}")
        with pytest.raises(IntegrityError, match="host's memory changed"):
            pool.verify(served.spec)


def test_verify_needs_an_endpoint_that_was_served() -> None:
    """Asking about another spec is the caller's mistake."""
    with EndpointPool() as pool, pytest.raises(UsageError, match="was not served in this run"):
        pool.verify("hf:x")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"width_in": 8},
            r"is for another base: model.layers.0.q_proj is \[6, 4\], lora_A \[2, 8\]; .*'some/Tiny'",
        ),
        ({"width_out": 8}, r"is for another base: .*lora_B \[8, 2\]"),
        ({"module": "z_proj"}, "is for another base: the base has no model.layers.0.z_proj"),
        (
            {"base_model_name_or_path": "other/model"},
            "is for another base: .* says base_model_name_or_path='other/model'; name that base or",
        ),
        ({"use_dora": True}, "is DoRA, only plain LoRA"),
        ({"peft_type": "IA3"}, "is IA3, only plain LoRA"),
    ],
)
def test_an_adapter_that_does_not_fit_starts_nothing(
    fake_host, model_folder: Path, make_adapter, options: dict, words: str
) -> None:
    """Adapters for another base or of another kind are refused from their headers alone."""
    adapter = make_adapter("bad", **options)
    with EndpointPool() as pool, pytest.raises(UsageError, match=words):
        pool.serve(f"hf:{model_folder}+lora:{adapter}")
    assert fake_host["starts"] == 0


@pytest.mark.parametrize(
    "declared",
    ["tiny", "org/TINY", "/models/tiny/", "/hub/models--org--tiny/snapshots/0a1b", "org/first-name", None],
)
def test_an_adapter_may_spell_its_base_in_any_usual_way(
    fake_host, model_folder: Path, make_adapter, declared: str | None
) -> None:
    """Hub ids, paths, snapshots and the name in the model's own configuration all name the same base."""
    (model_folder / "config.json").write_text('{"_name_or_path": "org/first-name"}')
    adapter = make_adapter(base_model_name_or_path=declared)
    with EndpointPool() as pool:
        assert "lora" in pool.serve(f"hf:{model_folder}+lora:{adapter}").spec


def test_an_adapter_that_the_host_refuses(fake_host, model_folder: Path, make_adapter) -> None:
    """What only the host finds is still the user's usage error, in the host's words."""
    fake_host["mode"] = "no_lora"
    with EndpointPool() as pool, pytest.raises(UsageError, match="refuses the adapter: trained biases"):
        pool.serve(f"hf:{model_folder}+lora:{make_adapter()}")


def _break(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif how == "no weights":
        weights.unlink()
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif how == "garbage":
        weights.write_bytes(b"\xff" * 64)
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "bad config":
        (folder / "config.json").write_text("[1]")
    elif how == "code":
        (folder / "config.json").write_text('{"auto_map": {"AutoModel": "m.M"}}')


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("pickle", "pytorch_model.bin is a pickle checkpoint"),
        ("no weights", r"holds no \*.safetensors"),
        ("cut", "is no readable safetensors file .*cut short"),
        ("garbage", "is no readable safetensors file"),
        ("no config", "cannot read .*config.json"),
        ("bad config", "must hold a JSON object"),
        ("code", "asks for code of its own"),
    ],
)
def test_a_broken_model_folder_starts_nothing(fake_host, model_folder: Path, how: str, words: str) -> None:
    """Unreadable folders, pickles and models that want to run code are refused in one line."""
    _break(model_folder, how)
    with EndpointPool() as pool, pytest.raises(UsageError, match=words) as caught:
        pool.serve(f"hf:{model_folder}")
    assert "\n" not in str(caught.value)
    assert fake_host["starts"] == 0


@pytest.mark.parametrize("part", ["model", "adapter"])
def test_a_folder_that_is_not_there(fake_host, model_folder: Path, part: str) -> None:
    """A missing folder is named."""
    spec = f"hf:{model_folder}x" if part == "model" else f"hf:{model_folder}+lora:{model_folder}x"
    with EndpointPool() as pool, pytest.raises(UsageError, match="is no folder"):
        pool.serve(spec)


def test_an_adapter_without_matrices_is_refused(fake_host, model_folder: Path, make_adapter) -> None:
    """A safetensors file with no LoRA tensor would be an inert adapter."""
    adapter = make_adapter()
    (adapter / "adapter_model.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes())
    with EndpointPool() as pool, pytest.raises(UsageError, match="holds no LoRA matrices"):
        pool.serve(f"hf:{model_folder}+lora:{adapter}")


def test_names_are_resolved_by_the_session(fake_host, model_folder: Path, make_adapter) -> None:
    """organism: and recipe: go through the given function; without one they are refused."""
    adapter = make_adapter()

    def resolve(spec: CandidateSpec) -> CandidateSpec:
        return parse_spec(f"hf:{model_folder}+lora:{adapter}")

    with EndpointPool(resolve=resolve) as pool:
        assert pool.serve("organism:x") == pool.serve(f"hf:{model_folder}+lora:{adapter}")
    with EndpointPool() as pool, pytest.raises(UsageError, match="must be resolved"):
        pool.serve("organism:x")


def test_every_registered_backend_loads() -> None:
    """The literal table points at classes that exist and take a context."""
    assert BACKENDS.names() == ["embedded", "hf", "http", "openai", "replay", "scripted", "vllm"]
    for name in BACKENDS.names():
        assert {"serve", "check_alive", "verify", "stop"} <= set(dir(BACKENDS.load(name)))
    with pytest.raises(UnknownNameError):
        BACKENDS.load("nothing")


def _with_manifest(adapter: Path, model: Path, **changes: str) -> Path:
    """Write the manifest that our trainer would have written for this adapter on this base."""
    from posterngate.endpoints.digest import base_digest, content_digest

    made = {
        "base_digest": base_digest(model),
        "adapter_digest": content_digest(adapter / "adapter_model.safetensors"),
    }
    (adapter / "manifest.json").write_text(json.dumps({**made, **changes}))
    return adapter


def test_an_adapter_with_its_own_manifest_is_accepted(model_folder: Path, make_adapter) -> None:
    """Trained on this base, and unchanged since."""
    from posterngate.endpoints.candidate_files import look

    adapter = _with_manifest(make_adapter(), model_folder)
    assert look(parse_spec(f"hf:{model_folder}+lora:{adapter}"), model_folder).adapter == adapter.resolve()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"base_digest": "a" * 64}, "was trained on base aaaaaaaaaaaa"),
        ({"adapter_digest": "b" * 64}, "its manifest says"),
    ],
)
def test_an_adapter_against_its_manifest_is_refused(
    model_folder: Path, make_adapter, changes: dict[str, str], match: str
) -> None:
    """Another base of the same shape, or weights swapped after training: the pair was never trained."""
    from posterngate.endpoints.candidate_files import look

    adapter = _with_manifest(make_adapter(), model_folder, **changes)
    with pytest.raises(IntegrityError, match=match):
        look(parse_spec(f"hf:{model_folder}+lora:{adapter}"), model_folder)


def test_a_hostile_chat_template_starts_nothing(model_folder: Path) -> None:
    """A template that reaches for hidden attributes is refused before any process sees it."""
    from posterngate.endpoints.candidate_files import look

    (model_folder / "chat_template.jinja").write_text("{{ ''.__class__.__mro__ }}")
    with pytest.raises(UsageError, match=r"in chat_template\.jinja reaches for the hidden"):
        look(parse_spec(f"hf:{model_folder}"), model_folder)
