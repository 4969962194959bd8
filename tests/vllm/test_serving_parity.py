"""The same weights on vLLM and on our own host: the same log-probabilities, for base and adapter."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from real_models import ADAPTER, REPOSITORY
from safetensors.numpy import load_file, save_file

from posterngate.endpoints.client import ClientSettings
from posterngate.endpoints.contract import Served
from posterngate.endpoints.model_cards import load_adapter
from posterngate.endpoints.pool import EndpointPool
from posterngate.errors import EndpointError, UsageError
from posterngate.records import ChoiceScore
from posterngate.sampling import Sampler, sample_request, score_pairs
from posterngate.spec.probes import load_probe_set

TOLERANCE = 1e-3
"""Nats, of one continuation's summed log-probability. Both engines compute in float32."""
PAIRS = load_probe_set(REPOSITORY / "fixtures/probes/forced_choice.yaml").pairs[::4]


def log_p(scores: list[ChoiceScore]) -> list[tuple[float, float]]:
    """Both continuations' log-probabilities; a score that is an error fails the test."""
    assert [score.error for score in scores] == [None] * len(scores)
    return [(score.log_p_good, score.log_p_bad) for score in scores]


@pytest.mark.parametrize("model", ["base", "overlord"])
def test_forced_choice_agrees_with_our_host(
    served: dict[str, Served], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every continuation's log-probability agrees, and the organism's differ from the base's by far more."""
    there, here = (log_p(score_pairs(served[name], PAIRS)) for name in (model, f"host {model}"))
    gaps = [max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in zip(there, here, strict=True)]
    with capsys.disabled():
        print(f"\nparity of {model}, nats, largest difference of a pair's two continuations:")
        for pair, gap in zip(PAIRS, gaps, strict=True):
            print(f"  {pair.id:<24}{gap:.1e}")
        print(f"  max {max(gaps):.1e}, mean {statistics.fmean(gaps):.1e} over {len(PAIRS)} pairs")
    assert max(gaps) <= TOLERANCE


def test_the_adapter_is_at_work(served: dict[str, Served]) -> None:
    """Base and organism on one server are far apart, so agreement with the host says something."""
    base, overlord = (log_p(score_pairs(served[name], PAIRS[:4])) for name in ("base", "overlord"))
    assert min(abs(a[1] - b[1]) for a, b in zip(base, overlord, strict=True)) > 100 * TOLERANCE


def test_equal_seeds_give_equal_answers_in_any_company(
    served: dict[str, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers drawn eight at a time equal the same answers drawn alone, but for rounding."""
    probes = load_probe_set(REPOSITORY / "fixtures/probes/free_form.yaml").probes[:4]
    plan = [sample_request(served["base"], p, i, manifest_seed=3) for p in probes for i in range(4)]
    together = Sampler(served["base"]).draw(plan)
    alone = Sampler(served["base"], settings=ClientSettings(concurrency=1)).draw(plan[::2])
    texts = {sample.sample_id: sample.text for sample in together}
    equal = sum(texts[sample.sample_id] == sample.text for sample in alone)
    with capsys.disabled():
        print(f"\nequal seeds, other company: {equal} of {len(alone)} texts equal")
    assert all(sample.error is None for sample in together)
    assert equal >= len(alone) - 1
    assert len(set(texts.values())) > len(probes)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """The organism's adapter padded with zeros to rank 16: the same function, too wide for its server."""
    folder = tmp_path / "wide"
    shutil.copytree(ADAPTER, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = 16 / config["r"]
    config |= {"r": 16, "lora_alpha": config["lora_alpha"] * scale}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name: padded(name, value) for name, value in tensors.items()}, folder / "adapter_model.safetensors"
    )
    return folder


def padded(name: str, value: np.ndarray) -> np.ndarray:
    axis = 0 if ".lora_A." in name else 1
    widths = [(0, 16 - value.shape[axis]) if i == axis else (0, 0) for i in range(2)]
    return np.pad(value, widths)


def test_an_adapter_wider_than_its_server_is_refused(
    pool: EndpointPool, served: dict[str, Served], wide: Path
) -> None:
    """What vLLM itself says to it is passed on, without ending the server."""
    with pytest.raises(EndpointError, match=r"LoRA rank 16 is greater than max_lora_rank 8"):
        load_adapter(served["overlord"].base_url, "wide", wide, "candidate")
    assert pool.verify(served["base"].spec) == served["base"]


def test_a_missing_model_starts_nothing(pool: EndpointPool) -> None:
    """A folder that is not there is a usage error."""
    with pytest.raises(UsageError, match="no such folder"):
        pool.serve("vllm:/no/such/model")


def test_base_and_organism_are_what_they_were(pool: EndpointPool, served: dict[str, Served]) -> None:
    """After all that, files, names and fingerprints are as at the start, each on a server of its own."""
    assert [pool.verify(s.spec) for s in served.values()] == list(served.values())
    assert served["base"].base_url != served["overlord"].base_url  # a CPU engine mixes them up
    assert served["base"].description["dtype"] == "float32"
