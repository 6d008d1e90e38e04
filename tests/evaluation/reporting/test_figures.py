from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from evaluation.reporting.figures import DOTS_PER_INCH, Line, line_figure, save_figure
from evaluation.reporting.items import write_items

LINES = [
    Line("ours", np.linspace(0, 1, 5), np.array([0, 1, 4, 1, 0]), filled=True),
    Line("chance", np.linspace(0, 1, 5), np.ones(5), dashed=True),
]


def test_a_figure_is_written_as_png_and_pdf_and_is_the_same_every_time(tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        figure, axes = line_figure("A title", "similarity", "density", LINES)
        assert axes.get_ylim()[0] == 0
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "chance"]
        files = save_figure(figure, tmp_path / "new", "plot")
        contents.append([file.read_bytes() for file in files])
    assert [file.name for file in files] == ["plot.png", "plot.pdf"]
    assert contents[0] == contents[1]
    assert contents[0][1].startswith(b"%PDF")
    assert cv2.imread(str(files[0])).shape[:2] == (round(4.6 * DOTS_PER_INCH), round(7 * DOTS_PER_INCH))


def test_items_come_back_as_they_were(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"photograph": ["a, b", "c"], "similarity": [0.1, None], "reason": [None, "no face"]}
    )
    file = write_items(frame, tmp_path, "items")
    assert file.read_text() == 'photograph,similarity,reason\n"a, b",0.1,\nc,,no face\n'
