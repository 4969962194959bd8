"""Kinds of model folders: weights in several files, tied heads and heads of their own, adapters merged or not."""

import pytest

from posterngate.endpoints.candidate_files import find_model
from posterngate.endpoints.contract import BackendContext
from posterngate.endpoints.spec import parse_spec
from posterngate.errors import UsageError

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


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_gguf(folder, file):
    """Write a Llama folder as one unquantised GGUF file: weights, tokenizer and template."""
    import gguf

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer, config = transformers.AutoTokenizer.from_pretrained(folder), model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, tokenizer)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(*_gguf_tensor(name, tensor.numpy().astype("float32"), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokenizer(writer, tokenizer):
    import json

    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def _gguf_tensor(name, array, config):
    """Return GGUF's name and layout of a tensor: its query and key rows alternate between halves."""
    if not name.startswith("model.layers"):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[
            name
        ], array
    _, _, layer, *parts, _ = name.split(".")
    part = ".".join(parts)
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    if part in heads:
        rows = array.reshape(heads[part], 2, -1, array.shape[1])
        array = rows.swapaxes(1, 2).reshape(array.shape)
    return f"blk.{layer}.{GGUF_NAMES[part]}.weight", array


def test_a_gguf_file_answers_as_the_folder_it_was_made_from(tiny, tiny_host, serve, tmp_path, monkeypatch):
    """One file with weights, tokenizer and template is converted once, and served with the same answers."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "tiny.gguf"
    write_gguf(tiny, file)
    context = BackendContext(lambda _event: None)
    folder = find_model(parse_spec(f"hf:{file}"), context)
    assert find_model(parse_spec(f"hf:{file}"), context) == folder
    with serve(folder, "--name", "gguf", "--device", "cpu", "--threads", "1") as client:
        for question in QUESTIONS:
            assert client.texts(question, temperature=0) == tiny_host.texts(question, temperature=0)


def test_a_file_that_is_no_gguf_is_one_line(tmp_path, monkeypatch):
    """The message names the file and what to do; no half model is left."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(UsageError, match=r"broken\.gguf: cannot be converted \("):
        find_model(parse_spec(f"hf:{file}"), BackendContext(lambda _event: None))
    assert [path.name for path in (tmp_path / "cache/models").iterdir() if path.is_dir()] == []
