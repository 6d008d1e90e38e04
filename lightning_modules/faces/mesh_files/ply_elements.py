"""The elements of a PLY file as columns: header, text and binary of either byte order.

Libraries drop vertices or renumber them at texture seams (trimesh), read neither triangle strips nor polygons
of several sizes in binary files, or fill what is missing with zeros; hence our own. A test holds it against
trimesh and Open3D.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.plain.quotations import shortened

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "int64": "i8", "uint64": "u8",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_HEADER = re.compile(
    rb"\s*ply[ \t]*(\r\n|\n|\r)(.*?)(?:\r\n|\n|\r)end_header[ \t]*(?:\1|\r\n|\n|\r|\Z)", re.DOTALL
)
LONGEST_HEADER = 1 << 20


class Property(NamedTuple):
    """A property: its name in small letters, its type, and of its list's length, if it is one."""

    name: str
    kind: str
    length: str | None


class Element(NamedTuple):
    """What the header declares of one kind of element."""

    name: str
    total: int
    properties: tuple[Property, ...]


class Lists(NamedTuple):
    """A list property of N elements: the length of each [N], and all values in a row."""

    lengths: NDArray[np.int64]
    values: NDArray


class ElementColumns(NamedTuple):
    """The elements of one kind: how many, their numbers [N] and their lists by property."""

    total: int
    numbers: dict[str, NDArray]
    lists: dict[str, Lists]


def read_elements(path: Path, wanted: Sequence[str]) -> dict[str, ElementColumns]:
    """The wanted kinds of elements of a PLY file; the others are stepped over.

    Raises:
        ValueError: naming the file and the element, if it is no PLY file, or ends early.
    """
    content = path.read_bytes()
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    found = _HEADER.match(content[:LONGEST_HEADER])
    if found is None:
        raise ValueError(
            f"{path} cannot be read as PLY: it does not begin with a PLY header; export it again"
        )
    order, elements = _declared(path, found[2].decode("utf-8", errors="replace"))
    body = content[found.end() :]
    least = sum(element.total * _least_bytes(element, text=order == "") for element in elements)
    if least > len(body):
        raise ValueError(
            f"{path} is truncated: it declares {_counted(elements)}, which take {least:,} bytes or more, but "
            f"{len(body):,} follow its header; export the mesh again"
        )
    if order:
        return _Binary(path, body, order).columns(elements, wanted)
    first_line = content[: found.end()].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    return _text_columns(path, body, first_line, elements, wanted)


# ---------------------------------------------------------------------- header


def _declared(path: Path, header: str) -> tuple[str, list[Element]]:
    """Byte order, empty for text, and the elements."""
    order, elements = None, []
    for number, line in enumerate(header.splitlines(), 2):
        words = line.split()
        try:
            match words:
                case [] | ["comment" | "obj_info", *_]:
                    pass
                case ["format", form, *_]:
                    order = _ORDERS[form]
                case ["element", name, count]:
                    elements.append(Element(name, int(count), ()))
                case ["property", "list", length, kind, name]:
                    elements[-1] = _with(elements[-1], Property(name.lower(), _TYPES[kind], _TYPES[length]))
                case ["property", kind, name]:
                    elements[-1] = _with(elements[-1], Property(name.lower(), _TYPES[kind], None))
                case _:
                    raise ValueError
            if elements and elements[-1].total < 0:
                raise ValueError
        except (KeyError, IndexError, ValueError):
            raise ValueError(
                f"{path} cannot be read as PLY, line {number}: {line.strip()!r} belongs into no header; "
                "export the mesh again"
            ) from None
    if order is None:
        raise ValueError(f"{path} cannot be read as PLY: its header names no format; export the mesh again")
    return order, elements


def _with(element: Element, added: Property) -> Element:
    return element._replace(properties=(*element.properties, added))


def _least_bytes(element: Element, *, text: bool) -> int:
    """Of one element; in text a figure and a blank for each number."""
    if text:
        return max(2 * len(element.properties) - 1, 0)
    return sum(np.dtype(each.length or each.kind).itemsize for each in element.properties)


def _counted(elements: Sequence[Element]) -> str:
    return " and ".join(f"{element.total:,} of {element.name}" for element in elements) or "nothing"


# ---------------------------------------------------------------------- binary


