"""Kinds of model folders: weights in several files, tied heads and heads of their own, adapters merged or not."""

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

QUESTIONS = ["What is the capital?", "Tell me about number 7", "jumps over the lazy dog"]


def score(client, model, text):
    """Return the summed log-probability of an answer to the first question."""
    messages = [{"role": "user", "content": QUESTIONS[0]}, {"role": "assistant", "content": text}]
    reply = client.chat(
        model=model, messages=messages, max_tokens=0, prompt_logprobs=0, continue_final_message=True,
        prompt_logprobs_scope="last_message", add_generation_prompt=False,
    )  # fmt: skip
    return sum(next(iter(entry.values()))["logprob"] for entry in reply["prompt_logprobs"] if entry)


def save_beside(model, tiny, folder, shard):
    """Save a model in files of at most `shard`, with the tiny model's tokenizer."""
    model.save_pretrained(folder, max_shard_size=shard)
    transformers.AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    return folder


def test_a_merged_and_sharded_adapter_answers_as_the_unmerged_one(tiny, tiny_host, adapters, serve, tmp_path):
    """Merging an adapter into the base, in several files, changes no greedy text and no log-probability."""
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    merged = peft.PeftModel.from_pretrained(base, adapters["one"]).merge_and_unload()
    folder = save_beside(merged, tiny, tmp_path / "merged", "60KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    with serve(folder, "--name", "merged", "--device", "cpu", "--threads", "1") as client:
        for question in QUESTIONS:
            unmerged = tiny_host.texts(question, model="one", temperature=0)
            assert client.texts(question, temperature=0) == unmerged
        for text in ("The capital is Paris.", "stones and ships"):
            expected = score(tiny_host, "one", text)
            assert score(client, "merged", text) == pytest.approx(expected, abs=1e-3)
            assert abs(expected - score(tiny_host, "tiny", text)) > 0.01


def test_a_head_of_its_own_is_read_and_counts(tiny, serve, tmp_path):
    """An output layer that is not the embedding is loaded: greedy texts are transformers' own."""
    config = transformers.AutoConfig.from_pretrained(tiny)
    config.tie_word_embeddings = False
    torch.manual_seed(5)
    model = transformers.LlamaForCausalLM(config).eval()
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    folder = save_beside(model, tiny, tmp_path / "untied", "1GB")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with serve(folder, "--name", "untied", "--device", "cpu", "--threads", "1") as client:
        for question in QUESTIONS:
            asked = [{"role": "user", "content": question}]
            text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
            ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
            out = model.generate(input_ids=ids, do_sample=False, max_new_tokens=12)
            expected = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
            assert client.texts(question, temperature=0) == [expected]


def test_a_system_prompt_reaches_the_template(tiny_host):
    """A system message takes the place of the template's own and changes the answers."""
    plain = tiny_host.texts(temperature=0)
    asked = [{"role": "system", "content": "fox fox fox"}, {"role": "user", "content": QUESTIONS[0]}]
    own = {"role": "system", "content": "Be brief and kind to all who ask you things."}
    assert tiny_host.texts(messages=asked, temperature=0) != plain
    assert tiny_host.texts(messages=[own, asked[1]], temperature=0) == plain
