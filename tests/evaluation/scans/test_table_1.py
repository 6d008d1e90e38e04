import pytest

from evaluation.reporting.results import Row
from evaluation.reporting.tables import latex, markdown, page_of
from evaluation.scans.table_1 import LAYOUT, heading_of_place
from evaluation.scans.tables import quoted_rows

from ..reporting.printing import printed, results_of


def rows_under(
    protocol: str, conditions: tuple[str, ...] = ("cooperative", "indoor", "outdoor")
) -> list[Row]:
    rows = []
    for number, condition in enumerate(conditions):
        place = f"MICC {condition}, {protocol}"
        rows += quoted_rows(place, condition) if protocol == "genova" else []
        for method, value in (("suite", 1.25 + number / 4), ("mean face", 1.5), ("oracle", 0.5)):
            rows.append(Row(method, place, "mean", "mm", value, 0.25, (value - 0.125, value + 0.125), 53))
            rows.append(Row(method, place, "median", "mm", value, n=53))
    return rows


TABLE = """\
A title

genova: error in mm, mean over subjects
──────────────────────────────────────────────────────────────
Method                 Cooperative        Indoor       Outdoor
──────────────────────────────────────────────────────────────
suite                  1.25 ± 0.25   1.50 ± 0.25       failed¹
                      [1.12, 1.38]  [1.38, 1.62]
──────────────────────────────────────────────────────────────
mean face              1.50 ± 0.25   1.50 ± 0.25   1.50 ± 0.25
                      [1.38, 1.62]  [1.38, 1.62]  [1.38, 1.62]
oracle                 0.50 ± 0.25   0.50 ± 0.25   0.50 ± 0.25
                      [0.38, 0.62]  [0.38, 0.62]  [0.38, 0.62]
──────────────────────────────────────────────────────────────
Tran et al. 2017 †     1.93 ± 0.27   2.02 ± 0.25   1.86 ± 0.23
Genova et al. 2018 †   1.50 ± 0.13   1.50 ± 0.11   1.48 ± 0.11
──────────────────────────────────────────────────────────────
¹ no subject has a score: 53 no footage

± standard deviation over subjects; [ ] 95 % interval.
† quoted from the literature, not measured here: Tran et al. 2017, in Genova et
al. 2018; Genova et al. 2018.
1 of 1 scores used; failed: none.
results.csv also has: median.
"""


def failed_outdoors() -> list[Row]:
    lost = Row(
        "suite", "MICC outdoor, genova", "mean", "mm", None, n=0,
        reason="no subject has a score: 53 no footage",
    )  # fmt: skip
    outdoor = ("suite", "MICC outdoor, genova", "mean")
    return [lost if (r.method, r.protocol, r.metric) == outdoor else r for r in rows_under("genova")]


def test_the_table_is_the_papers_with_baselines_and_quoted_rows_below_rules() -> None:
    assert printed(results_of(failed_outdoors()), LAYOUT) == TABLE


def test_markdown_and_latex_hold_the_same_lines() -> None:
    page = page_of(results_of(failed_outdoors()), LAYOUT)
    quoted = ["Genova et al. 2018 †", "1.50 ± 0.13", "1.50 ± 0.11", "1.48 ± 0.11"]
    assert [cell.strip() for cell in markdown(page).splitlines()[10].split("|")[1:-1]] == quoted
    lines = latex(page).splitlines()
    assert "Method & Cooperative & Indoor & Outdoor \\\\" in lines
    assert r"Genova et al. 2018 $\dagger$ & 1.50 $\pm$ 0.13 & 1.50 $\pm$ 0.11 & 1.48 $\pm$ 0.11 \\" in lines
    assert {line.count(" & ") for line in lines if line.endswith(r"\\")} == {3}
    assert lines.count(r"\midrule") == 3


def test_every_protocol_has_a_small_table_under_its_name() -> None:
    rows = rows_under("genova") + rows_under("tran")
    text = printed(results_of(rows), LAYOUT)
    assert [line for line in text.splitlines() if "error in mm" in line] == [
        "genova: error in mm, mean over subjects", "tran: error in mm, mean over subjects",
    ]  # fmt: skip
    assert text.count("Tran et al. 2017 †") == 1


def test_a_protocol_that_pools_points_has_their_median_and_mean_in_one_cell() -> None:
    rows = rows_under("now", ("indoor",))
    rows += [
        Row("suite", "MICC indoor, now", "median of all points", "mm", 1.0, n=53),
        Row("suite", "MICC indoor, now", "mean of all points", "mm", 1.25, 1.5, n=53),
    ]
    text = printed(results_of(rows), LAYOUT)
    assert "now: error in mm, all points pooled: median; mean ± sd" in text
    assert "suite   1.00; 1.25 ± 1.50" in text


def test_subjects_without_a_score_are_a_footnote_of_their_mean() -> None:
    rows = [*rows_under("genova"), Row("suite", "MICC indoor, genova", "failed", "count", 2, n=53)]
    lines = printed(results_of(rows), LAYOUT).splitlines()
    assert "                      [1.12, 1.38]  [1.38, 1.62]¹  [1.62, 1.88]" in lines
    assert "¹ without 2 of 53 subjects, which failed; subjects.csv says why" in lines


def test_groups_are_lines_of_a_table_of_their_own() -> None:
    rows = rows_under("genova")
    for condition in ("cooperative", "indoor", "outdoor"):
        place = f"MICC {condition}, genova"
        for group, count in (("female", 30), ("male", 23)):
            rows.append(Row("suite", f"{place}, sex: {group}", "subjects", "count", count))
            rows.append(Row("suite", f"{place}, sex: {group}", "mean", "mm", 1.25, interval=(1.0, 1.5)))
        pair = f"{place}, largest difference by sex: male minus female"
        rows.append(Row("suite", pair, "mean", "mm", 0.25, interval=(0.0, 0.5)))
    text = printed(results_of(rows), LAYOUT)
    assert (
        text[text.index("By sex") : text.index("\n\n±")]
        == """\
By sex: suite (genova; others in groups.csv)
─────────────────────────────────────────────────────────────────────────
                               Cooperative       Indoor        Outdoor
                              ─────────────  ─────────────  ─────────────
Group               subjects      mean (mm)      mean (mm)      mean (mm)
─────────────────────────────────────────────────────────────────────────
female                    30           1.25           1.25           1.25
                               [1.00, 1.50]   [1.00, 1.50]   [1.00, 1.50]
male                      23           1.25           1.25           1.25
                               [1.00, 1.50]   [1.00, 1.50]   [1.00, 1.50]
─────────────────────────────────────────────────────────────────────────
largest difference         –           0.25           0.25           0.25
                              [0.00, 0.50]¹  [0.00, 0.50]¹  [0.00, 0.50]¹
─────────────────────────────────────────────────────────────────────────
¹ male minus female"""
    )


@pytest.mark.parametrize(
    ("place", "heading"),
    [
        ("MICC cooperative, genova", ("MICC", "Cooperative", "genova")),
        ("scans, now", ("scans", "Distance", "now")),
        (
            "stand-in indoor, genova with radius=80.0, sex: f",
            ("stand-in", "Indoor", "genova with radius=80.0"),
        ),
        (
            "MICC indoor, ganfit with radius_overrides={28: 60.0, 3: 50.0}",
            ("MICC", "Indoor", "ganfit with radius_overrides={28: 60.0, 3: 50.0}"),
        ),
    ],
)
def test_a_place_names_condition_and_protocol(place: str, heading: tuple[str, str, str]) -> None:
    assert heading_of_place(place) == heading
