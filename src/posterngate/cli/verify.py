"""Check a signed verdict against the files that are to be deployed; anything but a sound PASS is refused.

Exit codes: 0 verified · 4 usage error · 10 unsigned · 11 bad signature · 12 other model · 13 stale ·
14 looser thresholds · 15 not a PASS · 16 counts and verdict disagree · 17 waived · 18 other probes ·
19 other report · 20 other adapter · 21 rehearsal. Where several apply, each is printed and the first one's
is the exit code.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterngate.errors import UsageError

if TYPE_CHECKING:
    from posterngate.attest.verifying import Findings

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "signature", type=Path, metavar="SIGNATURE", help="file that `posterngate sign` wrote"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model folder that is to be deployed")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="its LoRA adapter, if it has one")
    parser.add_argument(
        "--candidate",
        metavar="SPEC",
        help="instead of --model: a hosted model's spec; its weights stay unseen",
    )
    parser.add_argument(
        "--thresholds", type=Path, default=Path("thresholds.yaml"), metavar="FILE",
        help="the policy that must have been met (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--profile", default="release", metavar="NAME", help="of it (default: %(default)s)")
    parser.add_argument(
        "--probes", action="append", default=[], metavar="PATH",
        help="a further folder or file of probe sets, as in --gate-probes; may be repeated",
    )  # fmt: skip
    parser.add_argument("--key", type=Path, metavar="FILE", help="public key of the signer")
    parser.add_argument("--certificate-identity", metavar="ID", help="keyless: who must have signed")
    parser.add_argument(
        "--certificate-oidc-issuer", metavar="URL", help="keyless: who vouches for the signer"
    )
    parser.add_argument("--offline", action="store_true", help="keyless: use the trust root fetched earlier")
    parser.add_argument("--report", type=Path, metavar="FILE", help="report.json that must be the run's own")
    parser.add_argument(
        "--allow-waivers", action="store_true", help="let waived verdicts through while their waivers hold"
    )
    parser.add_argument(
        "--allow-rehearsal",
        action="store_true",
        help="let a run of scripted or recorded parts through: to try the steps, never in a deploy step",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what was found; the exit code says whether, and why not.

    Raises:
        UsageError: the question makes no sense, or something that it names cannot be read.
    """
    from posterngate.attest.refusals import RefusedError, worst_code
    from posterngate.attest.verifying import Findings

    _check(args)
    statement: dict[str, Any] = {}
    try:
        statement = _opened(args)
        findings = _examined(statement, args)
    except RefusedError as error:
        findings = Findings([error.refusal], [])
    print(_as_json(findings, statement) if args.json else _text(findings, statement))
    return worst_code(findings.refusals)


def _check(args: argparse.Namespace) -> None:
    if (args.model is None) == (args.candidate is None):
        raise UsageError("--model, --candidate: give one of the two, for what is to be deployed")
    if args.adapter is not None and args.model is None:
        raise UsageError("--adapter: belongs to a --model; give its folder too")


def _opened(args: argparse.Namespace) -> dict[str, Any]:
    from posterngate.attest.envelope import is_bundle, opened, parsed, read_signature

    value = read_signature(args.signature)
    if is_bundle(value):
        from posterngate.attest.keyless import opened_bundle

        if not (args.certificate_identity and args.certificate_oidc_issuer):
            raise UsageError(
                "--certificate-identity, --certificate-oidc-issuer: the signature is keyless; "
                "say whose it must be"
            )
        whose = (args.certificate_identity, args.certificate_oidc_issuer)
        return parsed(opened_bundle(value, *whose, offline=args.offline))
    from posterngate.attest.keys import public_key

    if args.key is None:
        raise UsageError("--key=(missing): name the signer's public key")
    return parsed(opened(value, public_key(args.key)))


def _examined(statement: dict[str, Any], args: argparse.Namespace) -> Findings:
    from posterngate.attest.verifying import Question, examine
    from posterngate.spec.thresholds import load_manifest

    question = Question(
        manifest=load_manifest(args.thresholds, args.profile),
        thresholds=args.thresholds,
        model=args.model,
        adapter=args.adapter,
        candidate=args.candidate,
        report=args.report,
        probes=tuple(args.probes),
        allow_waivers=args.allow_waivers,
        allow_rehearsal=args.allow_rehearsal,
    )
    return examine(statement, question, datetime.now(UTC))


def _text(findings: Findings, statement: dict[str, Any]) -> str:
    from posterngate.report.text_safety import one_line

    lines = [f"REFUSED {refusal.reason}: {one_line(refusal.text, 400)}" for refusal in findings.refusals]
    if not lines:
        about = statement["predicate"]
        spec, digest = one_line(str(about["candidate"]["spec"]), 80), about["candidate"]["digest"][:12]
        lines = _waiver_lines(about)
        lines += [
            f"VERIFIED {about['verdict']}  candidate {spec}  digest {digest}",
            f"run {about['run']['id']}, profile {about['policy']['profile']}, expires {about['expires']}",
        ]
    return "\n".join([*lines, *(f"note: {one_line(note, 400)}" for note in findings.notes)])


def _waiver_lines(about: dict[str, Any]) -> list[str]:
    from posterngate.report.phrases import waiver_lines

    return waiver_lines(about)


def _as_json(findings: Findings, statement: dict[str, Any]) -> str:
    from posterngate.attest.refusals import EXIT_CODES

    refusals = [
        {"reason": refusal.reason, "exit_code": EXIT_CODES[refusal.reason], "text": refusal.text}
        for refusal in findings.refusals
    ]
    about = statement.get("predicate", {})
    told = {name: about.get(name) for name in ("verdict", "run", "expires", "waivers")}
    return json.dumps({"verified": not refusals, "refusals": refusals, "notes": findings.notes, **told})
