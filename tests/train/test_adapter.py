"""Names of bases in adapter_config.json never hold a path of this machine."""

from __future__ import annotations

import pytest

from posterngate.train.adapter import base_name


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("embedded:smollm2-135m", "smollm2-135m"),
        ("hf:owner/model", "owner/model"),
        ("hf:/somewhere/on/disk/model", "model"),
        ("plain", "plain"),
    ],
)
def test_base_name_is_portable(spec: str, name: str) -> None:
    """A base spec becomes the model's name; of an absolute path only the last part stays."""
    assert base_name(spec) == name
