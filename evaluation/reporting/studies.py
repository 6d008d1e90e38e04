"""Tables of a study: variants by seeds and people, their differences, what each switch is worth."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from evaluation.metrics.contrasts import (
    LEVEL,
    POWER,
    Contrast,
    contrast,
    holm,
    shapley_weights,
    smallest_sign_test_p,
)
from lightning_modules.plain.stand_in_label import STAND_IN

from .cells import plain_number
from .grids import Grid

SHAPLEY, LEAVE_ONE_OUT = "Shapley value", "leave-one-out difference"
RESOLVED, UNRESOLVED = "*", "not resolved at this budget"


class Metric(NamedTuple):
    """One figure of all variants.

    Attributes:
        name: of it.
        unit: of it.
        source: where it was measured, for the heading.
        scores: [V, S, I], every person's part in it, by variant and seed; their mean is the figure.
        stand_in: whether a synthetic data set stands in for a real one.
    """

    name: str
    unit: str
    source: str
    scores: np.ndarray
    stand_in: bool = False

    @property
    def heading(self) -> str:
        """The name with its unit, marked where it comes from a stand-in."""
        unit = f" ({self.unit})" if self.unit not in ("share", "similarity", "") else ""
        return f"{f'{STAND_IN} ' if self.stand_in else ''}{self.name}{unit}"


class Study(NamedTuple):
    """All that was measured.

    Attributes:
        variants: what each turns off [V]; the first turns off nothing.
        seeds: [S].
        metrics: figures, each with its people.
        design: full, paper or one-out.
    """

    variants: Sequence[tuple[str, ...]]
    seeds: Sequence[int]
    metrics: Sequence[Metric]
    design: str

    @property
    def names(self) -> list[str]:
        """Of the variants."""
        return [named(off) for off in self.variants]

    @property
    def switches(self) -> list[str]:
        """All that some variant turns off."""
        return sorted({name for off in self.variants for name in off}, key=_first_seen(self.variants))


class Comparison(NamedTuple):
    """One contrast of one metric.

    Attributes:
        subject: a variant, or a switch.
        metric: of it.
        contrast: its value, interval and test.
        corrected: p corrected for all comparisons of the same table.
    """

    subject: str
    metric: Metric
    contrast: Contrast
    corrected: float

    @property
    def resolved(self) -> bool:
        """Whether the interval leaves out 0, and the corrected test agrees."""
        low, high = self.contrast.interval
        return not low <= 0 <= high and self.corrected < LEVEL


def named(off: Sequence[str]) -> str:
    """A variant, as its folder is named."""
    return "+".join(f"no-{written(name)}" for name in off) or "full"


def written(switch: str) -> str:
    """As on the command line."""
    return switch.replace("_", "-")


def means(study: Study) -> pd.DataFrame:
    """A line for each variant and metric: mean and standard deviation over seeds, and each seed's value."""
    lines = []
    for metric in study.metrics:
        for name, by_seed in zip(study.names, metric.scores.mean(2), strict=True):
            spread = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else np.nan
            line: dict[str, Any] = {
                "variant": name,
                "metric": metric.name,
                "unit": metric.unit,
                "source": metric.source,
            }
            line |= {"mean": float(by_seed.mean()), "sd_over_seeds": spread, "seeds": len(by_seed)}
            line |= {"people": metric.scores.shape[2]}
            lines.append(line | {f"seed_{s}": v for s, v in zip(study.seeds, by_seed, strict=True)})
    return pd.DataFrame(lines)


def differences(study: Study, *, seed: int = 0) -> list[Comparison]:
    """Each variant minus the full one, in every metric."""
    count = len(study.variants)
    weights = {name: _minus_first(place, count) for place, name in enumerate(study.names) if place}
    return _compare(study, weights, seed)


