"""The HTML report in a real browser; skipped where there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from posterngate.report.html import html

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def test_chromium_opens_the_report_without_complaint(full: dict[str, Any], tmp_path: Path) -> None:
    """The page loads offline, nothing reaches the console, and all sections are in the document."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here: apt-get install chromium")
    page = tmp_path / "report.html"
    page.write_text(html(full), encoding="utf-8")
    words = [
        browser,
        *_FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
        "--dump-dom",
    ]
    seen = subprocess.run(
        [*words, page.as_uri()], check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert seen.returncode == 0, seen.stderr[-500:]
    assert "CONSOLE" not in seen.stderr
    assert seen.stdout.count("<section") == 8
