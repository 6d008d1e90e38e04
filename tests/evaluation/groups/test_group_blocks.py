from evaluation.groups.group_blocks import blocks_by_group, blocks_with_groups, labels_of, taken_apart
from evaluation.reporting.results import Row
from evaluation.reporting.tables import Layout

from ..reporting.printing import printed, results_of

DATA = "LFW, 14 faces"
GROUPED = [
    Row("ours", DATA, "photographs, sex: female", "count", 6),
    Row("ours", DATA, "people, sex: female", "count", 2),
    Row("ours", DATA, "photographs, sex: male", "count", 4),
    Row("ours", DATA, "without a value, sex: male", "count", 1),
    Row("ours", DATA, "top-1, source left out, sex: female", "share", 0.75, interval=(0.5, 1.0), n=6),
    Row("ours", DATA, "top-1, source left out, sex: male", "share", None, reason="none of 4 has a value"),
    Row(
        "ours", DATA, "top-1, source left out, largest difference by sex: female minus male", "share", 0.25,
        interval=(0.0, 0.5),
    ),
    Row("mean face", DATA, "top-1, source left out, sex: female", "share", 0.1),
]  # fmt: skip
WHOLE = [
    Row("ours", DATA, "top-1, source left out", "share", 0.5),
    Row("labels", DATA, "names in labels.csv that are known", "count", 4),
    Row("photographs", DATA, "rank correlation of ITA", "", 0.3),
]


def test_groups_are_lines_and_the_largest_difference_stands_below_them() -> None:
    assert (
        printed(results_of([*WHOLE, *GROUPED]), Layout(blocks_with_groups))
        == """\
A title

LFW, 14 faces
────────────────────
              top-1,
         source left
Method       out (%)
────────────────────
ours           50.00
────────────────────

By sex: ours (LFW, 14 faces; others in groups.csv)
────────────────────────────────────────────────────────────────────────────
                                            without a     top-1, source left
Group               photographs  people         value                out (%)
────────────────────────────────────────────────────────────────────────────
female                        6       2             –  75.00 [50.00, 100.00]
male                          4       4             1                failed¹
────────────────────────────────────────────────────────────────────────────
largest difference            –       –             –   25.00 [0.00, 50.00]²
────────────────────────────────────────────────────────────────────────────
¹ none of 4 has a value
² female minus male

[ ] 95 % interval.
1 of 1 items used; failed: none.
results.csv also has: names in labels.csv that are known, rank correlation of
ITA.
"""
    )


def test_a_row_by_group_is_taken_apart_wherever_the_group_is_named() -> None:
    in_metric = taken_apart(GROUPED[4], ["age", "sex"])
    assert (in_metric.metric, in_metric.group, in_metric.protocol) == (
        "top-1, source left out", "female", DATA,
    )  # fmt: skip
    row = Row("ours", "MICC indoor, genova, sex: female", "mean", "mm", 1.0)
    in_protocol = taken_apart(row, ["age", "sex"])
    assert (in_protocol.metric, in_protocol.group, in_protocol.protocol) == (
        "mean", "female", "MICC indoor, genova",
    )  # fmt: skip
    assert taken_apart(WHOLE[0], ["age", "sex"]) is None


def test_labels_are_known_from_differences_even_where_groups_are_too_small() -> None:
    small = Row(
        "ours", DATA, "mean, largest difference by skin tone (ITA)", "", None, reason="not compared: 0"
    )
    assert labels_of([*WHOLE, small, *GROUPED]) == ["skin tone (ITA)", "sex"]


def test_results_without_groups_have_no_such_tables() -> None:
    assert blocks_by_group(WHOLE) == ([], set())
