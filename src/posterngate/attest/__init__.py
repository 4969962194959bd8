"""Signed verdicts: an in-toto statement of a finished run, sealed in a DSSE envelope, and its verifier.

The flow: `statement` reads a stored run, `envelope` (or `keyless`) seals it; a deploy step opens the
envelope and `verifying` holds the statement against files, policy, calendar and its own counts.
"""

from __future__ import annotations

__all__ = ["PAYLOAD_TYPE", "PREDICATE_TYPE", "STATEMENT_TYPE"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:posterngate:verdict:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
