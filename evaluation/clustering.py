"""Whether renderings find photographs of their people among all photographs, by a network that judges.

    python evaluation/clustering.py run.ckpt --data lfw:DIR
    python evaluation/clustering.py run.ckpt --data lfw:DIR --people 300

Genova et al. 2018, section 4.4, Table 3: each rendering retrieves photographs, its source photograph among
them; here also with the source and its copies left out. Exact, in blocks, for galleries of any size; ties
count against the query. Writes results.json, its tables, a line for each photograph, the CMC curve, and in
`photographs/` a picture of the five nearest photographs of some renderings, which shows photographs: keep it.
With --people the project's reporting protocol instead. With --groups top-1 and top-5 by group, too.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from datamodules.alignment.face_rows import face_keys
from datamodules.lfw import LFW
from evaluation.groups.options import Groups, settings_of_groups, sources_of
from evaluation.groups.panel import Measurement
from evaluation.likeness import published_figures
from evaluation.likeness.by_group import grouped_photographs, names_checked, with_groups
from evaluation.likeness.comparison import GroupSetting, Measured, Setting, measure, results_of_photographs
from evaluation.likeness.nearest_photographs import write_examples
from evaluation.likeness.options import (
    RenderingMachine,
    Scoring,
    inputs_of,
    load_parts,
    settings_of,
    subject_of,
)
from evaluation.likeness.reporting_rows import RETRIEVAL_FIGURES, protocol_report
from evaluation.likeness.tables_2_and_3 import TABLE_3
from evaluation.metrics.retrieval import Ranks, chance, cumulative_match, found, rank_in_blocks
from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.results import Results, Row, plain
from evaluation.shared.data_places import notice
from evaluation.shared.lifecycle import Report, evaluate, exit_status
from evaluation.shared.options import Dashboard, Output
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import NonNegativeInt, PositiveInt
from lightning_modules.plain.output_folder import OutputFolder

COMMAND = "clustering"
OUTSIDE = "people outside peopleDevTrain"
LARGEST_RANK = 100  # of the CMC curve
GROUPED_K = (1, 5)
PRIVATE = "photographs"
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True)
class Retrieval:
    """What is retrieved.

    Attributes:
        k: how many photographs are looked at, one figure each, as [1,5] (the paper's).
        examples: renderings whose five nearest photographs are drawn; 0 draws none.
    """

    k: tuple[PositiveInt, ...] = (1, 5, 10, 100)
    examples: NonNegativeInt = 8


class Search(NamedTuple):
    """One way of searching.

    Attributes:
        name: in tables.
        left_out: whether each query's source photograph is taken out of the gallery.
        queries: which of the renderings ask.
    """

    name: str
    left_out: bool
    queries: np.ndarray


class Found(NamedTuple):
    """What a method's renderings find in one way of searching."""

    search: Search
    method: str
    ranks: Ranks


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, search, report; 0 for a complete result, 1 with failed photographs, 2 bad input, 130 stopped."""
    with one_sentence_for_bad_input():
        scoring, retrieval, groups, execution, output, dashboard = parse_settings(
            (Scoring, Retrieval, Groups, RenderingMachine, Output, Dashboard), argv,
            program="clustering.py", description=str(__doc__), leading="checkpoint",
        )  # fmt: skip
        return exit_status(
            clustering(scoring, retrieval, groups, execution, output=output, dashboard=dashboard)
        )


def clustering(
    scoring: Scoring,
    retrieval: Retrieval,
    groups: Groups,
    execution: RenderingMachine,
    *,
    output: Output,
    dashboard: Dashboard,
) -> Results:
    """The results of a finished folder, or computed now."""
    execution = execution.resolved()
    if not retrieval.k:
        raise ValueError("--k must name at least one number of photographs")
    subject, sources = subject_of(scoring), sources_of(groups)
    more = settings_of_groups(groups, sources)
    settings = plain(settings_of(scoring, subject, k=retrieval.k, examples=retrieval.examples, **more))

    def compute(folder: OutputFolder) -> Report:
        parts = load_parts(scoring, execution, subject)
        setting = Setting(scoring, execution, subject, parts, GroupSetting(groups.smallest_group, sources))
        if scoring.people:
            return protocol_report(COMMAND, setting, settings, RETRIEVAL_FIGURES)
        measured = measure(setting, subject.place, check=names_checked(setting))
        if retrieval.examples:
            write_examples(setting, measured, retrieval.examples, folder.claim(f"{PRIVATE}/nearest.png"))
        return cluster_report(setting, measured, retrieval, settings)

    return evaluate(
        COMMAND, settings, compute, inputs=[*inputs_of(scoring, subject), *sources.paths],
        output=output, layout=TABLE_3,
        notice=notice(subject.place), dashboard=dashboard, checkpoint=subject.content,
    )  # fmt: skip


def cluster_report(
    setting: Setting, measured: Measured, retrieval: Retrieval, settings: Mapping[str, object]
) -> Report:
    """Every method's hits in every way of searching, beside chance."""
    groups = grouped_photographs(setting, measured)
    all_found, rows = [], []
    for search in searches(measured):
        mine = [found_by(measured, method, seen, search) for method, seen in measured.seen.items()]
        rows += [row for one in mine for row in hit_rows(measured, one, retrieval.k)]
        rows += chance_rows(measured, search, retrieval.k)
        all_found += mine
    rows += absent_rows(measured) + quoted_rows(setting, measured)
    what = f"photographs found by renderings of {setting.subject.scored.method}"
    results = results_of_photographs(COMMAND, what, setting, measured, settings, rows)
    figure = figure_of(results.title, all_found, measured)
    report = Report(results, {PHOTOGRAPHS: items_of(measured, all_found)}, {"cmc": figure})
    return with_groups(report, setting, measured, groups, retrieval_measurements(measured, all_found))


def retrieval_measurements(measured: Measured, all_found: Sequence[Found]) -> list[Measurement]:
    """Whether each of the method's renderings finds its person among the nearest and the five nearest.

    NaN for those whose person the gallery does not show.
    """
    ours = next(iter(measured.seen))
    return [
        Measurement(
            ours,
            one.search.name,
            f"top-{k}",
            "share",
            found_or_nan(one.ranks, k),
        )
        for one in all_found
        if one.method == ours and len(one.search.queries) == len(measured.usable) and one.ranks.findable.any()
        for k in within(measured, one.search, GROUPED_K)
    ]


def found_or_nan(ranks: Ranks, k: int) -> np.ndarray:
    """Whether each query [Q] finds its person among its k nearest; NaN where the gallery does not show it."""
    values = np.full(len(ranks.findable), np.nan)
    values[ranks.findable] = found(ranks.of(ranks.findable), k)
    return values


def searches(measured: Measured) -> list[Search]:
    """The paper's way, the source left out, and both asked by people alone on whom no choice was made.

    Who those are, LFW's list of development people says; where there is none, see `absent_rows`.
    """
    everyone = np.arange(len(measured.usable))
    ways = [Search(f"{measured.name}", False, everyone),
            Search(f"{measured.name}, source left out", True, everyone)]  # fmt: skip
    development = development_people(measured)
    if development is not None:
        names = np.array(measured.people.people)[measured.identity]
        others = np.flatnonzero(~np.isin(names, sorted(development)))
        ways += [
            Search(f"{measured.name}, {OUTSIDE}", False, others),
            Search(f"{measured.name}, {OUTSIDE}, source left out", True, others),
        ]
    return ways


def development_people(measured: Measured) -> set[str] | None:
    """LFW's people on whom choices are made; None of other data, and where their list is not there."""
    if not isinstance(measured.people, LFW):
        return None
    try:
        return measured.people.development_people()
    except FileNotFoundError:
        return None


def absent_rows(measured: Measured) -> list[Row]:
    """Where LFW comes without its list of development people, as scikit-learn's copy: what it would tell."""
    if not isinstance(measured.people, LFW) or development_people(measured) is not None:
        return []
    method, reason = next(iter(measured.seen)), "peopleDevTrain.txt is not there"
    return [Row(method, f"{measured.name}, {OUTSIDE}", "top-1", "share", None, reason=reason)]


def found_by(measured: Measured, method: str, seen: Tensor, search: Search) -> Found:
    """The ranks of a method's renderings."""
    identity, gallery = measured.identity[search.queries], gallery_of(measured, search)
    ranks = rank_in_blocks(
        seen[torch.from_numpy(search.queries)],
        measured.photographs if gallery.is_whole else measured.photographs[torch.from_numpy(gallery.faces)],
        identity, measured.people.identity[gallery.faces],
        left_out=gallery.places[measured.usable[search.queries]] if search.left_out else None,
    )  # fmt: skip
    return Found(search, method, ranks)


class Gallery(NamedTuple):
    """What is searched.

    Attributes:
        faces: [G], which faces of the data set.
        places: [F], for each face of the data set, where in the gallery it or its copy is.
    """

    faces: np.ndarray
    places: np.ndarray

    @property
    def is_whole(self) -> bool:
        """Whether it holds every face."""
        return len(self.faces) == len(self.places)


def gallery_of(measured: Measured, search: Search) -> Gallery:
    """All photographs; where the source is left out, one of each person's copies: they find each other."""
    everything = np.arange(len(measured.people.identity))
    if not search.left_out:
        return Gallery(everything, everything)
    keys = face_keys(measured.people.dataset.faces)
    content = np.unique(keys, return_inverse=True)[1].ravel()
    of_person = np.stack([measured.people.identity, content], 1)
    _, first, copy = np.unique(of_person, axis=0, return_index=True, return_inverse=True)
    faces = np.sort(first)
    return Gallery(faces, np.searchsorted(faces, first[copy.ravel()]))


def hit_rows(measured: Measured, one: Found, numbers: Sequence[int]) -> list[Row]:
    """Top-k; `n` are the queries whose person the gallery shows (beside the source)."""
    ranks = one.ranks.of(one.ranks.findable)
    rows = []
    for k in within(measured, one.search, numbers):
        count = len(ranks.ahead)
        value = float(found(ranks, k).mean()) if count else None
        reason = None if count else "nobody has another photograph"
        rows.append(Row(one.method, one.search.name, f"top-{k}", "share", value, n=count, reason=reason))
    return rows


def chance_rows(measured: Measured, search: Search, numbers: Sequence[int]) -> list[Row]:
    """What a random order of the gallery finds, and k of all people, which the paper calls random."""
    identity = measured.identity[search.queries]
    gallery = measured.people.identity[gallery_of(measured, search).faces]
    rows = []
    for k in within(measured, search, numbers):
        try:
            by_chance = chance(identity, gallery, k, source_left_out=search.left_out)
        except ValueError:  # nobody to find: hit_rows say so
            continue
        for name, value in (("photograph", by_chance.per_photograph), ("identity", by_chance.per_identity)):
            rows.append(Row(f"chance per {name}", search.name, f"top-{k}", "share", value, n=len(identity)))
    return rows


def within(measured: Measured, search: Search, numbers: Sequence[int]) -> list[int]:
    """Those k that the gallery is large enough for."""
    size = len(gallery_of(measured, search).faces) - search.left_out
    return [k for k in numbers if k < size]


def quoted_rows(setting: Setting, measured: Measured) -> list[Row]:
    """The literature's Table 3, where data set, judge and descriptor are the paper's."""
    kind, judge = measured.place.kind, setting.parts.judge
    papers = published_figures.is_the_papers(
        kind, len(measured.people.dataset.paths), people=len(measured.people.people)
    )
    if judge.name != "vggface" or setting.scoring.descriptor_layer != "fc7-relu" or not papers:
        return []
    return published_figures.retrieval_rows(kind, measured.name)


def items_of(measured: Measured, all_found: Sequence[Found]) -> pd.DataFrame:
    """A line for each photograph: beside similarities, how many wrong photographs lie before a right one."""
    frame = measured.items.copy()
    ours = next(iter(measured.seen))
    good = np.flatnonzero(frame["reason"].isna())
    for one in all_found:
        if one.method == ours and len(one.search.queries) == len(measured.usable):
            wrong = (one.ranks.ahead + one.ranks.tied_wrong).astype(float)
            wrong[~one.ranks.findable] = np.nan
            column = np.full(len(frame), np.nan)
            column[good] = wrong
            frame["wrong before" + (", source left out" if one.search.left_out else "")] = column
    return frame


def figure_of(title: str, all_found: Sequence[Found], measured: Measured) -> Figure:
    """The CMC curves of the paper's way, ours with the source left out, and chance."""
    lines, whole, ours = [], len(measured.usable), next(iter(measured.seen))
    largest = min(LARGEST_RANK, len(measured.photographs) - 2)
    places = np.arange(1, largest + 1)
    for one in all_found:
        ranks = one.ranks.of(one.ranks.findable)
        shown = not one.search.left_out or one.method == ours
        if shown and len(one.search.queries) == whole and len(ranks.ahead):
            name = one.method + (", source left out" if one.search.left_out else "")
            lines.append(Line(name, places, cumulative_match(ranks, largest), dashed=one.search.left_out))
    by_chance = [chance(measured.identity, measured.people.identity, int(k)).per_photograph for k in places]
    lines.append(Line("chance per photograph", places, np.array(by_chance), dashed=True))
    figure, axes = line_figure(title, "photographs looked at", "share that finds its person", lines)
    axes.set_xscale("log")
    return figure


if __name__ == "__main__":
    sys.exit(main())
