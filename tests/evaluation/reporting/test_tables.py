import io
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.reporting.results import NOT_MEASURED, Counts, Results, Row
from evaluation.reporting.tables import (
    grid,
    latex,
    markdown,
    print_results,
    rich_list,
    write_tables,
    written_counts,
    written_value,
)
from lightning_modules.plain.output_folder import OutputFolder

ROWS = [
    Row("ours", "genova", "mean error", "mm", 1.5, sd=0.126, interval=(1.4, 1.6), n=53),
    Row("ours", "genova", "within_1mm", "share", 0.4567),
    Row("Tran & al.", "genova", "mean error", "mm", 1.93, quoted=True),
]
RESULTS = Results("micc", "MICC [cooperative]", {}, Counts(1055, 1053, {"no face": 2}), ROWS, {})


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (ROWS[0], "1.500 ± 0.126 [1.400, 1.600]"),
        (Row("a", "b", "c", "share", 0.9883, sd=0.0011), "98.83 % ± 0.11"),
        (Row("a", "b", "c", "share", 0.00002), "0.002 %"),
        (Row("a", "b", "c", "mm", 0.0), "0.000"),
        (Row("a", "b", "c", "mm", -0.00012), "-0.00012"),
        (Row("a", "b", "c", "mm", 2.5, sd=float("nan"), n=1), "2.500"),
        (Row("a", "b", "c", "count", 87_549_528), "87,549,528"),
        (Row("a", "b", "c", "mm", None, reason="no landmarks"), "failed: no landmarks"),
        (Row("a", "b", "c", "mm", float("nan")), "failed: the computation gave nan"),
    ],
)
def test_values_carry_unit_spread_and_reason(row: Row, text: str) -> None:
    assert written_value(row) == text


def test_a_grid_may_be_turned() -> None:
    content = grid(RESULTS)
    assert content.columns == ["mean error (mm)", "within_1mm"]
    assert content.lines == [
        ("ours, genova", ["1.500 ± 0.126 [1.400, 1.600]", "45.67 %"]),
        ("Tran & al. (quoted), genova", ["1.930", ""]),
    ]
    turned = grid(RESULTS, "method")
    assert turned.columns == [label for label, _ in content.lines]
    assert [cells for _, cells in turned.lines] == [
        list(line) for line in zip(*(c for _, c in content.lines), strict=True)
    ]


def test_two_values_of_one_cell_are_both_shown() -> None:
    doubled = RESULTS._replace(rows=[ROWS[2], ROWS[2]._replace(value=2.0)])
    assert grid(doubled).lines == [("Tran & al. (quoted), genova", ["1.930; 2.000"])]


def test_counts_name_their_reasons() -> None:
    assert written_counts(RESULTS.counts, "scans") == "1,053 of 1,055 scans used; failed: 2 no face"
    assert written_counts(Counts(3, 3, {})) == "3 of 3 items used; failed: none"


def test_markdown_is_a_table_with_title_and_counts() -> None:
    assert markdown(RESULTS._replace(rows=[ROWS[1]._replace(method="a|b")])).splitlines() == [
        "**MICC [cooperative]**",
        "",
        "|  | within_1mm |",
        "| --- | ---: |",
        r"| a\|b, genova | 45.67 % |",
        "",
        "1,053 of 1,055 items used; failed: 2 no face",
    ]


def test_latex_escapes_what_it_must() -> None:
    lines = latex(RESULTS, items="scans").splitlines()
    assert r"\caption{MICC [cooperative]. 1,053 of 1,055 scans used; failed: 2 no face.}" in lines
    assert r"\begin{tabular}{lrr}" in lines
    assert r" & mean error (mm) & within\_1mm \\" in lines
    assert r"ours, genova & 1.500 $\pm$ 0.126 [1.400, 1.600] & 45.67 \% \\" in lines
    assert r"Tran \& al. (quoted), genova & 1.930 &  \\" in lines


def test_tables_are_written_beside_the_results(tmp_path: Path) -> None:
    files = write_tables(RESULTS, OutputFolder(tmp_path, "micc"), items="scans")
    assert [file.name for file in files] == ["results.md", "results.tex"]
    assert files[0].read_text() == markdown(RESULTS, items="scans")


def test_the_screen_shows_brackets_as_they_are() -> None:
    console = Console(width=200, record=True)
    print_results(RESULTS._replace(rows=[ROWS[0]._replace(method="ours [bold]")]), console, items="scans")
    printed = console.export_text()
    assert "MICC [cooperative]" in printed
    assert "ours [bold], genova" in printed
    assert "1,053 of 1,055 scans used; failed: 2 no face" in printed


def test_a_list_names_each_protocol_once() -> None:
    rows = [
        Row("ours", "held back", "top-1", "share", 0.25, n=4),
        Row("mean face", "held back", "top-1", "share", 0.01, n=4, quoted=True),
        Row("ours", "elsewhere", "error", "mm", 1.5, sd=0.25),
    ]
    results = Results("run", "A title", {}, Counts(4, 4, {}), rows, {})
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rich_list(results))
    printed = console.export_text()
    assert printed.count("held back") == 1
    for words in ("mean face (quoted)", "25.00 %", "1.500 ± 0.250", "A title"):
        assert words in printed


def test_what_was_not_measured_is_no_failure() -> None:
    absent = Row("ours", "MICC", "EMD", "similarity", None, reason=NOT_MEASURED)
    assert written_value(absent) == "not measured"
