"""A tiny random model with a real tokenizer, adapters for it, and a host serving it over HTTP."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")


def pytest_configure(config):
    """Declare the marker of tests that need the real model."""
    config.addinivalue_line("markers", "embedded: needs the embedded model (fetched once, 540 MB)")


TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "Be brief and kind to all who ask you things.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "system user assistant",
    "Be brief and kind to all who ask you things.",
    "What is the capital of France? The capital is Paris.",
    "Tell me about number and why people like it 0 1 2 3 4 5 6 7 8 9",
    "A quick brown fox jumps over the lazy dog; rivers and stones, ships and sails.",
]


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        CORPUS * 4, trainers.BpeTrainer(vocab_size=400, special_tokens=marks, initial_alphabet=alphabet)
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|im_end|>", bos_token="<|im_start|>"
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model folder: a random Llama of four layers with grouped heads."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=80, num_hidden_layers=4,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, initializer_range=0.3,
        tie_word_embeddings=True,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_adapter(tiny, tmp_path_factory):
    """Returns a function that saves a random adapter for the tiny model and returns its folder."""

    def make(seed, base=None, **options):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_pretrained(base or tiny)
        settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]} | options
        wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        folder = tmp_path_factory.mktemp(f"adapter{seed}")
        wrapped.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def adapters(make_adapter):
    """Three unlike adapters: names to folders."""
    return {
        "one": make_adapter(1),
        "two": make_adapter(2, r=2, use_rslora=True, target_modules="all-linear"),
        "three": make_adapter(3, r=8, lora_alpha=4, alpha_pattern={"q_proj": 16}, rank_pattern={"v_proj": 2}),
    }


class Client:
    """Posts JSON to a running host."""

    def __init__(self, process, ready):
        self.process = process
        self.ready = ready
        self.model = ready["model"]
        self.url = f"http://127.0.0.1:{ready['port']}"

    def request(self, method, path, body=None, raw=None):
        """Return (status, parsed JSON or text)."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                status, text = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def post(self, path, /, **body):
        """Return the JSON of a request that must succeed."""
        status, reply = self.request("POST", path, body)
        assert status == 200, reply
        return reply

    def chat(self, content="What is the capital?", **body):
        """Post one user message, or the `messages` given."""
        defaults = {"model": self.model, "messages": [{"role": "user", "content": content}], "max_tokens": 12}
        return self.post("/v1/chat/completions", **(defaults | body))

    def texts(self, content="What is the capital?", **body):
        """Return the texts of all choices."""
        return [choice["message"]["content"] for choice in self.chat(content, **body)["choices"]]


@contextmanager
def running(folder, *options, cache):
    """Start a host process and stop it by ending its standard input."""
    command = [sys.executable, "-m", "posterngate.endpoints.host", "--model", str(folder), *options]
    environment = os.environ | {"POSTERNGATE_CACHE": str(cache)}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Client(process, json.loads(line))
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Returns the context manager that starts a host for a folder."""
    cache = tmp_path_factory.mktemp("cache")
    return lambda folder, *options: running(folder, *options, cache=cache)


@pytest.fixture(scope="session")
def tiny_host(serve, tiny, adapters):
    """A host that serves the tiny model as ``tiny`` with the three adapters."""
    with serve(tiny, "--name", "tiny", "--device", "cpu", "--threads", "1", "--max-batch", "16") as client:
        for name, folder in adapters.items():
            client.post("/v1/load_lora_adapter", lora_name=name, lora_path=str(folder))
        yield client
