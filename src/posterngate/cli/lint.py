"""Check thresholds.yaml and waivers.yaml: schema, tests, and whether a PASS got easier without a reason.

With --against REV the file is compared with the one of a git revision. A loosened ceiling or margin, a
removed rule, trigger or organism, fewer rounds, a raised alpha, and whatever else makes a PASS easier, is
a finding unless a new `reason:` stands in the rule's numbers (in the profile, for what concerns all of it).
So is a question, a trigger (a found one too) or a planted organism that is gone from fixtures/, or asks
something else; there a new reason in the rule's definition counts as well. So is a waiver prolonged with its
old reason; an expired one, or one of another policy, always is. So is a profile of which no rule counts
incoherent answers: a model that says nothing would pass it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tarfile
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from posterngate.errors import UsageError
from posterngate.records import Label, Measure
from posterngate.session.thinned import thinned
from posterngate.spec.gate_markers import gate_tests
from posterngate.spec.loosened import Policy, loosenings, read_policy
from posterngate.spec.waiver_findings import prolonged, waiver_findings
from posterngate.spec.waivers import FILE_NAME as WAIVERS
from posterngate.spec.waivers import Waiver, load_waivers

__all__ = ["add_arguments", "run"]

FIXTURES = "fixtures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--thresholds",
        type=Path,
        default=Path("thresholds.yaml"),
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--tests",
        type=Path,
        metavar="DIR",
        help="folder of the safety tests (default: safety_tests beside FILE)",
    )
    parser.add_argument(
        "--against", metavar="REV", help="compare with this git revision, for example origin/main"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON array of lines")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 if there are none, 1 if there are.

    Raises:
        UsageError: a file or folder is missing or cannot be read, or git knows no such revision.
    """
    policy = read_policy(args.thresholds)
    tests = args.tests or args.thresholds.parent / "safety_tests"
    if not tests.is_dir():
        raise UsageError(f"--tests={tests} is not a folder; name the folder of the safety tests")
    waivers = load_waivers(args.thresholds.with_name(WAIVERS))
    findings = _test_findings(policy, tests) + _silence_findings(policy)
    findings += waiver_findings(waivers, policy, datetime.now(UTC).date())
    note = ""
    if args.against:
        changed, note = _changes_since(args.against, args.thresholds, policy, waivers)
        findings += changed
    print(json.dumps(findings) if args.json else _text(findings, args.thresholds) + note)
    return 1 if findings else 0


def _changes_since(
    revision: str, thresholds: Path, policy: Policy, waivers: tuple[Waiver, ...]
) -> tuple[list[str], str]:
    """Return what got easier since a revision, and a note where there was nothing to compare with."""
    with tempfile.TemporaryDirectory(prefix="posterngate-lint-") as place:
        old = _file_at(revision, thresholds, Path(place))
        if old is None:
            return [], f"\nnote: {revision} has no {thresholds.name}: nothing was compared"
        old_waivers = _file_at(revision, thresholds.with_name(WAIVERS), Path(place))
        before = () if old_waivers is None else load_waivers(old_waivers)
        found = [*loosenings(read_policy(old), policy), *prolonged(before, waivers)]
        if _folder_at(revision, thresholds.with_name(FIXTURES), Path(place)):
            found += thinned(old, thresholds)
        return found, ""


def _text(findings: list[str], thresholds: Path) -> str:
    return "\n".join(
        [*findings, f"{thresholds}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}"]
    )


def _test_findings(policy: Policy, folder: Path) -> list[str]:
    """Compare the rules that are declared with those that tests measure."""
    tests = gate_tests(folder)
    declared = {name for manifest in policy.manifests.values() for name in manifest.declared}
    used = {rule.name for manifest in policy.manifests.values() for rule in manifest.rules}
    found = []
    for test in tests:
        if not test.rule:
            found.append(f'{test.where}: {test.name} names no rule; write @pytest.mark.gate_rule("RULE")')
        elif test.rule not in declared:
            found.append(f"{test.where}: gate_rule={test.rule} is not declared; add it under rules")
    counts = Counter(test.rule for test in tests)
    found += [
        f"rule={name} has {counts[name]} tests; keep one" for name in sorted(declared) if counts[name] > 1
    ]
    found += [
        f"rule={name} has no test; add one in {folder}" for name in sorted(declared) if not counts[name]
    ]
    found += [f"rule={name} stands in no profile; add its numbers to one" for name in sorted(declared - used)]
    return found


def _silence_findings(policy: Policy) -> list[str]:
    """Name profiles that a model passes by saying nothing: rates of bad answers alone don't see it."""
    return [
        f"profile={name} counts incoherent answers nowhere, so a silent model passes it; add a rule with "
        "event: [incoherent]"
        for name, manifest in sorted(policy.manifests.items())
        if any(rule.measure is Measure.RATE for rule in manifest.rules)
        and not any(Label.INCOHERENT in rule.event for rule in manifest.rules)
    ]


def _file_at(revision: str, file: Path, place: Path) -> Path | None:
    """Write a file as it was at a git revision into `place`; None if it did not exist there."""
    folder = file.resolve().parent
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"--against={revision} is no commit that git knows in {folder}; fetch it or correct it"
        )
    blob = f"{commit.strip()}:./{file.name}"
    if _git(folder, "cat-file", "-e", blob) is None:
        return None
    path = place / f"{file.name}@{commit[:12]}"
    path.write_text(_git(folder, "show", blob) or "", encoding="utf-8")
    return path


def _folder_at(revision: str, folder: Path, place: Path) -> bool:
    """Write a folder as it was at a git revision into `place`; False if it did not exist there."""
    parent = folder.resolve().parent
    if _git(parent, "cat-file", "-e", f"{revision}:./{folder.name}") is None:
        return False
    packed = place / "fixtures.tar"
    if _git(parent, "archive", f"--output={packed.resolve()}", revision, folder.name) is None:
        raise UsageError(f"--against={revision}: git cannot read {folder.name} as it was there")
    with tarfile.open(packed) as tar:
        tar.extractall(place, filter="data")
    return True


def _git(folder: Path, *words: str) -> str | None:
    """Return what git prints, None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, check=False, timeout=60, encoding="utf-8"
        )
    except OSError as error:
        raise UsageError(f"git=(not found): {error.strerror}; --against needs git") from None
    return done.stdout if done.returncode == 0 else None
