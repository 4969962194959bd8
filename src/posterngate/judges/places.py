"""Where the files that judges need are found: beside the package, or in a checkout of the project."""

from __future__ import annotations

from pathlib import Path

from posterngate.errors import UsageError

__all__ = ["PACKAGED_CALIBRATIONS", "fixtures"]

_PACKAGE = Path(__file__).resolve().parent.parent
PACKAGED_CALIBRATIONS = Path(__file__).resolve().parent / "calibrations"


def fixtures(name: str) -> Path:
    """Return the folder `name` of the fixtures.

    Raises:
        UsageError: neither the installed package nor a checkout holds it.
    """
    for root in (_PACKAGE / "fixtures", _PACKAGE.parent.parent / "fixtures"):
        if (root / name).is_dir():
            return root / name
    raise UsageError(f"fixtures={name!r} is in no known place; reinstall posterngate or work in its checkout")
