"""A headless Chromium that reports whatever a page says on its console."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ARGUMENTS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


class Visit(NamedTuple):
    """An open page.

    Attributes:
        page: of playwright.
        complaints: warnings and errors of its console, uncaught errors.
        requests: whatever it asked the network or the disk for, but itself.
    """

    page: Any
    complaints: list[str]
    requests: list[str]


@contextmanager
def visit(file: Path, width: int = 1280, height: int = 900) -> Iterator[Visit]:
    """The page of a file in a window of so many pixels."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Debian's chromium, which tests/run installs")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            complaints, requests = [], []
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.set_default_timeout(600_000)  # machines may be busy
            page.goto(file.as_uri())
            page.wait_for_load_state("networkidle")
            asked = [url for url in requests if not url.startswith(("data:", file.as_uri()))]
            yield Visit(page, complaints, asked)
        finally:
            browser.close()
