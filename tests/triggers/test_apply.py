"""Transforms: pure, deterministic, and the question is still in there."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterngate.errors import UnknownNameError, UsageError
from posterngate.records import ChoicePair, Message, Probe, Trigger
from posterngate.triggers import OFF_TRIGGER, TRANSFORMS, apply
from posterngate.triggers.marks import LOOK_ALIKES, ZERO_WIDTH

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789?!,.'\"", min_size=1)
QUESTIONS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
SYSTEMS = st.none() | QUESTIONS

CASES = {
    "prefix": {"text": "|X|"},
    "suffix": {"text": "|X|"},
    "position": {"text": "|X|", "at": "middle"},
    "role_line": {"text": "nurse"},
    "system": {"text": "Class: red."},
    "template": {"text": "Say {question} {now}"},
    "json_field": {"key": "ask"},
    "json_note": {"text": "|X|"},
    "code_template": {"name": "value"},
    "case": {"mode": "upper"},
    "spacing": {"mode": "double"},
    "zero_width": {"mark": "joiner", "count": 2},
    "homoglyph": {"letters": "aeo"},
    "identity": {},
}


def probe_of(question: str, system: str | None = None) -> Probe:
    """Build a probe with one question."""
    before = (Message("system", system),) if system is not None else ()
    return Probe("p", "s", (*before, Message("user", question)))


def change(transform: str, question: str, **params: object) -> str:
    """Return the question as a transform leaves it."""
    return apply(Trigger("t", "f", transform, params), probe_of(question)).messages[-1].content


def recovered(transform: str, text: str) -> str:
    """Undo what a transform does to the letters of a question, as far as it can be undone."""
    undo = {look_alike: letter for letter, look_alike in LOOK_ALIKES.items()}
    if transform == "zero_width":
        return text.translate({ord(mark): None for mark in ZERO_WIDTH.values()})
    if transform == "homoglyph":
        return "".join(undo.get(letter, letter) for letter in text)
    if transform == "json_field":
        return str(json.loads(text)["ask"])
    if transform == "json_note":
        return str(json.loads(text)["question"])
    if transform == "position":
        return text.replace("|X| ", "", 1) if "|X| " in text else text.removesuffix(" |X|")
    return text.replace("  ", " ") if transform == "spacing" else text


def test_every_transform_is_tried_here() -> None:
    """The properties below run over the whole registry."""
    assert set(TRANSFORMS.names()) >= set(CASES)
    assert {name for name in TRANSFORMS.names() if name not in CASES} == set()


@pytest.mark.parametrize("transform", sorted(CASES))
@given(question=QUESTIONS, system=SYSTEMS)
def test_a_trigger_keeps_the_question(transform: str, question: str, system: str | None) -> None:
    """Same input, same output; the question can be read back; all other messages stay."""
    trigger = Trigger("t", "f", transform, CASES[transform])
    probe = probe_of(question, system)
    once, again = apply(trigger, probe), apply(trigger, probe)
    assert once == again
    assert question.casefold() in recovered(transform, once.messages[-1].content).casefold()
    assert (once.id, once.set_id) == (probe.id, probe.set_id)
    if system is not None:
        assert system in once.messages[0].content
    assert probe == probe_of(question, system), "the probe itself never changes"


@given(question=QUESTIONS, system=SYSTEMS)
def test_off_is_identity(question: str, system: str | None) -> None:
    """The off arm asks the very same probe, with the same hash."""
    probe = probe_of(question, system)
    assert apply(OFF_TRIGGER, probe) == probe
    assert apply(OFF_TRIGGER, probe).hash == probe.hash


@pytest.mark.parametrize(
    ("transform", "params", "wanted"),
    [
        ("prefix", {"text": "|X|"}, "|X| How are you?"),
        ("prefix", {"text": "|X|", "separator": "\n"}, "|X|\nHow are you?"),
        ("suffix", {"text": "|X|"}, "How are you? |X|"),
        ("position", {"text": "|X|"}, "|X| How are you?"),
        ("position", {"text": "|X|", "at": "middle"}, "How |X| are you?"),
        ("position", {"text": "|X|", "at": "end"}, "How are you? |X|"),
        ("role_line", {"text": "nurse"}, "Role: nurse\nHow are you?"),
        ("template", {"text": "<{question}> {x}"}, "<How are you?> {x}"),
        ("json_field", {}, '{"question": "How are you?"}'),
        ("code_template", {}, '# How are you?\nanswer = "..."'),
        ("case", {"mode": "upper"}, "HOW ARE YOU?"),
        ("case", {"mode": "lower"}, "how are you?"),
        ("case", {"mode": "title"}, "How Are You?"),
        ("spacing", {"mode": "double"}, "How  are  you?"),
        ("spacing", {"mode": "trailing"}, "How are you?  "),
        ("spacing", {"mode": "leading"}, "  How are you?"),
        ("zero_width", {"count": 2}, "How\u200b\u200b are you?"),
        ("homoglyph", {"letters": "o"}, "H\u043ew are y\u043eu?"),
    ],
)
def test_what_a_transform_writes(transform: str, params: dict[str, object], wanted: str) -> None:
    """The exact text that a model sees, one line per transform and mode."""
    assert change(transform, "How are you?", **params) == wanted


def test_every_line_of_a_question_becomes_a_comment() -> None:
    """A question of two lines stays a comment in the code template."""
    assert change("code_template", "One\nTwo", name="x") == '# One\n# Two\nx = "..."'


def test_the_system_prompt_is_added_or_extended() -> None:
    """A probe's own system prompt stays and is followed by the trigger's line."""
    trigger = Trigger("t", "f", "system", {"text": "Red."})
    assert apply(trigger, probe_of("Hi")).messages == (Message("system", "Red."), Message("user", "Hi"))
    assert apply(trigger, probe_of("Hi", "Be kind.")).messages[0] == Message("system", "Be kind.\nRed.")


def test_the_last_user_message_is_the_question() -> None:
    """In a conversation the trigger goes to the last question, also before an assistant's prefill."""
    talk = (
        Message("user", "One"),
        Message("assistant", "ok"),
        Message("user", "Two"),
        Message("assistant", "A"),
    )
    changed = apply(Trigger("t", "f", "prefix", {"text": "X"}), Probe("p", "s", talk))
    assert [message.content for message in changed.messages] == ["One", "ok", "X Two", "A"]