def attribution(study: Study, *, seed: int = 0) -> tuple[str, list[Comparison]]:
    """What each switch is worth in every metric, and how that was determined.

    Shapley values from the design `full`; other designs only say what is lost when one is left out.
    """
    if study.design == "full":
        off = [frozenset(lacking) for lacking in study.variants]
        matrix = shapley_weights(off, study.switches)
        return SHAPLEY, _compare(study, dict(zip(map(written, study.switches), matrix, strict=True)), seed)
    weights = {
        written(off[0]): -_minus_first(place, len(study.variants))
        for place, off in enumerate(study.variants)
        if len(off) == 1
    }
    return LEAVE_ONE_OUT, _compare(study, weights, seed)


def comparison_frame(comparisons: Sequence[Comparison], subject: str) -> pd.DataFrame:
    """All of comparisons, a line each.

    Args:
        comparisons: of one table.
        subject: what its subjects are, such as variant.
    """
    return pd.DataFrame(
        {
            subject: c.subject, "metric": c.metric.name, "unit": c.metric.unit, "source": c.metric.source,
            "value": c.contrast.value, "low": c.contrast.interval[0], "high": c.contrast.interval[1],
            "p": c.contrast.p_value, "p_holm": c.corrected, "seeds": len(c.contrast.by_seed),
            "seeds_of_the_same_sign": c.contrast.same_sign, "people": c.contrast.people,
            "smallest_over_people": c.contrast.smallest_over_people(),
            "smallest_over_seeds": c.contrast.smallest_over_seeds,
            "resolved": "yes" if c.resolved else UNRESOLVED,
        }
        for c in comparisons
    )  # fmt: skip


def mean_grid(study: Study, title: str) -> Grid:
    """The means over seeds with their standard deviation, a line a variant, a column a metric."""
    columns = []
    for metric in study.metrics:
        cells = []
        for by_seed in metric.scores.mean(2):
            spread = f" ± {plain_number(float(by_seed.std(ddof=1)), 3)}" if len(by_seed) > 1 else ""
            cells.append(plain_number(float(by_seed.mean()), 3) + spread)
        columns.append(cells)
    lines = [
        (_spaced(name), list(cells))
        for name, cells in zip(study.names, zip(*columns, strict=True), strict=True)
    ]
    return Grid(title, [metric.heading for metric in study.metrics], lines, "Variant")


def comparison_grid(comparisons: Sequence[Comparison], title: str, corner: str) -> Grid:
    """Value, corrected p and interval, a line a subject, a column a metric; a star where it is resolved."""
    headings = list(dict.fromkeys(c.metric.heading for c in comparisons))
    lines: dict[str, dict[str, str]] = {}
    for c in comparisons:
        value, low, high = map(signed, (c.contrast.value, *c.contrast.interval))
        cell = f"{value}{RESOLVED * c.resolved}, p {written_p(c.corrected)} [{low}, {high}]"
        lines.setdefault(_spaced(c.subject), {})[c.metric.heading] = cell
    body = [(subject, [cells[heading] for heading in headings]) for subject, cells in lines.items()]
    return Grid(title, headings, body, corner)


def _spaced(variant: str) -> str:
    """A variant's name with places where a line may end."""
    return variant.replace("+", " + ")


def signed(value: float) -> str:
    """Three digits after the point; two significant ones where those are all zeros, unless it is rounding."""
    fixed = f"{value:+.3f}"
    return fixed if abs(value) < 1e-9 or float(fixed) else f"{value:+.1e}"


def written_p(value: float) -> str:
    """Three digits, never as zero."""
    return "< .001" if value < 0.001 else f"{value:.3f}"


