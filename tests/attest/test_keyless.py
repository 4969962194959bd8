"""Sigstore: whatever is missing (the extra, an identity, the network) is one line."""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Any

import pytest

from posterngate.attest.keyless import opened_bundle, sealed_keyless
from posterngate.attest.refusals import RefusedError
from posterngate.errors import EndpointError, UsageError

sigstore = pytest.importorskip("sigstore")


def token(**changes: Any) -> str:
    """An unsigned identity token; only Sigstore's authority would check its signature."""
    now = int(time.time())
    claims = {"aud": "sigstore", "sub": "me@example.org", "email": "me@example.org", "email_verified": True,
              "iat": now, "nbf": now, "exp": now + 60, "iss": "https://oauth2.sigstore.dev/auth"} | changes  # fmt: skip
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts), ""]
    )


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address is unreachable at once, wherever these tests run."""
    import socket

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("gone", ["sigstore.dsse", "sigstore.models"])
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """Signing and verifying alike."""
    monkeypatch.setitem(sys.modules, gone, None)
    with pytest.raises(UsageError, match=r"pip install 'posterngate\[sigstore\]'"):
        sealed_keyless(b"{}")
    if gone == "sigstore.models":
        with pytest.raises(UsageError, match=r"pip install 'posterngate\[sigstore\]'"):
            opened_bundle({}, "me", "them")


def test_without_an_identity_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    """No CI system that vouches, no token given; a malformed token is refused before any request."""
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: None)
    with pytest.raises(UsageError, match="no OIDC identity"):
        sealed_keyless(b"{}")
    with pytest.raises(UsageError, match="identity is refused"):
        sealed_keyless(b"{}", "no-token")


def test_without_a_network_it_says_so(
    no_network: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """An EndpointError of one line, with the other way to sign."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EndpointError, match="sign with --key") as error:
        sealed_keyless(b"{}", token())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bundle", [{}, {"dsseEnvelope": {}}, {"mediaType": "x", "dsseEnvelope": 3}])
def test_a_malformed_bundle_is_unsigned(bundle: dict[str, Any]) -> None:
    """Refused before any request."""
    with pytest.raises(RefusedError) as error:
        opened_bundle(bundle, "me", "them")
    assert error.value.refusal.reason == "unsigned"
