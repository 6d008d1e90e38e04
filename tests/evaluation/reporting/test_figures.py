from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from evaluation.reporting.figures import (
    DOTS_PER_INCH,
    Bar,
    Line,
    bar_figure,
    line_figure,
    line_panels,
    save_figure,
)
from evaluation.reporting.items import write_items
from lightning_modules.plain.output_folder import OutputFolder

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
        files = save_figure(figure, OutputFolder(tmp_path / "new", "micc"), "plot")
        contents.append([file.read_bytes() for file in files])
    assert [file.name for file in files] == ["plot.png", "plot.pdf"]
    assert contents[0] == contents[1]
    assert contents[0][1].startswith(b"%PDF")
    assert cv2.imread(str(files[0])).shape[:2] == (round(4.6 * DOTS_PER_INCH), round(7 * DOTS_PER_INCH))


def test_dollar_signs_in_names_are_drawn_and_begin_no_formula(tmp_path: Path) -> None:
    name = r"a$\nothing{$b"
    bars = {("costs $5 and $6", name): [Bar(name, 1.0, (0.5, 1.5))]}
    save_figure(bar_figure(name, bars, name), OutputFolder(tmp_path, "micc"), "bars")
    figure, axes = line_figure(name, name, name, [LINES[0]._replace(name=name)])
    axes.set_xscale("log")
    save_figure(figure, OutputFolder(tmp_path, "micc"), "lines")
    assert figure.legends[0].get_texts()[0].get_text() == name
    # The ticks of a logarithmic axis are formulas of matplotlib's own.
    ticks = [tick for tick in axes.get_xticklabels() if "mathdefault" in tick.get_text()]
    assert ticks
    assert all(tick.get_parse_math() for tick in ticks)


def test_a_single_point_can_be_seen() -> None:
    lines = [Line("validated once", np.array([150.0]), np.array([0.2])), LINES[0]]
    _, axes = line_figure("title", "x", "y", lines)
    assert [line.get_marker() for line in axes.lines] == ["o", "None"]


def test_items_come_back_as_they_were(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"photograph": ["a, b", "c"], "similarity": [0.1, None], "reason": [None, "no face"]}
    )
    file = write_items(frame, OutputFolder(tmp_path, "micc"), "items")
    assert file.read_text() == 'photograph,similarity,reason\n"a, b",0.1,\nc,,no face\n'


def test_bars_stand_in_a_grid_with_their_intervals() -> None:
    bars = [Bar("a", 1.0, (0.5, 1.5)), Bar("b", 2.0, None, pale=True)]
    figure = bar_figure(
        "title", {("mm", "sex"): bars, ("mm", "age"): bars[:1], ("share", "sex"): bars}, "note"
    )
    assert len(figure.axes) == 4
    first = figure.axes[0]
    assert [bar.get_width() for bar in first.patches] == [1.0, 2.0]
    assert first.patches[1].get_alpha() < first.patches[0].get_alpha()
    whisker = first.lines[0]
    assert list(whisker.get_xdata()) == [0.5, 1.5]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "b"]
    assert (first.get_title(), figure.axes[1].get_title(), first.get_xlabel()) == ("sex", "age", "mm")
    assert not figure.axes[3].patches  # nothing was measured there


def test_a_legend_of_long_names_lies_inside_the_figure() -> None:
    names = ("photographs of one person", "photograph and its faces shuffled", "photograph and mean face")
    lines = [Line(name, np.arange(3.0), np.arange(3.0)) for name in names]
    figure, _ = line_figure("title", "x", "y", lines)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_a_name_has_one_colour_in_every_panel_and_stands_once_in_the_legend() -> None:
    more = Line("scan", np.linspace(0, 1, 5), np.full(5, 8.0))
    figure, (left, right) = line_panels("title", "x", "density", {"LFW": LINES, "MICC": [more, *LINES]})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "chance", "scan"]
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in (left, right)]
    assert colours[0].items() <= colours[1].items()
    assert len(set(colours[1].values())) == 3
    assert (left.get_title(), right.get_title()) == ("LFW", "MICC")
    assert (left.get_ylabel(), right.get_ylabel()) == ("density", "")
    assert left.get_ylim() == right.get_ylim()
