"""How one row of results is named and written in a table."""

from math import isfinite
from typing import NamedTuple

from .results import NOT_COMPARED, NOT_MEASURED, Row

# What stands in a cell without a value, and behind the name of a method that is quoted.
ABSENT, QUOTED = "–", "†"
# After the point: a hundredth of a millimetre or of a percent is less than any protocol can tell.
DIGITS, OTHER_DIGITS = {"mm": 2, "share": 2, "degrees": 1, "count": 0}, 3
# Publications give two digits.
QUOTED_DIGITS = 2
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class TableCell(NamedTuple):
    """What a cell of a table shows.

    Attributes:
        rows: one as a rule; the values of several are separated by semicolons.
        remark: what a reader must know of this cell; it becomes a footnote.
    """

    rows: tuple[Row, ...]
    remark: str = ""


class CellText(NamedTuple):
    """A cell's text, the 95 % interval apart, since it may need a line of its own."""

    value: str
    interval: str = ""


class Footnotes:
    """The numbered footnotes of one table; the same text has one number."""

    def __init__(self) -> None:
        """Start without any."""
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        """The superscript number of a footnote, nothing where there is no text."""
        return superscript(self._numbers.setdefault(text, len(self._numbers) + 1)) if text else ""

    @property
    def lines(self) -> list[str]:
        """Each footnote with its number, in order."""
        return [f"{superscript(number)} {text}" for text, number in self._numbers.items()]


def superscript(number: int) -> str:
    """A whole number in superscript digits."""
    return str(number).translate(_SUPERSCRIPTS)


def cell_text(cell: TableCell | None, footnotes: Footnotes) -> CellText:
    """A cell's text; why a value is missing goes to the footnotes.

    Args:
        cell: to write; None for a combination of line and column that was not asked for.
        footnotes: of the table; added to.
    """
    if cell is None or not cell.rows:
        return CellText(ABSENT)
    values = "; ".join(_value_or_reason(row, footnotes) for row in cell.rows)
    intervals = "; ".join(filter(None, (interval_text(row) for row in cell.rows)))
    mark = footnotes.mark(cell.remark)
    return CellText(values, intervals + mark) if intervals else CellText(values + mark)


def _value_or_reason(row: Row, footnotes: Footnotes) -> str:
    reason = reason_of(row)
    if reason is None:
        return value_text(row)
    if reason == NOT_MEASURED:
        return ABSENT
    if reason.startswith(NOT_COMPARED):
        return NOT_COMPARED + footnotes.mark(reason.removeprefix(NOT_COMPARED).removeprefix(": "))
    return "failed" + footnotes.mark(reason)


def reason_of(row: Row) -> str | None:
    """Why a row has no value; None where it has one."""
    written = row.as_dict()
    return written.get("reason", "no reason given") if written["value"] is None else None


def value_text(row: Row, percent: str = "") -> str:
    """A row's value with its spread, shares in percent.

    Args:
        row: that has a value.
        percent: behind a share; nothing where the column's heading says so.
    """
    assert row.value is not None
    if row.unit == "count":
        return f"{row.value:,.0f}"
    is_share = row.unit == "share"
    scale, digits = 100 if is_share else 1, DIGITS.get(row.unit, OTHER_DIGITS)
    if row.quoted:
        text = f"{scale * row.value:g}" if is_share else f"{row.value:.{QUOTED_DIGITS}f}"
        digits = QUOTED_DIGITS
    else:
        text = plain_number(scale * row.value, digits)
    text += percent if is_share else ""
    if row.sd is not None and isfinite(row.sd):  # a single item has no deviation
        text += f" ± {plain_number(scale * row.sd, digits)}"
    return text


def interval_text(row: Row) -> str:
    """A row's interval in brackets, nothing where it has none."""
    if row.interval is None or row.as_dict()["interval"] is None:
        return ""
    scale, digits = (100 if row.unit == "share" else 1), DIGITS.get(row.unit, OTHER_DIGITS)
    return "[" + ", ".join(plain_number(scale * bound, digits) for bound in row.interval) + "]"


def subject(row: Row) -> str:
    """What was scored and how, quoted values marked."""
    return f"{row.method}{' (quoted)' if row.quoted else ''}, {row.protocol}"


def measure(row: Row) -> str:
    """The metric with its unit; shares are named without."""
    return row.metric if row.unit in {"share", ""} else f"{row.metric} ({row.unit})"


def heading_of(row: Row) -> str:
    """The heading of a column of such rows: the metric with the unit, where the name does not say it."""
    short = {"share": "%", "count": "", "similarity": "", "standard deviations": "sd", "degrees": "°"}
    unit = short.get(row.unit, row.unit)
    return f"{row.metric} ({unit})" if unit else row.metric


def plain_number(value: float, digits: int) -> str:
    """With fixed digits; with two significant ones where those would be all zeros."""
    fixed = f"{value:.{digits}f}"
    return f"{value:.2g}" if value != 0 and float(fixed) == 0 else fixed