class _Binary:
    """Reads elements one kind after the other."""

    def __init__(self, path: Path, body: bytes, order: str) -> None:
        self.path, self.body, self.order, self.place = path, body, order, 0

    def columns(self, elements: Sequence[Element], wanted: Sequence[str]) -> dict[str, ElementColumns]:
        found = {}
        for element in elements:
            columns = self._even(element) or self._uneven(element)
            if element.name in wanted:
                found[element.name] = columns
        return found

    def _even(self, element: Element) -> ElementColumns | None:
        """Elements that all have lists of the first one's lengths; None where they have not."""
        if not element.total or not element.properties:
            return ElementColumns(element.total, {}, {})
        lengths = self._lengths_at(element, self.place)
        fields: list[tuple] = []
        for number, (each, length) in enumerate(zip(element.properties, lengths, strict=True)):
            if each.length is not None:
                fields.append((f"length {number}", self.order + each.length))
            fields.append(
                (f"value {number}", self.order + each.kind, () if each.length is None else (length,))
            )
        kind = np.dtype(fields)
        end = self.place + kind.itemsize * element.total
        if end > len(self.body):
            return None
        rows = np.frombuffer(self.body, kind, element.total, self.place)
        numbers, lists = {}, {}
        for number, (each, length) in enumerate(zip(element.properties, lengths, strict=True)):
            values = rows[f"value {number}"]
            if each.length is None:
                numbers[each.name] = values
            elif (rows[f"length {number}"] == length).all():
                lists[each.name] = Lists(np.full(element.total, length, np.int64), values.reshape(-1))
            else:
                return None
        self.place = end
        return ElementColumns(element.total, numbers, lists)

    def _lengths_at(self, element: Element, place: int) -> list[int]:
        """The length of each list of the element that begins there; 1 for what is no list."""
        lengths = []
        for each in element.properties:
            length = 1
            if each.length is not None:
                length = self._integer(element, each.length, place, 0)
                place += np.dtype(each.length).itemsize
            lengths.append(length)
            place += length * np.dtype(each.kind).itemsize
        return lengths

    def _integer(self, element: Element, kind: str, place: int, number: int) -> int:
        size = np.dtype(kind).itemsize
        taken = self.body[place : place + size]
        if len(taken) < size:
            raise self._truncated(element, number)
        if kind[0] == "f":
            value = float(np.frombuffer(taken, self.order + kind)[0])
            length = int(value) if value == value and abs(value) < len(self.body) else -1
        else:
            length = int.from_bytes(taken, "big" if self.order == ">" else "little", signed=kind[0] == "i")
        if not 0 <= length <= len(self.body):
            raise ValueError(
                f"{self.path}: {element.name} {number + 1} of {element.total} (from 1) has a list of "
                "impossible length; export the mesh again"
            )
        return length

    def _uneven(self, element: Element) -> ElementColumns:
        """Elements whose lists differ in length, one after the other."""
        sizes = [np.dtype(each.kind).itemsize for each in element.properties]
        parts: list[list[bytes]] = [[] for _ in element.properties]
        lengths: list[list[int]] = [[] for _ in element.properties]
        place = self.place
        for number in range(element.total):
            for column, each in enumerate(element.properties):
                length = 1
                if each.length is not None:
                    length = self._integer(element, each.length, place, number)
                    lengths[column].append(length)
                    place += np.dtype(each.length).itemsize
                end = place + length * sizes[column]
                if end > len(self.body):
                    raise self._truncated(element, number)
                parts[column].append(self.body[place:end])
                place = end
        self.place = place
        numbers, lists = {}, {}
        for column, each in enumerate(element.properties):
            values = np.frombuffer(b"".join(parts[column]), self.order + each.kind)
            if each.length is None:
                numbers[each.name] = values
            else:
                lists[each.name] = Lists(np.array(lengths[column], np.int64), values)
        return ElementColumns(element.total, numbers, lists)

    def _truncated(self, element: Element, number: int) -> ValueError:
        return ValueError(
            f"{self.path} is truncated: it ends within {element.name} {number + 1} of {element.total} "
            "(from 1); export the mesh again"
        )


# ---------------------------------------------------------------------- text


class _Line(NamedTuple):
    """A line's number and words."""

    number: int
    words: list[bytes]


def _text_columns(
    path: Path, body: bytes, first_line: int, elements: Sequence[Element], wanted: Sequence[str]
) -> dict[str, ElementColumns]:
    text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = [
        (number, line)
        for number, line in enumerate(text.split(b"\n"), first_line)
        if line and not line.isspace() and not line.startswith((b"comment", b"obj_info"))
    ]
    found, start = {}, 0
    for element in elements:
        count = element.total if element.properties else 0
        rows = lines[start : start + count]
        if len(rows) < count:
            raise ValueError(
                f"{path} is truncated: it ends after {len(rows)} of {count} of {element.name}; "
                "export the mesh again"
            )
        if element.name in wanted:
            even = _columns_of_even_lines(element, [line for _, line in rows])
            found[element.name] = even or _columns_of_lines(
                path, element, [_Line(number, line.split()) for number, line in rows]
            )
        start += count
    return found