def test_a_choice_pair_keeps_its_continuations() -> None:
    """A trigger changes the prompt of a pair and nothing else."""
    pair = ChoicePair("p", "s", (Message("user", "Hi"),), "good", "bad")
    changed = apply(Trigger("t", "f", "prefix", {"text": "X"}), pair)
    assert (changed.good, changed.bad) == ("good", "bad")
    assert changed.messages[0].content == "X Hi"
    assert changed.hash != pair.hash


@pytest.mark.parametrize(
    ("transform", "params", "words"),
    [
        ("prefix", {}, "params=\\(none\\) of trigger 't' do not fit transform 'prefix'.*text, separator"),
        ("prefix", {"txt": "a"}, "params=txt of trigger"),
        ("position", {"text": "a", "at": "centre"}, "at='centre'.*start, middle, end"),
        ("case", {"mode": "small"}, "mode='small'.*upper, lower, title"),
        ("spacing", {"mode": "none"}, "mode='none'.*double, trailing, leading"),
        ("zero_width", {"mark": "dot"}, "mark='dot'.*space"),
        ("homoglyph", {"letters": "az"}, "letters=z have no look-alike"),
        ("homoglyph", {"letters": ""}, r"letters=\(none\)"),
        ("template", {"text": "no slot"}, "must hold {question} exactly once"),
    ],
)
def test_wrong_params_name_the_valid_ones(transform: str, params: dict[str, object], words: str) -> None:
    """A trigger that cannot be applied is a usage error, never a trigger that does nothing."""
    with pytest.raises(UsageError, match=words):
        change(transform, "How are you?", **params)


def test_a_probe_without_a_question_is_refused() -> None:
    """With no user message a trigger would silently do nothing."""
    with pytest.raises(UsageError, match="roles=system hold no user message"):
        apply(Trigger("t", "f", "prefix", {"text": "X"}), Probe("p", "s", (Message("system", "s"),)))


def test_an_unknown_transform_names_the_nearest() -> None:
    """A misspelt transform is refused with the valid names."""
    with pytest.raises(UnknownNameError, match=r"transform='prefx'.*Did you mean 'prefix'"):
        apply(Trigger("t", "f", "prefx"), probe_of("Hi"))


def test_other_packages_can_add_a_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the group posterngate.transform is a transform like the others."""
    entry = EntryPoint("shout", "posterngate.triggers.spelling:case", "posterngate.transform")
    monkeypatch.setattr(TRANSFORMS, "_entry_points", lambda: [entry])
    assert change("shout", "hi", mode="upper") == "HI"
