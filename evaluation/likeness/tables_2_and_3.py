"""Tables 2 and 3 of Genova et al. 2018: similarity and retrieval, a line a method, columns by data set."""

from evaluation.groups.group_blocks import blocks_by_group, blocks_with_groups
from evaluation.likeness import published_figures
from evaluation.likeness.comparison import MEAN_FACE, SCAN, SHUFFLED, TRUE_FACE
from evaluation.reporting.blocks import Block, block_of, blocks_by_protocol
from evaluation.reporting.results import Results, Row
from evaluation.reporting.tables import Layout

PAPERS = ("LFW", "MICC", "MoFA-Test")  # data sets in the paper's order, behind any other
# Table 2: a metric as the heading below the data set's name.
DISTANCES = {"EMD to one person": "same", "EMD to two people": "diff."}
MEAN = "mean"
OF_PAIRS = {"mean of pairs of one person": "of one person", "mean of pairs of two people": "of two people"}
CHANCE = "chance per "
FLOORS, CEILINGS = (SHUFFLED, MEAN_FACE), (TRUE_FACE, SCAN)


def table_2(results: Results) -> list[Block]:
    """Distances to the pairs of one person and of two, a pair of columns a data set; then mean similarities.

    Then the judge's calibration, if there is one. The reporting protocol has a table of its own.
    """
    if not any(row.metric in OF_PAIRS for row in results.rows):
        return blocks_with_groups(results, part=_part)
    grouped, used = blocks_by_group(results.rows)
    rows = [row for row in results.rows if id(row) not in used]
    distances = [row for row in rows if row.metric in DISTANCES]
    names = sorted(dict.fromkeys(map(_data, distances)), key=_papers_order)
    blocks = [
        block_of(
            distances,
            "Earth Mover's Distance to photographs of one person (same) and of two (diff.)",
            column=lambda row: f"{_data(row)}\n{DISTANCES[row.metric]}",
            part=_part,
            columns=[f"{name}\n{heading}" for name in names for heading in DISTANCES.values()],
        ),
        block_of(
            [row for row in rows if row.metric == MEAN or row.metric in OF_PAIRS],
            "Mean cosine similarity of photograph and rendering",
            line=lambda row: f"{row.method} {OF_PAIRS[row.metric]}" if row.metric in OF_PAIRS else row.method,
            column=_data,
            part=_part,
        ),
    ]
    calibration = [row for row in rows if row.protocol == published_figures.ALL_PAIRS]
    return [*blocks, *blocks_by_protocol(results._replace(rows=calibration)), *grouped]


def table_3(results: Results) -> list[Block]:
    """Top-k of each way of searching, chance below the methods, and what the literature says."""
    return blocks_with_groups(results, part=_part)


def _papers_order(name: str) -> int:
    return PAPERS.index(name) if name in PAPERS else -1


def _data(row: Row) -> str:
    """The data set of a row, without its size."""
    return row.protocol.partition(", ")[0]


def _part(row: Row) -> int:
    if row.quoted:
        return 2
    beside = row.method in (*FLOORS, *CEILINGS) or row.method.startswith(CHANCE) or row.metric in OF_PAIRS
    return int(beside or row.method == "photographs")


TABLE_2 = Layout(table_2, "photographs", "standard deviation over photographs")
TABLE_2_OF_PEOPLE = Layout(table_2, "photographs", "standard error (jackknife over people)")
TABLE_3 = Layout(table_3, "photographs", "standard error (jackknife over people)")