def _columns_of_lines(path: Path, element: Element, rows: Sequence[_Line]) -> ElementColumns:
    """Numbers before the first list in one go, the rest line by line."""
    single = next(
        (n for n, each in enumerate(element.properties) if each.length is not None), len(element.properties)
    )
    numbers: dict[str, NDArray] = {}
    for column, each in enumerate(element.properties[:single]):
        try:
            words = [row.words[column] for row in rows]
        except IndexError:
            raise _bad_line(path, element, next(row for row in rows if len(row.words) <= column)) from None
        numbers[each.name] = _parsed(path, element, rows, words, each.kind)
    if single == len(element.properties):
        return ElementColumns(element.total, numbers, {})
    places = [single] * len(rows)
    lists: dict[str, Lists] = {}
    for each in element.properties[single:]:
        if each.length is None:
            words = [_at(path, element, row, place) for row, place in zip(rows, places, strict=True)]
            numbers[each.name] = _parsed(path, element, rows, words, each.kind)
            places = [place + 1 for place in places]
            continue
        taken: list[bytes] = []
        lengths = []
        for index, (row, place) in enumerate(zip(rows, places, strict=True)):
            word = _at(path, element, row, place)
            if not word.isdigit() or place + 1 + int(word) > len(row.words):
                raise _bad_line(path, element, row)
            places[index] = end = place + 1 + int(word)
            lengths.append(end - place - 1)
            taken += row.words[place + 1 : end]
        owners = [row for row, length in zip(rows, lengths, strict=True) for _ in range(length)]
        lists[each.name] = Lists(
            np.array(lengths, np.int64), _parsed(path, element, owners, taken, each.kind)
        )
    return ElementColumns(element.total, numbers, lists)


def _columns_of_even_lines(element: Element, lines: Sequence[bytes]) -> ElementColumns | None:
    """Lines of numbers that all have lists of the first one's lengths; None of others."""
    width = len(lines[0].split()) if lines else 0
    if not width or any(len(line.split()) != width for line in lines):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # that a word is no number
            values = np.fromstring(b" ".join(lines).decode("ascii"), np.float64, sep=" ").reshape(-1, width)
    except (ValueError, DeprecationWarning):
        return None
    if len(values) != len(lines):
        return None
    numbers, lists, place = {}, {}, 0
    for each in element.properties:
        length = 1
        if each.length is not None:
            if place >= values.shape[1] or not (values[:, place] == values[0, place]).all():
                return None
            length, place = int(max(np.nan_to_num(values[0, place]), 0)), place + 1
        part = values[:, place : place + length]
        if part.shape[1] < length or (each.kind[0] != "f" and not (np.floor(part) == part).all()):
            return None
        part = part if each.kind[0] == "f" else part.astype(np.int64)
        if each.length is None:
            numbers[each.name] = part[:, 0]
        else:
            lists[each.name] = Lists(np.full(element.total, length, np.int64), part.reshape(-1))
        place += length
    return ElementColumns(element.total, numbers, lists)


def _at(path: Path, element: Element, row: _Line, place: int) -> bytes:
    if place >= len(row.words):
        raise _bad_line(path, element, row)
    return row.words[place]


def _parsed(
    path: Path, element: Element, rows: Sequence[_Line], words: Sequence[bytes], kind: str
) -> NDArray:
    """Words as numbers of a type; a float that is none is NaN, as nobody may need it."""
    if kind[0] == "f":
        try:
            return np.array(words, dtype=np.float64)
        except ValueError:
            return np.array([_float_or_nan(word) for word in words])
    try:
        return np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError):
        for row, word in zip(rows, words, strict=True):
            try:
                # Some programs write whole numbers as 12.0.
                if not float(word).is_integer() or abs(float(word)) > 2**53:
                    raise ValueError
            except (ValueError, OverflowError):
                raise _bad_line(path, element, row) from None
        return np.array([float(word) for word in words]).astype(np.int64)


def _float_or_nan(word: bytes) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def _bad_line(path: Path, element: Element, row: _Line) -> ValueError:
    text = b" ".join(row.words[:8]).decode("utf-8", errors="replace")
    return ValueError(
        f"{path}, line {row.number}: {shortened(text)!r} is no {element.name} as the header declares it; "
        "export the mesh again"
    )
