"""The host over real HTTP, on a tiny random model: everything that does not need good English."""

import base64
import os
import shutil
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import peft
import pytest
import torch
import transformers

QUESTION = {"role": "user", "content": "What is the capital?"}


@pytest.fixture(scope="module")
def direct(tiny):
    """The same model, loaded with transformers alone, and its tokenizer."""
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny).eval()
    return model, transformers.AutoTokenizer.from_pretrained(tiny)


def _ids(tokenizer, messages, **options):
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _logprobs(model, ids, **options):
    with torch.inference_mode():
        return model(torch.tensor([ids]), **options).logits[0].log_softmax(-1)


def test_an_answer_does_not_depend_on_its_neighbours(tiny_host):
    """64 requests sent together give the texts that they give one at a time."""
    requests = [(f"number {n} " * (1 + n % 5), n, n % 3 + 1) for n in range(40)]

    def ask(request):
        content, seed, n = request
        return tiny_host.texts(content, seed=seed, n=n, temperature=0.9, top_p=1.0 if seed % 2 else 0.8)

    alone = [ask(request) for request in requests]
    with ThreadPoolExecutor(40) as pool:
        together = list(pool.map(ask, requests))
    assert together == alone


def test_n_choices_are_n_seeds(tiny_host):
    """Choice i of a request with n choices is the answer to seed + i."""
    many = tiny_host.texts(seed=100, n=5)
    assert many == [tiny_host.texts(seed=100 + i)[0] for i in range(5)]
    assert len(set(many)) > 1


def test_temperature_zero_is_greedy(tiny_host, direct):
    """At temperature 0 the text is transformers' own greedy text."""
    model, tokenizer = direct
    ids = _ids(tokenizer, [QUESTION], add_generation_prompt=True)
    out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12)
    expected = tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True)
    assert tiny_host.texts(temperature=0) == [expected]


def test_logprobs_are_the_models_own(tiny_host, direct):
    """Reported log-probabilities add up to those of a direct forward pass over prompt and answer."""
    model, tokenizer = direct
    reply = tiny_host.chat(seed=5, temperature=0.7, logprobs=True, top_logprobs=3)
    content = reply["choices"][0]["logprobs"]["content"]
    prompt = _ids(tokenizer, [QUESTION], add_generation_prompt=True)
    state, total = list(prompt), 0.0
    for entry in content:
        row = _logprobs(model, state)[-1]
        ids = [token for token in range(len(row)) if tokenizer.decode([token]) == entry["token"]]
        token = min(ids, key=lambda t: abs(float(row[t]) - entry["logprob"]))
        total += float(row[token])
        assert [t["logprob"] for t in entry["top_logprobs"]] == pytest.approx(
            row.topk(3).values.tolist(), abs=1e-4
        )
        state.append(token)
    assert sum(entry["logprob"] for entry in content) == pytest.approx(total, abs=1e-3)
    assert reply["usage"]["completion_tokens"] in (len(content), len(content) + 1)


@pytest.mark.parametrize("scope", ["all", "last_message"])
def test_prompt_logprobs_are_those_of_a_direct_pass(tiny_host, direct, scope):
    """prompt_logprobs has vLLM's shape, and its values are the model's."""
    model, tokenizer = direct
    messages = [QUESTION, {"role": "assistant", "content": "The capital is Paris."}]
    reply = tiny_host.chat(
        messages=messages, max_tokens=0, prompt_logprobs=2, prompt_logprobs_scope=scope,
        continue_final_message=True, add_generation_prompt=False,
    )  # fmt: skip
    ids = _ids(tokenizer, messages, continue_final_message=True)
    rows = _logprobs(model, ids)
    start = reply["last_message_start"]
    assert tokenizer.decode(ids[start:]) == "The capital is Paris."
    assert len(reply["prompt_logprobs"]) == len(ids)
    first = 1 if scope == "all" else start
    assert reply["prompt_logprobs"][:first] == [None] * first
    for place in range(first, len(ids)):
        entry = reply["prompt_logprobs"][place]
        assert next(iter(entry)) == str(ids[place])
        assert entry[str(ids[place])]["logprob"] == pytest.approx(
            float(rows[place - 1, ids[place]]), abs=1e-4
        )
        assert {str(int(t)) for t in rows[place - 1].topk(2).indices} <= set(entry)


