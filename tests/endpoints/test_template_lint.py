"""Chat templates that come with a checkpoint: usual ones pass, those that reach further are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.endpoints.template_lint import check_templates, problem_in
from posterngate.errors import UsageError

USUAL = [
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}",
    "{{ raise_exception('System role not supported') if messages[0]['role'] == 'system' }}",
    "{% set ns = namespace(found=false) %}{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}"
    "{% generation %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% endgeneration %}{% endfor %}",
    "{% macro one(m) %}{{ m['content'] | tojson }}{% endmacro %}{{ one(messages[0]) }}{{ strftime_now('%d') }}",
    "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(messages | length) %}{% endfor %}",
]
HOSTILE = {
    "{{ ''.__class__.__mro__[1].__subclasses__() }}": "hidden attribute '__",
    "{{ ''['__class__'] }}": "two underscores",
    "{{ messages | attr('x' ~ 'y') }}": "filter attr",
    "{{ messages | map(attribute='__init__') }}": "two underscores",
    "{{ cycler._undefined }}": "hidden attribute '_undefined'",
    "{{ __import__('os') }}": "hidden name",
    "{% include 'secrets.txt' %}": "another template",
    "{% import 'a' as b %}": "another template",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}": "more than 10000",
    "{% for m in messages %}": "cannot be read",
    "{{" + "(" * 100_000: "cannot be read|nested too deeply|characters",
    "x" * 200_001: "characters",
}


@pytest.mark.parametrize("template", USUAL)
def test_usual_templates_pass(template: str) -> None:
    """What published models use is accepted."""
    assert problem_in(template) == ""


@pytest.mark.parametrize("template", HOSTILE, ids=range(len(HOSTILE)))
def test_what_no_template_needs_is_refused(template: str) -> None:
    """Hidden attributes by any spelling, other templates, endless loops, text that is no template."""
    import re

    assert re.search(HOSTILE[template], problem_in(template))


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("chat_template.jinja", lambda text: text),
        ("tokenizer_config.json", lambda text: json.dumps({"chat_template": text})),
        (
            "tokenizer_config.json",
            lambda text: json.dumps({"chat_template": [{"name": "t", "template": text}]}),
        ),
        ("chat_template.json", lambda text: json.dumps({"chat_template": {"default": text}})),
    ],
)
def test_every_place_of_a_template_is_looked_at(tmp_path: Path, name: str, wrap) -> None:
    """Whatever file transformers would read the template from, the refusal names it."""
    (tmp_path / name).write_text(wrap("{{ ''.__class__ }}"))
    with pytest.raises(UsageError, match=f"candidate=hf:x: the chat template in {name} reaches for"):
        check_templates(tmp_path, "hf:x")


def test_a_folder_without_templates_is_somebody_elses_business(tmp_path: Path) -> None:
    """Nothing to look at, unreadable JSON and odd types are not this check's errors."""
    check_templates(tmp_path, "hf:x")
    (tmp_path / "tokenizer_config.json").write_text("{")
    (tmp_path / "chat_template.json").write_text('{"chat_template": 3}')
    check_templates(tmp_path, "hf:x")
