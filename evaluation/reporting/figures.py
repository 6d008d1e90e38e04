"""Figures, drawn without a screen, as PNG and PDF.

Figures here are made by `matplotlib.figure.Figure`, not by pyplot: nothing is global and no window opens.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .results import write_whole

DOTS_PER_INCH = 150
# Of Okabe and Ito (2008): told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


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


def line_figure(
    title: str, x_label: str, y_label: str, lines: Sequence[Line], *, y_from_zero: bool = True
) -> tuple[Figure, Axes]:
    """A figure of curves, each in its colour and named in the legend below."""
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        style = "--" if line.dashed else "-"
        axes.plot(line.x, line.y, style, color=colour, label=line.name, linewidth=1.6)
        if line.filled:
            axes.fill_between(line.x, line.y, color=colour, alpha=0.15, linewidth=0)
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.title.set_wrap(True)
    if y_from_zero:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside lower center", ncols=min(3, len(lines)))
    return figure, axes


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """<name>.png and <name>.pdf, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_whole(folder / f"{name}{suffix}", _encoded(figure, suffix)) for suffix in (".png", ".pdf")]


def _encoded(figure: Figure, suffix: str) -> bytes:
    stream = BytesIO()
    # No date: the same figure is the same file.
    metadata = {"CreationDate": None} if suffix == ".pdf" else {"Software": None}
    figure.savefig(stream, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=metadata)
    return stream.getvalue()