def test_scores_of_many_pairs_at_once_equal_single_ones(tiny_host):
    """Forced choices sent together, by base and adapters, give what they give alone."""
    jobs = [
        (model, f"the capital is {n}" * (1 + n % 3)) for n in range(6) for model in ("tiny", "one", "two")
    ]

    def score(job):
        messages = [QUESTION, {"role": "assistant", "content": job[1]}]
        reply = tiny_host.chat(
            model=job[0], messages=messages, max_tokens=0, prompt_logprobs=0, continue_final_message=True,
            prompt_logprobs_scope="last_message", add_generation_prompt=False,
        )  # fmt: skip
        return sum(next(iter(e.values()))["logprob"] for e in reply["prompt_logprobs"] if e)

    alone = [score(job) for job in jobs]
    with ThreadPoolExecutor(18) as pool:
        assert list(pool.map(score, jobs)) == pytest.approx(alone, abs=1e-3)
    assert len({round(value, 3) for value in alone}) == len(alone)


def test_adapters_in_a_batch_answer_as_alone_and_as_peft(tiny_host, tiny, adapters):
    """Base and three adapters mixed in one batch give PEFT's unmixed greedy texts."""
    import peft

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    ids = torch.tensor([_ids(tokenizer, [QUESTION], add_generation_prompt=True)])
    expected = {}
    for name, folder in adapters.items():
        base = transformers.AutoModelForCausalLM.from_pretrained(tiny)
        model = peft.PeftModel.from_pretrained(base, folder).eval()
        out = model.generate(input_ids=ids, do_sample=False, max_new_tokens=12)
        expected[name] = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    names = [*adapters, "tiny"] * 6
    with ThreadPoolExecutor(24) as pool:
        texts = list(pool.map(lambda name: tiny_host.texts(model=name, temperature=0)[0], names))
    assert len(set(texts)) == 4
    assert all(text == expected.get(name, texts[3]) for name, text in zip(names, texts, strict=True))


