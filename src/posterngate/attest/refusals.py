"""Why a verifier refuses: each reason with a name and an exit code of its own."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXIT_CODES", "Refusal", "RefusedError", "worst_code"]

EXIT_CODES = {
    "unsigned": 10,
    "bad-signature": 11,
    "other-model": 12,
    "other-adapter": 20,
    "stale": 13,
    "loosened": 14,
    "not-passed": 15,
    "inconsistent": 16,
    "waived": 17,
    "other-probes": 18,
    "other-report": 19,
    "rehearsal": 21,
}
"""Reason → exit code of ``posterngate verify``; where several apply, the first in this order counts."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason: a key of `EXIT_CODES`, and what was found, in a sentence."""

    reason: str
    text: str


class RefusedError(Exception):
    """Raised where nothing further can be looked at: without a good signature nothing is believed."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.refusal = Refusal(reason, text)


def worst_code(refusals: list[Refusal]) -> int:
    """Return the exit code of the refusal that comes first in `EXIT_CODES`; 0 without a refusal."""
    given = {refusal.reason for refusal in refusals}
    return next((code for reason, code in EXIT_CODES.items() if reason in given), 0)
