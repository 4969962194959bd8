"""A gate of 20 rules, run for real over scripted models, and a headless Chromium to look at its report.

``make test-e2e`` installs what these tests need and says so where it can't: then they fail. A plain
``pytest tests/e2e`` skips what is missing, with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parent
SHOTS = os.environ.get("POSTERNGATE_SHOTS")
"""Folder for screenshots that a person can look at; a temporary one if unset."""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def cannot_run(why: str) -> NoReturn:
    """Skip, or fail where the browser tests were asked for."""
    if os.environ.get("POSTERNGATE_E2E"):
        pytest.fail(f"the browser tests can't run: {why}")
    pytest.skip(f"{why}; `make test-e2e` runs these tests")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: ``out/report.html`` and ``out/report.json``."""
    sys.path.insert(0, str(HERE))
    import big_gate

    root = tmp_path_factory.mktemp("gate")
    big_gate.write(root)
    words = [
        "-m",
        "pytest",
        "safety_tests",
        "-q",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "--gate-report-dir",
        "out",
    ]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERNGATE_")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (root / "out/report.html").is_file(), done.stdout[-3000:] + done.stderr[-2000:]
    (root / "log.txt").write_text(done.stdout, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def document(finished: Path) -> dict[str, Any]:
    """The run's JSON report."""
    return dict(json.loads((finished / "out/report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, as npm installed it."""
    source = HERE / "node_modules/axe-core/axe.min.js"
    if not source.is_file():
        cannot_run("axe-core is missing (npm ci --prefix tests/e2e)")
    return source.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium: the system's own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        cannot_run("playwright is missing (pip install playwright)")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        cannot_run("there is no Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a file offline, at a width and colour scheme; what it logs and asks for is kept on the page."""
    contexts = []

    def open_page(path: Path, width: int = 1100, scheme: str = "light") -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
        page.on(
            "request", lambda request: page.complaints.extend([request.url] * (request.url != path.as_uri()))
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    folder = Path(SHOTS) if SHOTS else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
