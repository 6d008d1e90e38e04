"""Lists of points or vertex ids in files: JSON, LJSON, text, CSV, NumPy and MeshLab's picked points."""

import json
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.landmarks.ljson import is_number_or_null, ljson_landmarks
from lightning_modules.plain.files import read_text
from lightning_modules.plain.letters import composed

# Far above what 68 points take in any of the forms; more is another kind of file.
LARGEST_BYTES = 16 * 2**20
# Headers of a column that numbers points.
NUMBERING = ("id", "index", "number", "nr", "landmark", "point", "")
LONGEST_NUMBER = 4
NOT_A_NUMBER = {"", "nan", "null", "none", "na", "n/a", "-"}


class PointList(NamedTuple):
    """What a file lists.

    Attributes:
        values: [P] or [P, D] float64, NaN where nothing was marked.
        is_ljson: whether it is LJSON, which lists y before x in images.
    """

    values: NDArray[np.float64]
    is_ljson: bool


def file_of_suffix(stem: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The first file of a name with one of these suffixes, in small letters or capitals; see `composed`.

    Args:
        stem: folder and name, without the suffix; dots in it stay.
        suffixes: with their dots, the most wanted first.
    """
    spellings = [spelt for suffix in suffixes for spelt in (suffix, suffix.upper(), suffix.title())]
    candidates = [stem.with_name(stem.name + suffix) for suffix in spellings]
    found = next((path for path in candidates if path.is_file()), None)
    if found is not None or stem.name.isascii() or not stem.parent.is_dir():
        return found
    beside = {composed(path.name): path for path in sorted(stem.parent.iterdir()) if path.is_file()}
    alike = (composed(path.name) for path in candidates)
    return next((beside[name] for name in alike if name in beside), None)


def read_point_list(path: Path, counts: tuple[int, ...]) -> PointList:
    """The points or ids of a file of the suffix .json, .ljson, .txt, .csv, .npy, .pp or .lnd, in any case.

    A column of a table that its header calls id, index, number or landmark, counting from 0 or 1, says which
    point a line is.

    Args:
        path: of the file, which exists.
        counts: how many points or ids are wanted: how many picked points were meant where some are missing.

    Raises:
        ValueError: if it holds anything else.
        OSError: if it cannot be read.
    """
    listed = _point_list(path, counts)
    if np.isinf(listed.values).any():
        raise ValueError("a number is infinite; leave out, or write as nan, what is not marked")
    return listed


def _point_list(path: Path, counts: tuple[int, ...]) -> PointList:
    if (size := path.stat().st_size) > LARGEST_BYTES:
        raise ValueError(f"{size / 2**20:.0f} MB are no list of landmarks")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return PointList(_numpy_array(path), False)
    if suffix in {".txt", ".csv"}:
        return PointList(_table(read_text(path), counts), False)
    if suffix == ".pp":
        return PointList(_picked_points(read_text(path), counts), False)
    if suffix == ".lnd":
        return PointList(_numbered_points(_table(read_text(path), counts)), False)
    if suffix not in {".json", ".ljson"}:
        raise ValueError(f"unknown suffix {path.suffix!r}")
    content = _parsed_json(read_text(path))
    if isinstance(content, dict):
        return PointList(ljson_landmarks(content, counts), True)
    return PointList(_json_list(content), False)


def _parsed_json(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _json_list(content: object) -> NDArray[np.float64]:
    if not isinstance(content, list):
        raise ValueError("a list or LJSON expected")
    # In place of a point that is not marked some have null, others a list of nulls.
    axes = next((len(row) for row in content if isinstance(row, list)), None)
    if axes is not None:
        content = [[None] * axes if row is None else row for row in content]
    rows = [row if isinstance(row, list) else [row] for row in content]
    if len({(isinstance(row, list), len(row) if isinstance(row, list) else 1) for row in content}) > 1:
        raise ValueError("all points must have as many coordinates")
    if not all(is_number_or_null(value) for row in rows for value in row):
        raise ValueError("numbers or null expected")
    return np.array(content, dtype=np.float64)  # null becomes NaN


def _numpy_array(path: Path) -> NDArray[np.float64]:
    """An array of numbers; memory-mapped first, since a header can claim terabytes."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises whatever its text leads to
        reason = str(error) or type(error).__name__
        if "pickle" in reason or "Python objects" in reason:
            # NumPy's own sentence tells how to load them all the same.
            reason = "it holds pickled objects, which are never loaded since they can run code"
        raise ValueError(reason) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim not in {1, 2}:
        raise ValueError("an array of numbers with one or two axes expected")
    return np.array(array, dtype=np.float64)


def _table(text: str, counts: tuple[int, ...]) -> NDArray[np.float64]:
    """Lines of numbers, parted by blanks, tabs, commas or semicolons; # starts a comment.

    A first line of words is a header; where it names x and y, and z, only these columns count, and one that
    numbers the points. Nothing between two separators means a number that is not there.
    """
    numbers: list[int] = []
    numbered = [(number, line.split("#")[0].strip(" ")) for number, line in enumerate(text.splitlines(), 1)]
    numbered = [(number, line) for number, line in numbered if line.strip()]
    separator = next((mark for mark in ";," if any(mark in line for _, line in numbered)), None)
    if separator is None and any("\t\t" in line or line != line.strip("\t") for _, line in numbered):
        separator = "\t"  # something is missing between two of them
    rows = [
        (number, [part.strip().strip('"') for part in line.split(separator)]) for number, line in numbered
    ]
    # A first line of nan alone is a point that was not marked.
    words = bool(rows) and not all(_is_number(part) or part.lower() in NOT_A_NUMBER for part in rows[0][1])
    header = [word.lower() for word in rows[0][1]] if words and not any(map(_is_number, rows[0][1])) else []
    rows = rows[1:] if header else rows
    if {"x", "y"} <= set(header):
        if short := [number for number, row in rows if len(row) != len(header)]:
            raise ValueError(f"line {short[0]} has not as many columns as the header")
        columns = [header.index(name) for name in "xyz" if name in header]
        numbers = _point_numbers(header, [row for _, row in rows])
        rows = [(number, [row[column] for column in columns]) for number, row in rows]
    elif rows and separator and all(len(row) > 1 and not row[-1] for _, row in rows):
        rows = [(number, row[:-1]) for number, row in rows]  # a separator ends each line
    if not rows:
        raise ValueError("it holds no numbers")
    first, count = next(((number, len(row)) for number, row in rows if len(row) > 1), (rows[0][0], 1))
    # One word in place of a point's numbers says that it was not marked.
    rows = [
        (number, row * count if len(row) == 1 and row[0].lower() in NOT_A_NUMBER else row)
        for number, row in rows
    ]
    for number, row in rows:
        if len(row) != count:
            raise ValueError(f"line {number} has {len(row)} numbers, line {first} has {count}")
        if wrong := [part for part in row if not (_is_number(part) or part.lower() in NOT_A_NUMBER)]:
            raise ValueError(f"line {number}: {wrong[0][:40]!r} is no number")
    array = np.array([[_number(part) for part in row] for _, row in rows])
    if numbers:
        return _by_number(array, numbers, counts)
    return array.ravel() if 1 in array.shape else array


def _point_numbers(header: list[str], rows: list[list[str]]) -> list[int]:
    """What a column that numbers the points has; none where there is no such column."""
    for column, name in enumerate(header):
        texts = [row[column] for row in rows] if name in NUMBERING else []
        if texts and all(text.isdecimal() and len(text) <= LONGEST_NUMBER for text in texts):
            numbers = [int(text) for text in texts]
            # Ids of vertices, which ascend as they like, number no points.
            if min(numbers) in (0, 1) and len(set(numbers)) == len(numbers):
                return numbers
    return []


def _by_number(
    values: NDArray[np.float64], numbers: list[int], counts: tuple[int, ...]
) -> NDArray[np.float64]:
    """Points at the places that their numbers say, from 0 or 1; NaN where one is missing.

    Raises:
        ValueError: if some are missing, and the list could have been as long as several that are wanted.
    """
    if sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers))):
        return values[np.argsort(numbers)]
    return _at_their_numbers(
        values, numbers, counts, "numbered", "list all, with nan for those that are not marked"
    )


