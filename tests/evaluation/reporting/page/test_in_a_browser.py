"""The report in Chromium: what it says on the console, what it draws, how it fits."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .browser import Visit, visit
from .example import write_example


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_example(tmp_path_factory.mktemp("report") / "report.html")


def canvas(visit: Visit) -> np.ndarray:
    """What the canvas shows, [H, W, 3]."""
    with Image.open(BytesIO(visit.page.locator(".viewer canvas").screenshot())) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.slow
def test_a_desktop_shows_everything_and_the_faces_turn(report: Path) -> None:
    with visit(report) as desktop:
        assert desktop.page.title() == "STAND-IN: <an> example & more"
        before = canvas(desktop)
        for half in np.split(before[:, : before.shape[1] // 2 * 2], 2, axis=1):
            assert (np.abs(half - half[0, 0]).max(2) > 30).mean() > 0.1  # a face before the ground
        shown = desktop.page.locator(".viewer .shown span").all_inner_texts()
        assert shown == ["full", "no-batch-distribution+no-loopback+no-multi-view"]
        desktop.page.locator(".viewer canvas").focus()
        for _ in range(5):
            desktop.page.keyboard.press("ArrowRight")
        desktop.page.wait_for_timeout(500)
        turned = canvas(desktop)
        assert (np.abs(turned - before).max(2) > 30).mean() > 0.01
        desktop.page.select_option("select[name=right]", "full")
        desktop.page.wait_for_timeout(500)
        left, right = np.split(canvas(desktop)[:, : before.shape[1] // 2 * 2], 2, axis=1)
        assert (np.abs(left - right).max(2) > 30).mean() < 0.01  # twice the same face
        assert desktop.complaints == []
        assert desktop.requests == []


@pytest.mark.slow
def test_a_phone_scrolls_tables_and_not_the_page(report: Path) -> None:
    with visit(report, 390, 844) as phone:
        width = phone.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width == [390, 390]
        sizes = phone.page.evaluate(
            "[...document.querySelectorAll('p, td')].map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(sizes) >= 12
        table = phone.page.evaluate(
            "(s => [s.scrollWidth, s.clientWidth])(document.querySelector('.scroll'))"
        )
        assert table[0] > table[1]
        assert phone.complaints == []


@pytest.mark.slow
def test_in_print_no_table_is_cut(report: Path) -> None:
    with visit(report, 1030, 720) as paper:  # A4 across, less its margins, at 96 dots an inch
        paper.page.emulate_media(media="print")
        tables = paper.page.evaluate(
            "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
        )
        assert max(tables) <= 1030
        assert paper.page.locator(".viewer .choices").is_hidden()
        content = paper.page.pdf(prefer_css_page_size=True)
        assert content.startswith(b"%PDF")
        assert paper.complaints == []
