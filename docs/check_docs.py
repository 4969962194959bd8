"""Checks of the documentation: links resolve, and every option, command and rule is mentioned."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from posterngate.cli import COMMANDS
from posterngate.plugin.options import OPTIONS

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[Path]:
    """Return every Markdown page of the project."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def broken_links() -> list[str]:
    """Return relative links whose target does not exist."""
    found = []
    for page in pages():
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{page.relative_to(ROOT)}: link to {target} leads nowhere")
    return found


def unmentioned() -> list[str]:
    """Return options and commands that no page mentions."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    wanted = [option.flag for option in OPTIONS] + [f"posterngate {name}" for name in COMMANDS]
    return [f"{name} is mentioned on no page" for name in wanted if name not in text]


def main() -> int:
    """Print what is wrong and return 1 if anything is."""
    problems = broken_links() + unmentioned()
    for problem in problems:
        print(problem)
    print(f"{len(pages())} pages checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