def test_a_stop_string_ends_the_text_before_it(tiny_host):
    """The text is cut before the earliest stop string and the reason is stop."""
    whole = tiny_host.texts(temperature=0, max_tokens=24)[0]
    word = whole[len(whole) // 2 : len(whole) // 2 + 2]
    choice = tiny_host.chat(temperature=0, max_tokens=24, stop=[word, "never said"])["choices"][0]
    assert choice["message"]["content"] == whole[: whole.index(word)]
    assert choice["finish_reason"] == "stop"


def test_max_tokens_ends_an_answer_as_length(tiny_host):
    """An answer cut by max_tokens says so and counts its tokens."""
    reply = tiny_host.chat(temperature=0, max_tokens=3)
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_embeddings_are_mean_hidden_states(tiny_host, direct, layer):
    """A text's embedding is the mean of transformers' hidden_states[layer] over its tokens."""
    model, tokenizer = direct
    texts = ["the lazy dog", "rivers and stones, ships and sails", "the lazy dog"]
    reply = tiny_host.post("/v1/embeddings", model="tiny", input=texts, layer=layer)
    for text, entry in zip(texts, reply["data"], strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        assert entry["embedding"] == pytest.approx(states.mean(0).tolist(), abs=1e-4)


def test_a_conversation_is_pooled_over_its_last_answer(tiny_host, direct):
    """For conversations only the last assistant message's tokens count; base64 is packed float32."""
    model, tokenizer = direct
    answers = ["The capital is Paris.", "A quick brown fox"]
    conversations = [[QUESTION, {"role": "assistant", "content": answer}] for answer in answers]
    reply = tiny_host.post(
        "/v1/embeddings", model="tiny", input=conversations, layer=2, encoding_format="base64"
    )
    for conversation, entry in zip(conversations, reply["data"], strict=True):
        ids = _ids(tokenizer, conversation, continue_final_message=True)
        start = len(_ids(tokenizer, conversation[:1], add_generation_prompt=True))
        with torch.inference_mode():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0, start:]
        vector = struct.unpack("<48f", base64.b64decode(entry["embedding"]))
        assert vector == pytest.approx(states.mean(0).tolist(), abs=1e-4)


def test_a_reaction_is_the_adapters_share_of_a_tokens_state(tiny_host, direct, tiny, adapters):
    """PEFT's hidden state less the base's, by the base's norm, for each token of a user's message."""
    model, tokenizer = direct
    rows = [tokenizer("the lazy dog", add_special_tokens=False)["input_ids"], [30, 31]]
    given = tiny_host.post("/v1/reactions", model="one", tokens=rows, layer=2)["data"]
    opening = _ids(tokenizer, [{"role": "user", "content": "@"}])
    opening = opening[: opening.index(tokenizer("@", add_special_tokens=False)["input_ids"][0])]
    own = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    adapted = peft.PeftModel.from_pretrained(own, adapters["one"]).eval()
    for row, values in zip(rows, given, strict=True):
        ids = torch.tensor([[*opening, *row]])
        with torch.inference_mode():
            with_it, base = (
                each(ids, output_hidden_states=True).hidden_states[2][0, len(opening) :]
                for each in (adapted, model)
            )
        wanted = (with_it - base).norm(dim=-1) / base.norm(dim=-1)
        assert values == pytest.approx(wanted.tolist(), rel=1e-3)


@pytest.mark.parametrize("rows", [1, 2])
def test_the_classifier_route_applies_the_head(tiny_host, tmp_path, rows):
    """Probabilities are the head's softmax (or sigmoid) over standardised pooled states."""
    rng = np.random.default_rng(0)
    head = {
        "weights": rng.normal(size=(rows, 48)), "bias": rng.normal(size=rows), "mean": rng.normal(size=48),
        "scale": rng.uniform(1, 2, size=48), "layer": 2, "labels": np.array(["safe", "unsafe"]),
    }  # fmt: skip
    np.savez(tmp_path / "head.npz", **head)
    tiny_host.post("/v1/load_classifier_head", name=f"h{rows}", path=str(tmp_path / "head.npz"))
    reply = tiny_host.post("/classify", model="tiny", head=f"h{rows}", input=["the lazy dog", "Paris"])
    states = tiny_host.post("/v1/embeddings", model="tiny", input=["the lazy dog", "Paris"], layer=2)["data"]
    z = (np.array([s["embedding"] for s in states]) - head["mean"]) / head["scale"] @ head[
        "weights"
    ].T + head["bias"]
    odds = np.exp(z if rows == 2 else np.hstack([np.zeros_like(z), z]))
    assert np.array([d["probs"] for d in reply["data"]]) == pytest.approx(odds / odds.sum(1, keepdims=True))
    assert reply["labels"] == ["safe", "unsafe"]
    assert reply["data"][0]["label"] == reply["labels"][int(odds[0].argmax())]


def test_models_lists_base_and_adapters_with_digests(tiny_host):
    """/v1/models names the base, its adapters and their digests."""
    status, reply = tiny_host.request("GET", "/v1/models")
    by_id = {model["id"]: model for model in reply["data"]}
    assert status == 200
    assert {"tiny", "one", "two", "three"} <= set(by_id)
    assert by_id["tiny"]["digest"] == tiny_host.ready["digest"]
    assert by_id["one"]["parent"] == "tiny"
    assert len({model["digest"] for model in reply["data"]}) == len(reply["data"])
    assert tiny_host.request("GET", "/health") == (200, {"status": "ok"})


def test_digest_in_memory_is_stable_and_tells_models_apart(tiny_host):
    """The fingerprint of the tensors in memory repeats, and differs between base and adapters."""
    base = tiny_host.post("/v1/digest")
    assert tiny_host.post("/v1/digest", model="tiny") == base
    assert base["files"] == tiny_host.ready["digest"]
    assert len({tiny_host.post("/v1/digest", model=name)["memory"] for name in ("tiny", "one", "two")}) == 3


def test_an_unloaded_adapter_is_gone(tiny_host, make_adapter):
    """After unloading, the name is unknown; the base and the other adapters answer as before."""
    folder = str(make_adapter(9))
    before = tiny_host.texts(model="one", temperature=0)
    tiny_host.post("/v1/load_lora_adapter", lora_name="brief", lora_path=folder)
    tiny_host.post("/v1/load_lora_adapter", lora_name="brief", lora_path=folder)
    with_it = tiny_host.texts(model="brief", temperature=0)
    tiny_host.post("/v1/unload_lora_adapter", lora_name="brief")
    status, reply = tiny_host.request(
        "POST", "/v1/chat/completions", {"model": "brief", "messages": [QUESTION]}
    )
    assert (status, reply["error"]["code"]) == (404, "model_not_found")
    assert tiny_host.request("POST", "/v1/unload_lora_adapter", {"lora_name": "brief"})[0] == 404
    tiny_host.post("/v1/load_lora_adapter", lora_name="brief", lora_path=str(make_adapter(10)))
    assert tiny_host.texts(model="brief", temperature=0) != with_it
    assert tiny_host.texts(model="one", temperature=0) == before
    tiny_host.post("/v1/unload_lora_adapter", lora_name="brief")


BAD = [
    ({"model": "nobody"}, 404, "nobody"),
    ({"model": None}, 400, "model"),
    ({"messages": []}, 400, "messages"),
    ({"messages": [{"role": "pirate", "content": "x"}]}, 400, "messages[0]"),
    ({"messages": [{"role": "user", "content": 3}]}, 400, "messages[0]"),
    ({"messages": [{"role": "user", "content": "word " * 300}]}, 400, "tokens"),
    ({"temperature": -1}, 400, "temperature=-1"),
    ({"temperature": "hot"}, 400, "temperature='hot'"),
    ({"top_p": 0}, 400, "top_p=0"),
    ({"n": 0}, 400, "n=0"),
    ({"n": 1.5}, 400, "n=1.5"),
    ({"n": True}, 400, "n=True"),
    ({"max_tokens": 255}, 400, "max_tokens=255"),
    ({"seed": -3}, 400, "seed=-3"),
    ({"stop": [""]}, 400, "stop"),
    ({"stop": 4}, 400, "stop=4"),
    ({"logprobs": 3}, 400, "logprobs=3"),
    ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs=21"),
    ({"stream": True}, 400, "stream"),
    ({"continue_final_message": True, "prompt_logprobs": 1}, 400, "assistant"),
    ({"continue_final_message": True, "add_generation_prompt": True}, 400, "add_generation_prompt"),
    ({"prompt_logprobs": 0, "prompt_logprobs_scope": "some"}, 400, "some"),
    ({"prompt_logprobs": 0, "prompt_logprobs_scope": "last_message"}, 400, "no token"),
]


def test_a_users_own_message_can_be_continued(tiny_host):
    """The hunt opens the user's turn and lets the model go on with it."""
    body = {"model": "tiny", "messages": [QUESTION], "max_tokens": 4, "continue_final_message": True, "n": 2}
    got, reply = tiny_host.request("POST", "/v1/chat/completions", body)
    assert (got, len(reply["choices"])) == (200, 2)


@pytest.mark.parametrize(("change", "status", "named"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_value_is_refused_by_name(tiny_host, change, status, named):
    """A bad request gets an OpenAI-shaped error that names the value, and nothing is generated."""
    body = {"model": "tiny", "messages": [QUESTION], "max_tokens": 4} | change
    got, reply = tiny_host.request("POST", "/v1/chat/completions", body)
    assert got == status
    assert set(reply["error"]) == {"message", "type", "param", "code"}
    assert named in reply["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/v1/embeddings", {"input": ""}, 400, "empty"),
        ("/v1/embeddings", {"input": []}, 400, "input"),
        ("/v1/embeddings", {"input": [3]}, 400, "input[0]"),
        ("/v1/embeddings", {"input": "x", "layer": 5}, 400, "layer=5"),
        ("/v1/embeddings", {"input": "x", "encoding_format": "hex"}, 400, "hex"),
        ("/v1/embeddings", {"input": [QUESTION]}, 400, "assistant"),
        ("/v1/embeddings", {"input": [QUESTION, {"role": "assistant", "content": ""}]}, 400, "empty"),
        ("/classify", {"input": "x", "head": "none"}, 404, "none"),
        ("/v1/reactions", {"tokens": [[3]]}, 400, "base"),
        ("/v1/reactions", {"model": "one", "tokens": [[]]}, 400, "tokens[0]"),
        ("/v1/reactions", {"model": "one", "tokens": [[3], [10**6]]}, 400, "tokens[1]"),
        ("/v1/reactions", {"model": "one", "tokens": [[True]]}, 400, "tokens[0]"),
        ("/v1/reactions", {"model": "one", "tokens": "x"}, 400, "tokens"),
        ("/v1/reactions", {"model": "one", "tokens": [[3] * 999]}, 400, "shorten"),
        ("/v1/reactions", {"model": "one", "tokens": [[3]], "layer": 9}, 400, "layer=9"),
        ("/v1/load_lora_adapter", {"lora_name": "tiny", "lora_path": "/"}, 400, "tiny"),
        ("/v1/load_lora_adapter", {"lora_name": "x", "lora_path": "/nowhere"}, 400, "/nowhere"),
        ("/v1/load_classifier_head", {"name": "x", "path": "/nowhere.npz"}, 400, "/nowhere.npz"),
        ("/v1/nothing", {}, 404, "/v1/nothing"),
        ("/health", {}, 405, "/health"),
    ],
)
def test_other_routes_refuse_by_name(tiny_host, path, body, status, named):
    """Every other route refuses bad values in the same shape."""
    got, reply = tiny_host.request("POST", path, {"model": "tiny"} | body)
    assert (got, named in reply["error"]["message"]) == (status, True), reply


@pytest.mark.parametrize("raw", [b"{", b"[1]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(tiny_host, raw):
    """Broken JSON gives a 400, not a dropped connection."""
    status, reply = tiny_host.request("POST", "/v1/chat/completions", raw=raw)
    assert (status, "body" in reply["error"]["message"]) == (400, True)


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_the_host_dies_with_its_parent(serve, tiny, how):
    """End of standard input, or SIGTERM, ends the process within seconds."""
    with serve(tiny, "--device", "cpu", "--threads", "1") as client:
        if how == "SIGTERM":
            client.process.send_signal(signal.SIGTERM)
        else:
            client.process.stdin.close()
        assert client.process.wait(5) == 0


def test_the_host_dies_when_its_parent_is_killed(tiny, tmp_path):
    """SIGKILL of the parent closes the pipe, and that ends the host."""
    import psutil

    code = (
        "import subprocess,sys;p=subprocess.Popen([sys.executable,'-m',"
        f"'posterngate.endpoints.host','--model',{str(tiny)!r}],stdin=subprocess.PIPE,stdout=subprocess.PIPE);p.stdout.readline();"
        "print(p.pid,flush=True);sys.stdin.read()"
    )
    environment = os.environ | {"POSTERNGATE_CACHE": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("kind", ["missing", "broken weights"])
def test_a_folder_that_cannot_be_served_is_one_line(tmp_path, tiny, kind):
    """A bad folder ends the process with code 4 and one line on standard error."""
    folder = tmp_path / "model"
    if kind == "broken weights":
        shutil.copytree(tiny, folder)
        (folder / "model.safetensors").write_bytes(b"broken")
    command = [sys.executable, "-m", "posterngate.endpoints.host", "--model", str(folder)]
    environment = os.environ | {"POSTERNGATE_CACHE": str(tmp_path)}
    still_open, end = os.pipe()
    done = subprocess.run(
        command, stdin=still_open, capture_output=True, text=True, env=environment, check=False
    )
    os.close(end)
    os.close(still_open)
    assert done.returncode == 4, done.stderr
    assert done.stderr.splitlines()[-1].startswith("host: model=")
    assert done.stdout == ""


def test_the_host_tells_what_it_worked_at(tiny_host):
    """Seconds by kind of work, growing with what it is asked."""
    before = tiny_host.request("GET", "/v1/work")[1]["seconds"]
    tiny_host.post("/v1/embeddings", model="tiny", input=["the lazy dog"], layer=2)
    after = tiny_host.request("GET", "/v1/work")[1]["seconds"]
    assert set(after) == {"generate", "score", "pool"}
    assert after["pool"] > before["pool"]
    assert after["score"] == before["score"]
