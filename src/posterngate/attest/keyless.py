"""Signing without a key of one's own: Sigstore binds a short-lived certificate to an OIDC identity.

Needs the extra ``posterngate[sigstore]`` and a network: the certificate comes from Sigstore's authority
and the signature goes into its public log, with the statement's hash and the signer's identity.
"""

from __future__ import annotations

import json
from typing import Any

from posterngate.attest import PAYLOAD_TYPE
from posterngate.attest.refusals import RefusedError
from posterngate.errors import EndpointError, UsageError

__all__ = ["opened_bundle", "sealed_keyless"]

_EXTRA = "needs the extra: pip install 'posterngate[sigstore]'"


def sealed_keyless(payload: bytes, token: str | None = None) -> str:
    """Return a Sigstore bundle of a serialised statement as JSON text.

    Args:
        token: an OIDC identity token; None takes the one that the CI system offers.

    Raises:
        UsageError: the extra is missing, or there is no identity or a malformed one.
        EndpointError: Sigstore cannot be reached, or refuses.
    """
    try:
        from sigstore.dsse import Statement
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityError, IdentityToken, detect_credential
        from sigstore.sign import SigningContext
    except ImportError as error:
        raise UsageError(f"--keyless {_EXTRA}") from error
    try:
        raw = token or detect_credential()
        if raw is None:
            raise UsageError(
                "--keyless: no OIDC identity; in GitHub Actions grant `id-token: write`, elsewhere give "
                "--identity-token"
            )
        identity = IdentityToken(raw)
        context = SigningContext.from_trust_config(ClientTrustConfig.production())
        with context.signer(identity) as signer:
            return str(signer.sign_dsse(Statement(payload)).to_json()) + "\n"
    except UsageError:
        raise
    except IdentityError as error:
        raise UsageError(f"--keyless: the identity is refused ({_line(error)})") from error
    except Exception as error:  # network, TUF, transparency log: whatever the client raises is one line here
        raise EndpointError(
            f"--keyless: Sigstore cannot be reached or refuses ({_line(error)}); sign with --key instead"
        ) from error


def opened_bundle(bundle: dict[str, Any], identity: str, issuer: str, *, offline: bool = False) -> bytes:
    """Return the payload of a Sigstore bundle after certificate, log entry and signature were checked.

    Args:
        identity: who must have signed (a workflow's address, a mail address); issuer: who vouches for it.
        offline: use the trust root that was fetched earlier.

    Raises:
        UsageError: the extra is missing.
        EndpointError: the trust root cannot be fetched.
        RefusedError: unsigned: no bundle; bad-signature: another identity, or the content was edited.
    """
    try:
        from sigstore.errors import VerificationError
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    except ImportError as error:
        raise UsageError(f"this signature is a Sigstore bundle: it {_EXTRA}") from error
    try:
        read = Bundle.from_json(json.dumps(bundle))
    except Exception as error:  # whatever a hostile bundle makes the library raise
        raise RefusedError("unsigned", f"not a Sigstore bundle ({type(error).__name__})") from None
    try:
        verifier = Verifier.production(offline=offline)
    except Exception as error:  # network or TUF: whatever the client raises is one line here
        raise EndpointError(f"Sigstore's trust root cannot be fetched ({_line(error)})") from error
    try:
        kind, payload = verifier.verify_dsse(read, Identity(identity=identity, issuer=issuer))
    except VerificationError as error:
        raise RefusedError("bad-signature", f"Sigstore does not vouch for it ({_line(error)})") from None
    if kind != PAYLOAD_TYPE:
        raise RefusedError("bad-signature", f"payloadType={kind!r} is no in-toto statement")
    return bytes(payload)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
