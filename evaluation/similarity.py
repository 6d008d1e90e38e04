"""Similarity of photographs and the frontal renderings of their reconstructions, by a network that judges.

    python evaluation/similarity.py run.ckpt --data lfw:DIR
    python evaluation/similarity.py --meshes DIR --data lfw:DIR --judge sface

Genova et al. 2018, section 4.3: the distribution of these similarities (Figure 5) and its Earth Mover's
Distance to those of all pairs of photographs of one person and of two (Table 2), beside floors. The reference
is always the data set that has people (LFW). Writes results.json, its tables, a line for each photograph and
the figure. With --people the project's reporting protocol instead. With --groups the means by group, too.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evaluation.groups.options import Groups, settings_of_groups, sources_of
from evaluation.groups.panel import Measurement
from evaluation.likeness import published_figures
from evaluation.likeness.by_group import grouped_photographs, names_checked, with_groups
from evaluation.likeness.comparison import GroupSetting, Measured, Setting, measure
from evaluation.likeness.options import (
    RenderingMachine,
    Scoring,
    inputs_of,
    load_parts,
    settings_of,
    subject_of,
    written_centre,
)
from evaluation.likeness.photographs_of_people import NAMES
from evaluation.likeness.reporting_rows import SIMILARITY_FIGURES, protocol_report
from evaluation.likeness.table_2_columns import DataSetColumn, column_of, scan_column
from evaluation.likeness.tables_2_and_3 import TABLE_2, TABLE_2_OF_PEOPLE
from evaluation.metrics.all_pairs import PairDistributions, all_pairs
from evaluation.metrics.paired import mean_statistic
from evaluation.metrics.similarity import Bins, histogram, histogram_distance, pyemd_distance
from evaluation.metrics.verification import share_below
from evaluation.reporting.figures import Line, line_panels
from evaluation.reporting.provenance import network_entry, provenance
from evaluation.reporting.results import NOT_MEASURED, Counts, Results, Row, plain
from evaluation.shared.data_places import Place, known_place, notice
from evaluation.shared.judge import written_retouching
from evaluation.shared.lifecycle import Report, evaluate, exit_status
from evaluation.shared.options import Dashboard, Output
from evaluation.shared.present_inputs import require_data
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled

COMMAND = "similarity"
BINS = Bins()
# How far pyemd may lie from the exact distance of the same histograms.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Columns:
    """Further columns of the paper's Table 2; an absent one reads "not measured".

    Attributes:
        micc: the folder of MICC; by default what MICC_DIR or the configuration file names.
        mofa: the folder of MoFA-Test; by default what MOFA_DIR or the configuration file names.
    """

    micc: Path | None = None
    mofa: Path | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; 0 for a complete result, 1 with failed photographs, 2 bad input, 130 stopped."""
    with one_sentence_for_bad_input():
        scoring, columns, groups, execution, output, dashboard = parse_settings(
            (Scoring, Columns, Groups, RenderingMachine, Output, Dashboard), argv,
            program="similarity.py", description=str(__doc__), leading="checkpoint",
        )  # fmt: skip
        return exit_status(
            similarity(scoring, columns, groups, execution, output=output, dashboard=dashboard)
        )


def similarity(
    scoring: Scoring,
    columns: Columns,
    groups: Groups,
    execution: RenderingMachine,
    *,
    output: Output,
    dashboard: Dashboard,
) -> Results:
    """The results of a finished folder, or computed now."""
    execution = execution.resolved()
    subject, sources = subject_of(scoring), sources_of(groups)
    further = further_places(columns)
    for place in further:
        require_data(place)
    more = settings_of_groups(groups, sources)
    settings = plain(settings_of(scoring, subject, columns=[str(place) for place in further], **more))

    def compute(_: OutputFolder) -> Report:
        parts = load_parts(scoring, execution, subject)
        setting = Setting(scoring, execution, subject, parts, GroupSetting(groups.smallest_group, sources))
        if scoring.people:
            return protocol_report(COMMAND, setting, settings, SIMILARITY_FIGURES)
        return similarity_report(setting, further, settings)

    return evaluate(
        COMMAND, settings, compute,
        inputs=[*inputs_of(scoring, subject), *sources.paths, *(place.folder for place in further)],
        output=output, layout=TABLE_2_OF_PEOPLE if scoring.people else TABLE_2,
        notice=notice(subject.place), dashboard=dashboard, checkpoint=subject.content,
    )  # fmt: skip