def caveats(study: Study, comparisons: int | None, failures: Mapping[str, str]) -> list[str]:
    """What stands behind a table, and what it cannot say, in sentences.

    Args:
        study: of the table.
        comparisons: how many it makes; None where it makes none.
        failures: cells that are missing, with their reason.
    """
    count = len(study.seeds)
    people = dict.fromkeys((metric.scores.shape[2], metric.source) for metric in study.metrics)
    behind = "; ".join(f"{number:,} people ({source})" for number, source in people)
    seeds = f"{count} seed{'s' if count > 1 else ''} a variant"
    spread = "; ± is the standard deviation over seeds" if count > 1 else ""
    sentences = [f"Behind every figure stand {seeds} and {behind}{spread}."]
    if comparisons is not None:
        sentences.append(
            "Intervals (95 %) and tests resample people, the same ones in all seeds; the seeds stay as they "
            f"are. p is a paired t-test over people, corrected for the table's {comparisons} comparisons "
            f"(Holm). {RESOLVED} marks what both resolve (p below {LEVEL:g}); the rest is {UNRESOLVED}."
        )
    agree = (
        "" if count == 1 else f": if all agree, a sign test still gives p = {smallest_sign_test_p(count):.2g}"
    )
    sentences.append(f"{seeds.capitalize()} cannot settle what would change with other seeds{agree}.")
    return sentences + [f"{cell} is missing: {reason}" for cell, reason in failures.items()]


def power_sentence(comparisons: Sequence[Comparison]) -> str:
    """The smallest effects that a table's design would have seen, by metric; for the least certain subject.

    Args:
        comparisons: of one table.
    """
    parts = []
    for heading in dict.fromkeys(c.metric.heading for c in comparisons):
        own = [c.contrast for c in comparisons if c.metric.heading == heading]
        people, corrected = (
            largest(one.smallest_over_people(at) for one in own) for at in (LEVEL, LEVEL / len(comparisons))
        )
        over_seeds = largest(one.smallest_over_seeds for one in own)
        seeds = "" if over_seeds is None else f", {over_seeds:.2g} over seeds"
        if people is None or corrected is None:
            parts.append(f"{heading} not known over people, as no two of them differ{seeds}")
        else:
            parts.append(f"{heading} {people:.2g} ({corrected:.2g} corrected) over people{seeds}")
    return (
        f"The smallest effects that this design would see in {100 * POWER:.0f} % of repetitions: "
        f"{'; '.join(parts)}. "
        f"By t-tests at {LEVEL:g}; corrected for all {len(comparisons)} comparisons in brackets."
    )


def seeds_sentence(comparisons: Sequence[Comparison]) -> list[str]:
    """Which resolved comparisons have a seed that says the opposite, in a sentence; none where there is none.

    Args:
        comparisons: of one table.
    """
    split = [
        f"{c.metric.heading} of {c.subject} ({c.contrast.same_sign} of {len(c.contrast.by_seed)} seeds)"
        for c in comparisons
        if c.resolved and c.contrast.same_sign < len(c.contrast.by_seed)
    ]
    if not split:
        return []
    return [f"Marked by {RESOLVED} though not all seeds have the sign of their mean: {'; '.join(split)}."]


def largest(values: Iterable[float | None]) -> float | None:
    """The largest of those that are known; None where none is."""
    return max((value for value in values if value is not None), default=None)


def _compare(study: Study, weights: Mapping[str, np.ndarray], seed: int) -> list[Comparison]:
    asked = [(subject, metric, row) for subject, row in weights.items() for metric in study.metrics]
    generator = torch.Generator().manual_seed(seed)
    found = [contrast(metric.scores, row, generator) for _, metric, row in asked]
    corrected = holm([result.p_value for result in found])
    return [
        Comparison(subject, metric, result, float(p))
        for (subject, metric, _), result, p in zip(asked, found, corrected, strict=True)
    ]


def _minus_first(place: int, count: int) -> np.ndarray:
    weights = np.zeros(count)
    weights[place], weights[0] = 1.0, -1.0
    return weights


def _first_seen(variants: Sequence[tuple[str, ...]]) -> Callable[[str], Any]:
    order: dict[str, int] = {}
    for off in variants:
        for name in off:
            order.setdefault(name, len(order))
    return order.get
