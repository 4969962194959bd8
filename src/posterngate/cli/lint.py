"""Check thresholds.yaml: its schema, its tests, and whether it got looser without a reason.

With --against REV the file is compared with the one of a git revision. A loosened ceiling or margin, a
removed rule, trigger or organism, fewer rounds, a raised alpha, and whatever else makes a PASS easier, is
a finding unless a new `reason:` stands in the rule's numbers (in the profile, for what concerns all of it).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from posterngate.errors import UsageError
from posterngate.spec.gate_markers import gate_tests
from posterngate.spec.loosened import Policy, loosenings, read_policy

__all__ = ["add_arguments", "run"]


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
    findings = _test_findings(policy, tests)
    if args.against:
        before = _policy_at(args.against, args.thresholds)
        findings += [] if before is None else loosenings(before, policy)
    print(json.dumps(findings) if args.json else _text(findings, args.thresholds))
    return 1 if findings else 0


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


def _policy_at(revision: str, thresholds: Path) -> Policy | None:
    """Return the policy of a git revision, None if the file did not exist there."""
    folder = thresholds.resolve().parent
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"--against={revision} is no commit that git knows in {folder}; fetch it or correct it"
        )
    blob = f"{commit.strip()}:./{thresholds.name}"
    if _git(folder, "cat-file", "-e", blob) is None:
        return None
    text = _git(folder, "show", blob)
    with tempfile.TemporaryDirectory(prefix="posterngate-lint-") as place:
        path = Path(place) / f"{thresholds.name}@{commit[:12]}"
        path.write_text(text or "", encoding="utf-8")
        return read_policy(path)


def _git(folder: Path, *words: str) -> str | None:
    """Return what git prints, None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, check=False, timeout=60, encoding="utf-8"
        )
    except OSError as error:
        raise UsageError(f"git=(not found): {error.strerror}; --against needs git") from None
    return done.stdout if done.returncode == 0 else None
