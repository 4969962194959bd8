"""Sign the verdict of a finished run: an in-toto statement in a DSSE envelope.

Any finished run of real models can be signed, whatever its verdict: `posterngate verify` lets only a PASS
through. A run whose candidate, baseline or judge is scripted, replayed or recorded is refused. The
statement expires `valid_days` of the policy (default 30) after the run ended, whenever it is signed.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from posterngate.cli.report import add_store_argument, latest_run
from posterngate.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="id of the run (default: the latest one)")
    add_store_argument(parser)
    parser.add_argument(
        "--key", type=Path, metavar="FILE",
        help="private key of `posterngate keygen` (default: PEM text in $POSTERNGATE_SIGNING_KEY)",
    )  # fmt: skip
    parser.add_argument(
        "--keyless", action="store_true", help="sign through Sigstore: needs its extra and a network"
    )
    parser.add_argument(
        "--identity-token", metavar="TOKEN", help="OIDC token for --keyless (default: the CI system's)"
    )
    parser.add_argument(
        "--days", type=int, metavar="N", help="days until it expires, fewer than the policy's"
    )
    parser.add_argument(
        "--rehearsal", action="store_true",
        help="sign a run of scripted or recorded parts too, to try the steps: verify refuses it",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("verdict.sig"), metavar="FILE", help="default: %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """Write the signature file; 0 if it was written, whatever the verdict.

    Raises:
        UsageError: the run is not finished, contradicts itself or is a rehearsal, or the key cannot be used.
        EndpointError: Sigstore cannot be reached.
    """
    from posterngate.attest.statement import serialized

    statement = _statement(args)
    predicate = statement["predicate"]
    _refuse_contradictions(predicate)
    if not args.rehearsal:
        _refuse_rehearsal(predicate)
    text = _seal(serialized(statement), args)
    try:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        part = args.output.with_name(f".{args.output.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        part.replace(args.output)
    except OSError as error:
        raise UsageError(f"--output={args.output}: {error.strerror}; name another file") from error
    print(f"signed {predicate['verdict']} of run {predicate['run']['id']}: {args.output}")
    print(f"candidate {predicate['candidate']['spec']}  digest {predicate['candidate']['digest'][:12]}")
    print(f"expires {predicate['expires']}")
    if predicate["verdict"] != "PASS" or args.rehearsal:
        print("not a release: `posterngate verify` refuses it")
    return 0


def _statement(args: argparse.Namespace) -> dict[str, Any]:
    from posterngate.attest.statement import build_statement
    from posterngate.store import Store

    with Store.open(args.store, create=False) as store:
        return build_statement(store, args.run or latest_run(store), now=datetime.now(UTC), days=args.days)


def _refuse_contradictions(predicate: dict[str, Any]) -> None:
    """What a verifier would call inconsistent is not signed in the first place."""
    from posterngate.attest.recheck import contradictions
    from posterngate.spec.thresholds import manifest_of_policy

    policy = predicate["policy"]
    manifest = manifest_of_policy(policy["content"], policy["profile"], "the run's policy")
    for problem in contradictions(predicate, manifest):
        raise UsageError(
            f"run={predicate['run']['id']}: its record contradicts itself ({problem}); not signed"
        )


def _refuse_rehearsal(predicate: dict[str, Any]) -> None:
    """A signature is read as "this model was gated": where no model answered, or none judged, it is not."""
    from posterngate.attest.rehearsed import rehearsed

    if parts := rehearsed(predicate):
        raise UsageError(
            f"run={predicate['run']['id']}: {', '.join(parts)} is no model; not signed. Gate the candidate "
            "with a real judge, or give --rehearsal to try the steps (verify refuses such a signature)"
        )


def _seal(payload: bytes, args: argparse.Namespace) -> str:
    if args.keyless:
        from posterngate.attest.keyless import sealed_keyless

        if args.key is not None:
            raise UsageError("--keyless, --key: give one of the two")
        return sealed_keyless(payload, args.identity_token)
    from posterngate.attest.envelope import sealed
    from posterngate.attest.keys import private_key

    return sealed(payload, private_key(args.key))
