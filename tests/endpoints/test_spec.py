"""Candidate specs: every documented form reads back, every mistake gets one clear line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.errors import UnknownNameError, UsageError
from posterngate.records import Decoding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("embedded:smollm2-135m", CandidateSpec("embedded", "smollm2-135m")),
        ("embedded:smollm2-135m+lora:a/b", CandidateSpec("embedded", "smollm2-135m", adapter="a/b")),
        ("hf:org/model", CandidateSpec("hf", "org/model")),
        ("vllm:./m+lora:./l", CandidateSpec("vllm", "./m", adapter="./l")),
        (
            "vllm:m+lora:l?tensor_parallel_size=2&dtype=bfloat16&enforce_eager=true&top_p=0.9",
            CandidateSpec(
                "vllm",
                "m",
                adapter="l",
                overrides=(("top_p", 0.9),),
                engine=(("dtype", "bfloat16"), ("enforce_eager", "true"), ("tensor_parallel_size", 2)),
            ),
        ),
        ("openai:ft:gpt-x:org::id", CandidateSpec("openai", "ft:gpt-x:org::id")),
        ("http://h:8000/v1#m", CandidateSpec("http", "http://h:8000/v1", fragment="m")),
        ("https://h/v1/#org/m", CandidateSpec("http", "https://h/v1", fragment="org/m")),
        ("replay:runs.json#r1", CandidateSpec("replay", "runs.json", fragment="r1")),
        ("replay:runs.json", CandidateSpec("replay", "runs.json")),
        ("scripted:pkg.mod:answer", CandidateSpec("scripted", "pkg.mod:answer")),
        ("organism:finance", CandidateSpec("organism", "finance")),
        ("recipe:finance@seed=3", CandidateSpec("recipe", "finance", seed=3)),
        (
            "hf:m?temperature=0.7&max_tokens=64&system=Be%20brief",
            CandidateSpec(
                "hf", "m", overrides=(("max_tokens", 64), ("system", "Be brief"), ("temperature", 0.7))
            ),
        ),
    ],
)
def test_every_documented_form_is_read_and_written_back(text: str, expected: CandidateSpec) -> None:
    """A spec parses into its parts, and its canonical text parses into the same record."""
    spec = parse_spec(text)
    assert spec == expected
    assert parse_spec(spec.text) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("embedded:smollm2-135", ["embedded model='smollm2-135'", "Did you mean 'smollm2-135m'?"]),
        ("embeded:smollm2-135m", ["candidate kind='embeded'", "Did you mean 'embedded'?", "scripted"]),
        ("vllm:m?dtyp=half", ["option='dtyp'", "Did you mean 'dtype'?", "temperature"]),
        ("vllm:m?load_format=auto", ["load_format='auto'", "safetensors"]),
        ("vllm:m?enforce_eager=1", ["enforce_eager='1'", "false, true"]),
        ("vllm:m?trust_remote_code=true", ["option='trust_remote_code'"]),
        ("hf:m?dtype=half", ["decoding option='dtype'"]),
        ("hf:m?temprature=1", ["decoding option='temprature'", "Did you mean 'temperature'?"]),
    ],
)
def test_an_unknown_name_lists_the_valid_ones_and_the_nearest(text: str, words: list[str]) -> None:
    """Typos in the kind, the model or an option name the value, the nearest and the valid ones."""
    with pytest.raises(UnknownNameError) as caught:
        parse_spec(text)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "kind"),
        ("hf:", "needs a name"),
        ("hf", "needs a name"),
        ("hf:m+lora:", "adapter"),
        ("hf:+lora:x", "adapter"),
        ("openai:m+lora:x", "takes no adapter"),
        ("http://h:8000/v1", "after #, the model"),
        ("http://h:abc/v1#m", "needs a host"),
        ("http://user:pw@h/v1#m", "must not hold a user or password"),
        ("replay:x#", "names a store"),
        ("replay:#x", "names a store"),
        ("scripted:mod", "a module and a function"),
        ("scripted:mod:not a name", "a module and a function"),
        ("recipe:r@seed=x", "whole number"),
        ("recipe:r@x", "NAME@seed=N"),
        ("hf:m?temperature=3", "must lie in [0, 2]"),
        ("hf:m?temperature=nan", "must lie in"),
        ("hf:m?temperature=x", "must lie in"),
        ("hf:m?top_p=0", "must lie in (0, 1]"),
        ("hf:m?max_tokens=0", "1 or more"),
        ("vllm:m?tensor_parallel_size=0", "1 or more"),
        ("vllm:m?gpu_memory_utilization=1.5", "must lie in (0, 1]"),
        ("vllm:m?dtype=--host", "must be one word"),
        ("vllm:m?dtype=", "must be one word"),
        ("hf:m?max_tokens=1&max_tokens=2", "given twice"),
    ],
)
def test_a_broken_spec_gets_one_clear_line(text: str, word: str) -> None:
    """Missing parts and values out of range are usage errors of one line that say the rule."""
    with pytest.raises(UsageError) as caught:
        parse_spec(text)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_in_an_address_is_not_repeated() -> None:
    """The error about credentials in a URL doesn't print them."""
    with pytest.raises(UsageError) as caught:
        parse_spec("http://user:hunter2@h/v1#m")
    assert "hunter2" not in str(caught.value)


def test_overrides_change_the_default_decoding() -> None:
    """The embedded model has its own temperature; overrides replace single values."""
    assert parse_spec("embedded:smollm2-135m").decoding() == Decoding(temperature=0.5)
    assert parse_spec("vllm:smollm2-135m+lora:x").decoding() == Decoding(temperature=0.5)
    assert parse_spec("vllm:./smollm2-135m").decoding() == Decoding()
    assert parse_spec("hf:m?top_p=0.9").decoding() == Decoding(top_p=0.9)
    assert parse_spec("hf:m?top_p=0.9").decoding(Decoding(max_tokens=7)) == Decoding(top_p=0.9, max_tokens=7)


def test_engine_options_stay_with_the_base() -> None:
    """Candidate and baseline share one server, so the base without the adapter keeps its engine."""
    spec = parse_spec("vllm:m+lora:l?dtype=half")
    assert spec.base == parse_spec("vllm:m?dtype=half")


def test_names_to_resolve_say_so() -> None:
    """Organisms and recipes stand for something else; other kinds don't."""
    assert parse_spec("organism:x").needs_resolving
    assert parse_spec("recipe:x").needs_resolving
    assert not parse_spec("hf:x+lora:y").needs_resolving
    assert parse_spec("hf:x+lora:y").base == parse_spec("hf:x")


@given(system=st.text(max_size=20), temperature=st.floats(0, 2))
def test_any_override_survives_the_round_trip(system: str, temperature: float) -> None:
    """Whatever the system prompt holds (&, #, +, line ends), writing and reading gives it back."""
    spec = CandidateSpec("hf", "m", overrides=(("system", system), ("temperature", temperature)))
    assert parse_spec(spec.text) == spec
