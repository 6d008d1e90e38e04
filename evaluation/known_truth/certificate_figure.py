"""The validity certificate as a figure: what each protocol gives for reconstructions of known error."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.known_truth.certificate_rows import SEEN, SIZE, rank_correlations
from evaluation.known_truth.wrong_reconstructions import KINDS
from evaluation.reporting.figures import COLOURS

MARKERS = ("o", "s", "^", "D", "x", "v")


def validity_figure(scores: pd.DataFrame) -> Figure:
    """One panel a protocol: its mean score over the true error, a line for each kind of error."""
    names = list(dict.fromkeys(scores.protocol))
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(9.6, 3.0 * rows + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.remove()
    for axes, name in zip(panels.flat, names, strict=False):
        scored = scores[(scores.protocol == name) & scores.failure.isna()]
        _panel(axes, scored)
        correlation = np.mean(rank_correlations(scored[scored.kind != SIZE], SEEN))
        axes.set_title(f"{name}: rank correlation {correlation:.2f}", fontsize=10)
    figure.supxlabel("true error, mm (of a wrong size: after the best rigid motion)", fontsize=10)
    figure.supylabel("score, mm", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _panel(axes: Axes, scores: pd.DataFrame) -> None:
    largest = scores.level_mm.max()
    axes.plot([0, largest], [0, largest], ":", color="grey", linewidth=1, label="score = error")
    for kind, colour, marker in zip(KINDS, COLOURS, MARKERS, strict=False):
        part = scores[scores.kind == kind].groupby("level_mm").score_mm
        style = "--" if kind == SIZE else "-"
        axes.plot(
            part.mean().index, part.mean(), style, color=colour, marker=marker, markersize=4, label=kind
        )
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
