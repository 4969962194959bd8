"""Every exception that posterngate raises on purpose.

    PosterngateError
    ├── UsageError              the caller's words are off: exit 4, nothing was written
    │   ├── SpecError           a YAML file breaks its schema (file, line, value, rule, remedy)
    │   └── UnknownNameError    a name that is not in a registry; lists the valid ones and the nearest
    ├── IntegrityError          the model under test is not the one that was named: the run is INVALID
    ├── EndpointError           a model could not be started or reached
    │   ├── EndpointDiedError   its process ended; carries its last log lines
    │   └── UnsupportedError    the endpoint lacks what a rule requires (logprobs, adapters, ...)
    ├── ModelFetchError         the embedded model could not be fetched, checked or converted
    ├── TrainError              a fine-tune could not be carried out
    ├── JudgeError              a judge gave no readable answer (becomes the label judge_error)
    ├── StoreError              the sample store cannot be read or written
    └── LedgerError             planned and accounted samples differ: a defect, never green

Messages read ``name=value``, then the rule that it breaks, then the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "EndpointDiedError",
    "EndpointError",
    "IntegrityError",
    "JudgeError",
    "LedgerError",
    "ModelFetchError",
    "PosterngateError",
    "SpecError",
    "StoreError",
    "TrainError",
    "UnknownNameError",
    "UnsupportedError",
    "UsageError",
]


class PosterngateError(Exception):
    """Base class: catching it catches everything raised on purpose here."""


class UsageError(PosterngateError):
    """The caller asked for something that cannot be; nothing was started or written."""


class SpecError(UsageError):
    """A YAML file breaks its schema. `where` is ``FILE:LINE``."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where = where


class UnknownNameError(UsageError):
    """A name that no registry holds.

    Args:
        kind: what was looked up, for example ``"judge"``.
        name: the unknown name.
        valid: the names that exist; listed in the message, the nearest one first.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(names) or "(none)"
        super().__init__(f"{kind}={name!r} is not known.{hint} Valid: {listed}")
        self.name = name


class IntegrityError(PosterngateError):
    """What was tested is not what was named: the run is INVALID."""


class EndpointError(PosterngateError):
    """A model could not be started or reached."""


class EndpointDiedError(EndpointError):
    """The process behind an endpoint ended while it was needed."""


class UnsupportedError(EndpointError):
    """The endpoint lacks a capability that a rule requires."""


class ModelFetchError(PosterngateError):
    """The embedded model could not be fetched, checked or converted; no half file is left."""


class TrainError(PosterngateError):
    """A fine-tune could not be carried out."""


class JudgeError(PosterngateError):
    """A judge gave no readable answer."""


class StoreError(PosterngateError):
    """The sample store cannot be read or written."""


class LedgerError(PosterngateError):
    """Planned samples and accounted samples differ."""
