"""Figures, drawn without a screen, as PNG and PDF.

Figures here are made by `matplotlib.figure.Figure`, not by pyplot: nothing is global and no window opens.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from lightning_modules.plain.files import as_characters, write_whole
from lightning_modules.plain.output_folder import OutputFolder

DOTS_PER_INCH = 150
# Of Okabe and Ito (2008): told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")


class Line(NamedTuple):
    """A curve of a figure.

    Attributes:
        name: in the legend.
        x: [P].
        y: [P].
        dashed: for floors, ceilings and chance.
        filled: whether the area below is shaded.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    dashed: bool = False
    filled: bool = False


class Bar(NamedTuple):
    """A bar of a figure.

    Attributes:
        name: beside it.
        value: its length.
        interval: around its end, or None.
        pale: whether it stands back.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    pale: bool = False


def line_figure(
    title: str, x_label: str, y_label: str, lines: Sequence[Line], *, y_from_zero: bool = True
) -> tuple[Figure, Axes]:
    """A figure of curves, each in its colour and named in the legend below."""
    figure, (axes,) = line_panels("", x_label, y_label, {title: lines}, y_from_zero=y_from_zero)
    return figure, axes


def line_panels(
    title: str,
    x_label: str,
    y_label: str,
    panels: Mapping[str, Sequence[Line]],
    *,
    y_from_zero: bool = True,
) -> tuple[Figure, list[Axes]]:
    """Panels of curves side by side on the same axes; a curve's name has one colour in all of them.

    Args:
        title: above all, nothing where it is empty.
        x_label: below every panel.
        y_label: beside the first.
        panels: curves by the heading of their panel.
        y_from_zero: whether the vertical axis begins at zero.
    """
    figure = Figure(figsize=(7.0 + 4.5 * (len(panels) - 1), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    names = list(dict.fromkeys(line.name for lines in panels.values() for line in lines))
    every = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    handles: dict[str, Any] = {}
    for axes, (heading, lines) in zip(every, panels.items(), strict=True):
        for line in lines:
            colour = COLOURS[names.index(line.name) % len(COLOURS)]
            handles.setdefault(line.name, _draw_line(axes, line, colour))
        axes.set(title=heading, xlabel=x_label)
        axes.title.set_wrap(True)
        if y_from_zero:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel(y_label)
    if title:
        figure.suptitle(fill(title, round(12 * figure.get_figwidth())))
    # About 90 characters fit below one panel, and a line's sample takes the room of some six.
    room = round(90 * figure.get_figwidth() / 7.0)
    columns = max(1, room // (max(map(len, names), default=0) + 6))
    figure.legend(
        list(handles.values()), names, frameon=False, loc="outside lower center",
        ncols=max(1, min(columns, len(names))),
    )  # fmt: skip
    return figure, list(every)


def _draw_line(axes: Axes, line: Line, colour: str) -> Line2D:
    style = "--" if line.dashed else "-"
    marker = "o" if len(line.x) == 1 else None  # a line through one point is nothing to see
    (drawn,) = axes.plot(line.x, line.y, style, marker=marker, color=colour, label=line.name, linewidth=1.6)
    if line.filled:
        axes.fill_between(line.x, line.y, color=colour, alpha=0.15, linewidth=0)
    return drawn


def bar_figure(title: str, panels: Mapping[tuple[str, str], Sequence[Bar]], footnote: str) -> Figure:
    """A grid of horizontal bars with their intervals.

    Args:
        title: above all.
        panels: bars by the heading of the grid's row, which names what is measured, and that of its column.
        footnote: below all.
    """
    rows, columns = (list(dict.fromkeys(key[place] for key in panels)) for place in (0, 1))
    most = max(len(bars) for bars in panels.values())
    size = (4.2 * len(columns) + 0.8, (0.42 * most + 1.1) * len(rows) + 1.0)
    figure = Figure(figsize=(max(6.0, size[0]), size[1]), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex="row")
    for place, row in enumerate(rows):
        for axes, column in zip(grid[place], columns, strict=True):
            _draw_bars(axes, panels.get((row, column), ()))
            axes.set_title(column if place == 0 else "", fontsize="medium")
            axes.set_xlabel(row, fontsize="small")
    figure.suptitle(fill(title, round(12 * figure.get_figwidth())), fontsize="medium")
    figure.supxlabel(footnote, fontsize="x-small")
    return figure


def _draw_bars(axes: Axes, bars: Sequence[Bar]) -> None:
    for place, bar in enumerate(bars):
        axes.barh(place, bar.value, color=COLOURS[0], alpha=0.25 if bar.pale else 0.75, height=0.7)
        if bar.interval is not None:
            axes.plot(bar.interval, (place, place), color="black", linewidth=1.4, solid_capstyle="butt")
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize="small")
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, folder: OutputFolder, name: str) -> list[Path]:
    """<name>.png and <name>.pdf, each whole or not at all."""
    return [
        write_whole(folder.claim(f"{name}{suffix}"), _encoded(figure, suffix)) for suffix in (".png", ".pdf")
    ]


def draw_texts_as_they_are(figure: Figure) -> None:
    """Lets a figure show names with any characters: dollar signs begin no formula.

    What matplotlib writes itself at the ticks of a logarithmic axis stays a formula.
    """
    for text in figure.findobj(Text):
        shown = as_characters(text.get_text())
        text.set_text(shown)
        if "$" in shown and r"\mathdefault" not in shown:
            text.set_parse_math(False)


def _encoded(figure: Figure, suffix: str) -> bytes:
    stream = BytesIO()
    # No date: the same figure is the same file.
    metadata = {"CreationDate": None} if suffix == ".pdf" else {"Software": None}
    draw_texts_as_they_are(figure)
    figure.savefig(stream, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=metadata)
    return stream.getvalue()