def _is_number(part: str) -> bool:
    try:
        return np.isfinite(_number(part))
    except ValueError:
        return False


def _number(part: str) -> float:
    # Tables of semicolons come from where the comma is the decimal point.
    return float("nan") if part.lower() in NOT_A_NUMBER else float(part.replace(",", "."))


def _numbered_points(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points of lines `number x y z`, by their numbers from 1."""
    if table.ndim != 2 or table.shape[1] != 4 or sorted(table[:, 0]) != list(range(1, len(table) + 1)):
        raise ValueError("lines `number x y z` expected, numbered from 1, each number once")
    return table[np.argsort(table[:, 0]), 1:]


def _picked_points(text: str, counts: tuple[int, ...]) -> NDArray[np.float64]:
    """MeshLab's picked points in their order; inactive ones, and those that numbered names skip, are NaN."""
    points = list(ElementTree.fromstring(text).iter("point"))
    values = np.full((len(points), 3), np.nan)
    for row, point in enumerate(points):
        if missing := [axis for axis in "xyz" if axis not in point.attrib]:
            raise ValueError(f"point {row + 1} has no {missing[0]}")
        if point.get("active", "1").strip().lower() not in {"0", "false"}:
            values[row] = [float(point.attrib[axis]) for axis in "xyz"]
    numbers = [int(name) for point in points if (name := point.get("name", "")).isdecimal()]
    if len(numbers) < len(points) or len(set(numbers)) < len(numbers) or not numbers:
        return values
    if sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers))):
        return values  # none is missing: their order counts, whatever they are called
    return _at_their_numbers(
        values, numbers, counts, "named", "pick all, and make those inactive that are not to be used"
    )


def _at_their_numbers(
    values: NDArray[np.float64], numbers: list[int], counts: tuple[int, ...], called: str, remedy: str
) -> NDArray[np.float64]:
    """A list of which some points were left out, as long as the one of `counts` that it can have been.

    Args:
        values: [N, D], of the points that are there.
        numbers: of each, from 0 or 1.
        counts: how long the whole list may be.
        called: how the numbers came.
        remedy: what to do where they do not tell.

    Raises:
        ValueError: if the list could have been as long as several, or as none.
    """
    meant = {(count, first) for count in counts for first in (0, 1) if _spans(numbers, count, first)}
    if len(meant) != 1:
        shown = ", ".join(map(str, sorted(numbers)))
        raise ValueError(f"points {called} {shown} do not tell which are missing; {remedy}")
    ((count, first),) = meant
    placed = np.full((count, values.shape[1]), np.nan)
    placed[np.array(numbers) - first] = values
    return placed


def _spans(numbers: list[int], count: int, first: int) -> bool:
    return min(numbers) >= first and max(numbers) == first + count - 1