def further_places(columns: Columns) -> list[Place]:
    """The data sets of further columns that are there."""
    places = [
        known_place(kind) if folder is None else Place(kind, folder, f"--{kind}")
        for kind, folder in asdict(columns).items()
    ]
    return [place for place in places if place is not None]


def similarity_report(setting: Setting, further: Sequence[Place], settings: Mapping) -> Report:
    """Everything, from the data sets that are there."""
    reference = measure(setting, setting.subject.place, check=names_checked(setting))
    groups = grouped_photographs(setting, reference)
    columns = [column_of(reference)]
    for place in further:
        is_scans = place.kind == "micc"
        columns.append(scan_column(setting, place) if is_scans else column_of(measure(setting, place)))
    calibrated = setting.parts.judge.name == "vggface" and reference.place.kind == "lfw"
    ours = setting.subject.scored.method
    thresholds = [float(column.similarities[ours][0].mean()) for column in columns]
    pairs = all_pairs(
        reference.photographs,
        reference.people.identity,
        thresholds=thresholds + [published_figures.SIMILARITY] * calibrated,
    )
    verdict = published_figures.calibration(pairs, setting.parts.judge.name) if calibrated else None
    rows = photograph_rows(reference.name, pairs)
    for column, threshold in zip(columns, thresholds, strict=True):
        rows += method_rows(column, pairs, threshold)
    rows += absent_rows({column.kind for column in columns}, ours)
    if verdict is not None:
        rows += verdict.rows
        if verdict.reproduced:
            rows += quoted_rows(columns)
    title = title_of(setting) + reference.trained_on
    title += "".join(f"; {column.name}{column.trained_on}" for column in columns[1:] if column.trained_on)
    title += "" if verdict is None else f"; {verdict.sentence}"
    results = Results(
        COMMAND,
        title,
        settings,
        counts_of(columns),
        rows,
        provenance(
            scored=setting.described(),
            judge=network_entry(setting.parts.judge.name, setting.parts.judge.sha256),
            data=[column.data for column in columns],
        ),
        setting.subject.place.is_stand_in,
    )
    frame = pd.concat([column.items for column in columns], ignore_index=True)
    report = Report(results, {"photographs": frame}, {"distributions": figure_of(title, columns, pairs)})
    return with_groups(report, setting, reference, groups, similarity_measurements(reference))


def similarity_measurements(measured: Measured) -> list[Measurement]:
    """Each photograph's similarity to its rendering, by the scored method, its ceiling and its floors."""
    return [
        Measurement(method, measured.name, "mean", "similarity", values, drawn=number == 0)
        for number, (method, values) in enumerate(measured.similarities().items())
    ]


def title_of(setting: Setting) -> str:
    """What was scored by whom, a stand-in named first."""
    place, judge = setting.subject.place, setting.parts.judge
    layer = f" ({judge.descriptor_layer})" if judge.name == "vggface" else ""
    title = (
        f"similarity of {setting.subject.scored.method}, judged by {judge.name}{layer}, "
        f"{written_centre(setting.parts.centre)}{written_retouching(setting.subject.retouched)}"
    )
    return labelled(title, place.is_stand_in)


def photograph_rows(protocol: str, pairs: PairDistributions) -> list[Row]:
    """The photographs' own pairs, which everything is held against."""
    name, same = "photographs", pairs.same.astype(np.float64)
    return [
        Row(name, protocol, "mean of pairs of one person", "similarity", float(same.mean()),
            sd=float(same.std()), n=len(same)),
        Row(name, protocol, "mean of pairs of two people", "similarity", pairs.different_mean,
            n=pairs.different_count),
        Row(name, protocol, "EMD to two people", "similarity",
            checked_distance(histogram(same, BINS), pairs.different), n=len(same)),
    ]  # fmt: skip


