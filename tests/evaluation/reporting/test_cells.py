import pytest

from evaluation.reporting.cells import Footnotes, TableCell, cell_text, heading_of, interval_text, value_text
from evaluation.reporting.results import NOT_MEASURED, Row


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (Row("a", "b", "c", "mm", 1.5, sd=0.126, interval=(1.4, 1.6), n=53), "1.50 ± 0.13"),
        (Row("a", "b", "c", "similarity", 0.3094, sd=0.0877), "0.309 ± 0.088"),
        (Row("a", "b", "c", "share", 0.9883, sd=0.0011), "98.83 ± 0.11"),
        (Row("a", "b", "c", "share", 0.00002), "0.002"),
        (Row("a", "b", "c", "mm", 0.0), "0.00"),
        (Row("a", "b", "c", "similarity", -0.00012), "-0.00012"),
        (Row("a", "b", "c", "degrees", 2.256, sd=17.94), "2.3 ± 17.9"),
        (Row("a", "b", "c", "mm", 2.5, sd=float("nan"), n=1), "2.50"),
        (Row("a", "b", "c", "count", 87_549_528), "87,549,528"),
        (Row("a", "b", "c", "mm", 1.5, sd=0.11, quoted=True), "1.50 ± 0.11"),
        (Row("a", "b", "c", "similarity", 0.3, quoted=True), "0.30"),
        (Row("a", "b", "c", "share", 0.001, quoted=True), "0.1"),
    ],
)
def test_a_value_has_its_spread_and_digits_that_mean_something(row: Row, text: str) -> None:
    assert value_text(row) == text


def test_an_interval_is_in_the_unit_of_its_value() -> None:
    assert interval_text(Row("a", "b", "c", "share", 0.5, interval=(0.4, 0.6))) == "[40.00, 60.00]"
    assert interval_text(Row("a", "b", "c", "mm", 1.5, interval=(1.4, float("nan")))) == ""


def test_why_there_is_no_value_is_a_footnote_and_the_same_reason_has_one_number() -> None:
    footnotes = Footnotes()
    lost = Row("a", "b", "c", "mm", None, reason="no landmarks")
    written = [
        cell_text(cell, footnotes).value
        for cell in (
            TableCell((lost,)),
            TableCell((Row("a", "b", "c", "mm", float("nan")),)),
            TableCell((lost._replace(metric="d"),)),
            TableCell((lost._replace(reason=NOT_MEASURED),)),
            TableCell((lost._replace(reason="not compared: 1 of the groups has 10 people"),)),
            None,
        )
    ]
    assert written == ["failed¹", "failed²", "failed¹", "–", "not compared³", "–"]
    assert footnotes.lines == [
        "¹ no landmarks", "² the computation gave nan", "³ 1 of the groups has 10 people",
    ]  # fmt: skip


def test_a_remark_stands_behind_the_last_part_of_a_cell() -> None:
    row, footnotes = Row("a", "b", "c", "mm", 1.5, interval=(1.4, 1.6)), Footnotes()
    assert cell_text(TableCell((row,), "one failed"), footnotes) == ("1.50", "[1.40, 1.60]¹")
    assert cell_text(TableCell((row._replace(interval=None),), "two failed"), footnotes) == ("1.50²", "")


def test_two_values_of_one_cell_are_both_shown() -> None:
    row = Row("a", "b", "c", "mm", 1.5)
    assert (
        cell_text(TableCell((row, row._replace(value=2.0, sd=0.5))), Footnotes()).value == "1.50; 2.00 ± 0.50"
    )


@pytest.mark.parametrize(
    ("unit", "heading"),
    [
        ("mm", "c (mm)"),
        ("share", "c (%)"),
        ("similarity", "c"),
        ("", "c"),
        ("count", "c"),
        ("sd²", "c (sd²)"),
    ],
)
def test_a_heading_names_the_unit_where_the_metric_does_not(unit: str, heading: str) -> None:
    assert heading_of(Row("a", "b", "c", unit, 1.0)) == heading
