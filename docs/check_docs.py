"""Check the documentation: links resolve, everything is mentioned, and the reference is what the code says.

python docs/check_docs.py            # prints what is wrong, exit 1 if anything is
python docs/check_docs.py --write    # writes the generated pages of docs/reference anew
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from posterngate.cli import COMMANDS, _parser
from posterngate.plugin.options import OPTIONS
from posterngate.spec import thresholds

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


def unmentioned() -> list[str]:
    """Return options, commands and keys of thresholds.yaml that no page mentions."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    wanted = [name for option in OPTIONS for name in (option.flag, option.ini, option.env)]
    wanted += [f"posterngate {name}" for name in COMMANDS]
    wanted += [f"`{key}`" for key in (*thresholds._RULE_KEYS, *thresholds._NUMBER_KEYS)]
    return [f"{name} is mentioned on no page" for name in dict.fromkeys(wanted) if name not in text]


def stale() -> list[str]:
    """Return generated pages that differ from what the code says now."""
    old = [name for name, text in generated().items() if _content(REFERENCE / name) != text]
    return [f"docs/reference/{name} is stale; run python docs/check_docs.py --write" for name in old]


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def generated() -> dict[str, str]:
    """Return the generated pages by file name."""
    return {"options.md": "\n".join(_options()), "cli.md": "\n".join(_cli())}


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


CHECKS: tuple[Callable[[], list[str]], ...] = (broken_links, unmentioned, stale)


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