def method_rows(column: DataSetColumn, pairs: PairDistributions, threshold: float) -> list[Row]:
    """The distances and the mean of the scored method (the first one), its ceiling and its floors.

    A mean's `sd` is over photographs, its interval of 95 % from the jackknife over people.
    """
    rows, same = [], histogram(pairs.same, BINS)
    for method, (values, identity) in column.similarities.items():
        counts, n = histogram(values, BINS), len(values)
        mean = mean_statistic(values, identity)
        spread = 1.96 * mean.standard_error
        rows += [
            Row(method, column.name, "EMD to one person", "similarity", checked_distance(counts, same), n=n),
            Row(method, column.name, "EMD to two people", "similarity",
                checked_distance(counts, pairs.different), n=n),
            Row(method, column.name, "mean", "similarity", mean.value, sd=float(values.std()),
                interval=(mean.value - spread, mean.value + spread), n=n),
        ]  # fmt: skip
    above = pairs.different_above[threshold] / pairs.different_count
    ours = next(iter(column.similarities))
    return [
        *rows,
        Row(ours, column.name, "pairs of one person below the mean", "share",
            share_below(pairs.same, threshold), n=len(pairs.same)),
        Row(ours, column.name, "pairs of two people above the mean", "share", above,
            n=pairs.different_count),
    ]  # fmt: skip


def quoted_rows(columns: Sequence[DataSetColumn]) -> list[Row]:
    """The literature's Table 2 for data sets that are the paper's."""
    return [
        row
        for column in columns
        if published_figures.is_the_papers(column.kind, column.total)
        for row in published_figures.distance_rows(column.kind, column.name)
    ]


def checked_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Earth Mover's Distance of two histograms by pyemd, checked against the exact one.

    Without pyemd it is the exact one.

    Raises:
        RuntimeError: if the two disagree.
    """
    exact = histogram_distance(first, second, BINS)
    try:
        found = pyemd_distance(first, second, BINS)
    except ImportError:
        return exact
    if abs(found - exact) > TOLERANCE:
        raise RuntimeError(
            f"pyemd gives {found:.5f} where the exact distance is {exact:.5f}; reinstall pyemd"
        )
    return found


def absent_rows(measured: set[str], method: str) -> list[Row]:
    """Table 2's columns whose data set is absent."""
    return [
        Row(method, NAMES[kind], f"EMD to {pairs}", "similarity", None, reason=NOT_MEASURED)
        for kind in ("lfw", "micc", "mofa")
        if kind not in measured
        for pairs in ("one person", "two people")
    ]


def counts_of(columns: Sequence[DataSetColumn]) -> Counts:
    """Of all photographs of all columns."""
    failed: dict[str, int] = {}
    for column in columns:
        for reason, count in column.counts.failed.items():
            failed[reason] = failed.get(reason, 0) + count
    return Counts(
        sum(column.counts.total for column in columns), sum(column.counts.used for column in columns), failed
    )


def figure_of(title: str, columns: Sequence[DataSetColumn], pairs: PairDistributions) -> Figure:
    """Figure 5 of the paper, a panel a data set: the renderings' distributions before the photographs' own.

    The photographs' two distributions, shaded, are those of the reference in every panel.
    """
    reference = [
        Line("photographs of one person", *density(histogram(pairs.same, BINS)), filled=True),
        Line("photographs of two people", *density(pairs.different), filled=True),
    ]
    panels = {
        column.name: [
            *reference,
            *(
                Line(
                    f"photograph and {method}", *density(histogram(values, BINS)), dashed=number > 0
                )
                for number, (method, (values, _)) in enumerate(column.similarities.items())
            ),
        ]
        for column in columns
    }  # fmt: skip
    figure, every = line_panels(title, "cosine similarity", "density", panels)
    used = np.concatenate([line.x[line.y > 0.01] for lines in panels.values() for line in lines])
    every[0].set_xlim(used.min() - 0.05, min(1.0, used.max() + 0.05))
    return figure


def density(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A histogram's bin centres and density, whose integral is 1, in bins as wide as its values are few.

    Bins are merged up to the width of Scott's rule, 3.49 sd n^(-1/3) (Scott 1979, "On optimal and data-based
    histograms"): a hundred values in 200 bins would show their noise.
    """
    share = counts / counts.sum()
    mean = share @ BINS.centres
    wanted = 3.49 * np.sqrt(share @ (BINS.centres - mean) ** 2) * counts.sum() ** (-1 / 3)
    merged = max(
        n
        for n in range(1, BINS.count + 1)
        if BINS.count % n == 0 and n * BINS.width <= max(wanted, BINS.width)
    )
    centres = BINS.centres.reshape(-1, merged).mean(1)
    return centres, share.reshape(-1, merged).sum(1) / (merged * BINS.width)


if __name__ == "__main__":
    sys.exit(main())
