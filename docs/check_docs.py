"""Check the documentation: links resolve, everything is mentioned, and the reference is what the code says.

python docs/check_docs.py            # prints what is wrong, exit 1 if anything is
python docs/check_docs.py --write    # writes the generated pages of docs/reference anew
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from posterngate.cli import COMMANDS, _parser
from posterngate.endpoints.spec import KINDS
from posterngate.exchange import EXPORTS, IMPORTS
from posterngate.judges import JUDGES
from posterngate.plugin.options import OPTIONS
from posterngate.spec import thresholds
from posterngate.spec.gate_markers import GateTest, gate_tests
from posterngate.spec.yaml_source import load
from posterngate.triggers import TRANSFORMS

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOTE = "<!-- Written by docs/check_docs.py --write from the code; edit the help texts there. -->"


def pages() -> list[Path]:
    """Return every Markdown page of the project."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (PAGE:LINE, text) of every fenced code block in `language`."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append((f"{page.relative_to(ROOT)}:{line}", match[2]))
    return found


def broken_links() -> list[str]:
    """Return relative links whose target does not exist."""
    found = []
    for page in pages():
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{page.relative_to(ROOT)}: link to {target} leads nowhere")
    return found


def unlisted() -> list[str]:
    """Return pages that the documentation's first page does not lead to: nobody would find them."""
    first = ROOT / "docs" / "index.md"
    targets = _LINK.findall(first.read_text(encoding="utf-8")) if first.exists() else []
    listed = {(first.parent / target).resolve() for target in targets} | {first}
    below = [page for page in pages() if page.is_relative_to(first.parent) and page not in listed]
    return [f"docs/index.md has no link to {page.relative_to(first.parent)}" for page in below]


def unmentioned() -> list[str]:
    """Return options, commands, rules, profiles, judges, candidates and policy keys that no page mentions."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    wanted = [name for option in OPTIONS for name in (option.flag, option.ini, option.env)]
    wanted += [f"posterngate {name}" for name in COMMANDS]
    wanted += [f"`{key}`" for key in (*thresholds._RULE_KEYS, *thresholds._NUMBER_KEYS)]
    policy = ROOT / "thresholds.yaml"
    if policy.exists():
        profiles = thresholds.profile_names(policy)
        wanted += [f"`{name}`" for name in profiles]
        wanted += [f"`{name}`" for name in thresholds.load_manifest(policy, profiles[0]).declared]
    wanted += [f"`{name}:" for name in KINDS if name != "https"]
    wanted += [
        f"`{name}" for name in (*JUDGES.names(), *EXPORTS.names(), *IMPORTS.names(), *TRANSFORMS.names())
    ]
    return [f"{name} is mentioned on no page" for name in dict.fromkeys(wanted) if name not in text]


def stale() -> list[str]:
    """Return generated pages that differ from what the code says now."""
    old = [name for name, text in generated().items() if _content(REFERENCE / name) != text]
    return [f"docs/reference/{name} is stale; run python docs/check_docs.py --write" for name in old]


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def generated() -> dict[str, str]:
    """Return the generated pages by file name."""
    pages = {"options.md": "\n".join(_options()), "cli.md": "\n".join(_cli())}
    if (ROOT / "thresholds.yaml").exists():
        pages["rules.md"] = "\n".join(_rules())
    return pages


def _rules() -> Iterator[str]:
    """Tell each rule of the shipped policy in the words of its test, and where it has numbers."""
    policy = ROOT / "thresholds.yaml"
    manifests = {name: thresholds.load_manifest(policy, name) for name in thresholds.profile_names(policy)}
    declared = load(policy).mapping()["rules"].mapping()
    claims = {test.rule: _claim(test) for test in gate_tests(ROOT / "safety_tests")}
    yield from (
        _NOTE.replace("help texts", "docstrings of safety_tests"),
        "# Rules of the shipped policy",
        "",
    )
    yield "What each claims, how it is measured, and in which profiles it has numbers. The numbers stand in"
    yield "`thresholds.yaml` ([its keys](thresholds.md)); a rule that stands in no profile is an error."
    yield from ("", "| rule | claim | measure | probes | profiles |", "|---|---|---|---|---|")
    for name, node in declared.items():
        fields = node.mapping()
        probes = f"`{fields['probes'].text()}`" if "probes" in fields else "-"
        places = ", ".join(f"`{profile}`" for profile, m in manifests.items() if m.rule(name))
        yield f"| `{name}` | {claims[name]} | {fields['measure'].text()} | {probes} | {places} |"
    yield ""


def _claim(test: GateTest) -> str:
    """Return the first line of a test's docstring."""
    path, _, line = test.where.rpartition(":")
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.lineno == int(line)]
    return (ast.get_docstring(found[0]) or "").partition("\n")[0].replace("|", "\\|")


def _options() -> Iterator[str]:
    yield from (_NOTE, "# Options of a gate run", "")
    yield "Order: command line, environment, ini file, default. Relative paths stand on pytest's rootdir."
    yield "An option that may be repeated takes a list in its environment variable, separated like `PATH`."
    yield from ("", "| option | ini | environment | default | meaning |", "|---|---|---|---|---|")
    for option in OPTIONS:
        default = f"`{option.default}`" if option.default else "none"
        meaning = option.help.replace("|", "\\|")
        yield f"| `{option.flag}` | `{option.ini}` | `{option.env}` | {default} | {meaning} |"
    yield ""


def _cli() -> Iterator[str]:
    yield from (_NOTE, "# Commands", "")
    yield "Every command exits with 4 for a usage error. Rates and ceilings are shares in [0, 1]."
    for name in COMMANDS:
        yield from _command(f"posterngate {name}", _subparser(_parser([name]), name), "##")
    yield ""


def _command(title: str, parser: argparse.ArgumentParser, level: str) -> Iterator[str]:
    yield from ("", f"{level} {title}", "", (parser.description or "").strip(), "")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _command(f"{title} {name}", below, level + "#")
        elif not isinstance(action, argparse._HelpAction):
            yield _argument(action)


def _argument(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
    value = action.metavar if action.option_strings and action.nargs != 0 else None
    choices = f" (one of {', '.join(map(str, action.choices))})" if action.choices else ""
    help_text = (action.help or "").replace("%(default)s", str(action.default))
    return f"- {names}{f' {value}' if isinstance(value, str) else ''}{choices}: {help_text}"


def _subparser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    found = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    chosen: argparse.ArgumentParser = found.choices[name]
    return chosen


CHECKS: tuple[Callable[[], list[str]], ...] = (broken_links, unlisted, unmentioned, stale)


def main(arguments: list[str]) -> int:
    """Print what is wrong and return 1 if anything is."""
    if arguments == ["--write"]:
        REFERENCE.mkdir(exist_ok=True)
        for name, text in generated().items():
            (REFERENCE / name).write_text(text, encoding="utf-8")
    problems = [problem for check in CHECKS for problem in check()]
    for problem in problems:
        print(problem)
    print(f"{len(pages())} pages checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
