import codecs
import json
import pickle
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from lightning_modules.faces.landmarks.point_lists import file_of_suffix, read_point_list

POINTS = np.arange(21, dtype=float).reshape(7, 3) - 4.5
COUNTS = (68, 51, 7, 8)


def listed(path: Path, content: str | bytes) -> np.ndarray:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_point_list(path, COUNTS).values


def lines(separator: str, *, end: str = "\n", decimal: str = ".") -> str:
    rows = (separator.join(f"{x:g}".replace(".", decimal) for x in row) for row in POINTS)
    return end.join(rows) + end


@pytest.mark.parametrize(
    "content",
    [
        lines(" "),
        lines("  \t "),
        lines(","),
        lines(", ", end="\r\n"),
        lines(";", decimal=","),
        lines(",", end=",\n"),
        "# by hand\n\n" + lines(" "),
        "x,y,z\n" + lines(","),
        "index;z;X;y\n" + "".join(f"{n};{z:g};{x:g};{y:g}\n" for n, (x, y, z) in enumerate(POINTS)),
        '"x","y","z"\n' + lines(","),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".CSV"])
def test_tables_are_read_with_every_separator_and_header(tmp_path: Path, content: str, suffix: str) -> None:
    np.testing.assert_array_equal(listed(tmp_path / f"a{suffix}", content), POINTS)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
)
def test_byte_order_marks_are_no_part_of_a_list(tmp_path: Path, encode) -> None:  # noqa: ANN001
    np.testing.assert_array_equal(listed(tmp_path / "a.txt", encode(lines(" "))), POINTS)
    np.testing.assert_array_equal(listed(tmp_path / "a.json", encode(json.dumps(POINTS.tolist()))), POINTS)
    points = {"landmarks": {"points": POINTS.tolist()}}
    np.testing.assert_array_equal(listed(tmp_path / "a.LJSON", encode(json.dumps(points))), POINTS)


def test_a_first_point_that_was_not_marked_is_no_header(tmp_path: Path) -> None:
    # Of eight points without the first, seven would be left: NoW's, each in another's place.
    rows = listed(tmp_path / "a.txt", "nan nan nan\n" + lines(" "))
    assert rows.shape == (8, 3)
    assert np.isnan(rows[0]).all()
    np.testing.assert_array_equal(rows[1:], POINTS)


def test_pickled_arrays_are_refused_without_advice_to_load_them(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"points": 7}], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    for name in ("objects", "pickle"):
        with pytest.raises(ValueError, match=r"^it holds pickled objects, which are never loaded"):
            read_point_list(tmp_path / f"{name}.npy", COUNTS)


@pytest.mark.parametrize("name", ["id", "Index", "landmark", ""])
@pytest.mark.parametrize("first", [0, 1])
def test_a_column_of_numbers_says_which_point_a_line_is(tmp_path: Path, name: str, first: int) -> None:
    """In whatever order the lines stand, and where one of eight is missing, which is no list of seven."""
    rows = [f"{n + first},{x:g},{y:g},{z:g}\n" for n, (x, y, z) in enumerate(POINTS)]
    shuffled = "".join(rows[n] for n in (3, 0, 6, 1, 5, 2, 4))
    np.testing.assert_array_equal(listed(tmp_path / "a.csv", f"{name},x,y,z\n{shuffled}"), POINTS)
    eight = [
        *rows[:2],
        *(f"{n + 1 + first},{x:g},{y:g},{z:g}\n" for n, (x, y, z) in enumerate(POINTS) if n > 1),
    ]
    expected = np.insert(POINTS, 2, np.nan, axis=0)
    np.testing.assert_array_equal(listed(tmp_path / "a.csv", f"{name},x,y,z\n" + "".join(eight)), expected)
    ids = f"{name},x,y,z\n" + "".join(f"{9000 - n},{x:g},{y:g},{z:g}\n" for n, (x, y, z) in enumerate(POINTS))
    np.testing.assert_array_equal(listed(tmp_path / "a.csv", ids), POINTS)


def test_numbers_of_a_column_that_do_not_tell_what_is_missing_are_refused(tmp_path: Path) -> None:
    text = "id,x,y,z\n" + "".join(f"{n},0,0,0\n" for n in (0, 1, 3, 4))
    with pytest.raises(ValueError, match="points numbered 0, 1, 3, 4 do not tell which are missing"):
        listed(tmp_path / "a.csv", text)


@pytest.mark.parametrize("name", ["a.json", "a.ljson", "a.npy", "a.pp"])
def test_an_infinite_coordinate_is_refused(tmp_path: Path, name: str) -> None:
    points = POINTS.copy()
    points[2, 1] = np.inf
    contents = {
        "a.json": json.dumps(points.tolist()),
        "a.ljson": json.dumps({"version": 2, "labels": [], "landmarks": {"points": points.tolist()}}),
        "a.pp": "<PickedPoints>" + "".join(f'<point x="{x}" y="{y}" z="{z}"/>' for x, y, z in points)
        + "</PickedPoints>",
    }  # fmt: skip
    if name == "a.npy":
        np.save(tmp_path / name, points)
        content = (tmp_path / name).read_bytes()
    else:
        content = contents[name]
    with pytest.raises(ValueError, match="a number is infinite; leave out, or write as nan"):
        listed(tmp_path / name, content)


def test_what_is_left_out_of_a_table_is_not_known(tmp_path: Path) -> None:
    rows = listed(tmp_path / "a.csv", "1,2,3\n,,\nNaN,null,6\n")
    np.testing.assert_array_equal(rows, [[1, 2, 3], [np.nan] * 3, [np.nan, np.nan, 6]])
    np.testing.assert_array_equal(
        listed(tmp_path / "a.txt", "1\t2\t3\n\t\t6\n"), [[1, 2, 3], [np.nan, np.nan, 6]]
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "[null, [1, 2, 3], [4, 5, 6], null]"),
        ("a.txt", "nan\n1 2 3\n4 5 6\nnull\n"),
        ("a.csv", "-\n1,2,3\n4,5,6\nnone\n"),
    ],
)
def test_one_word_in_place_of_a_point_says_that_it_is_not_known(
    tmp_path: Path, name: str, content: str
) -> None:
    rows = listed(tmp_path / name, content)
    np.testing.assert_array_equal(rows, [[np.nan] * 3, [1, 2, 3], [4, 5, 6], [np.nan] * 3])


def test_one_number_a_line_or_all_in_one_line_are_ids(tmp_path: Path) -> None:
    assert listed(tmp_path / "a.txt", "5\n6\n7\n").tolist() == [5, 6, 7]
    assert listed(tmp_path / "a.txt", "5 6 7\n").tolist() == [5, 6, 7]
    assert listed(tmp_path / "a.csv", "vertex\n5\n6\n").tolist() == [5, 6]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "it holds no numbers"),
        ("a.csv", "x,y,z\n", "it holds no numbers"),
        ("a.csv", "1,2,3\n4,5\n", "line 2 has 2 numbers, line 1 has 3"),
        ("a.csv", "x,y,z\n4,5\n", "line 2 has not as many columns as the header"),
        ("a.txt", "1 2 3\n4 five 6\n", "line 2: 'five' is no number"),
        ("a.txt", b"\xff\xfe\x00", "is no text in utf-16"),
        ("a.txt", b"caf\xe9 1 2", r"is no text in utf-8 \(byte 3 is 0xe9\); save it as UTF-8"),
        ("a.json", "3", "a list or LJSON expected"),
        ("a.json", '["1", "2"]', "numbers or null expected"),
        ("a.json", "[[1, 2], 3]", "all points must have as many coordinates"),
        ("a.json", f"[{10**30}]", "numbers or null expected"),
        ("a.json", "[" * 100_000, "it is nested too deep"),
        ("a.npy", b"", "[Nn]o data left|EOF"),
        ("a.obj", "1", "unknown suffix '.obj'"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises((ValueError, EOFError), match=message):
        listed(tmp_path / name, content)


def test_an_array_that_claims_terabytes_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 3)))
    header = path.read_bytes().replace(b"(2, 3)", b"(2000000000000, 3)")[:128]
    with pytest.raises(ValueError, match="mmap length is greater than file size"):
        listed(path, header)
    np.save(path, np.array(["a", "b"]))
    with pytest.raises(ValueError, match="an array of numbers with one or two axes expected"):
        read_point_list(path, COUNTS)
    with path.open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    with pytest.raises(ValueError, match="an array of numbers"):
        read_point_list(path, COUNTS)


def test_a_large_file_is_no_list_of_landmarks(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(ValueError, match="1024 MB are no list of landmarks"):
        read_point_list(path, COUNTS)


def picked(names: list[int | str], *, inactive: tuple[int, ...] = ()) -> str:
    points = "".join(
        f'<point x="{row}" y="0" z="1" active="{int(row not in inactive)}" name="{name}"/>'
        for row, name in enumerate(names)
    )
    return f"<!DOCTYPE PickedPoints><PickedPoints>{points}</PickedPoints>"


def test_an_inactive_point_keeps_its_place(tmp_path: Path) -> None:
    points = listed(tmp_path / "a.pp", picked(list(range(8)), inactive=(2,)))
    assert points.shape == (8, 3)
    assert np.isnan(points[2]).all()
    assert points[3].tolist() == [3, 0, 1]
    said_in_words = picked(list(range(8)), inactive=(2,)).replace('active="0"', 'active="False"')
    assert np.isnan(listed(tmp_path / "b.pp", said_in_words)).any(1).nonzero()[0].tolist() == [2]


def test_a_picked_point_without_a_coordinate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="point 1 has no z"):
        listed(tmp_path / "a.pp", picked(list(range(8))).replace(' z="1"', "", 1))


def test_a_point_that_was_deleted_leaves_its_place_empty(tmp_path: Path) -> None:
    points = listed(tmp_path / "a.pp", picked([0, 1, 3, 4, 5, 6, 7]))
    assert points.shape == (8, 3)
    assert np.isnan(points).any(1).nonzero()[0].tolist() == [2]
    from_one = listed(tmp_path / "a.PP", picked([1, 2, 3, 5, 6, 8]))
    assert np.isnan(from_one).any(1).nonzero()[0].tolist() == [3, 6]


def test_names_that_are_no_numbers_leave_the_order(tmp_path: Path) -> None:
    assert listed(tmp_path / "a.pp", picked([*"abcdefg"]))[6].tolist() == [6, 0, 1]
    assert listed(tmp_path / "a.pp", picked([7, 6, 5, 4, 3, 2, 1, 0]))[0].tolist() == [0, 0, 1]


def test_numbers_that_do_not_tell_what_is_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="points named 2, 4, 9 do not tell which are missing; pick all"):
        listed(tmp_path / "a.pp", picked([2, 4, 9]))
    with pytest.raises(ValueError, match="do not tell which are missing"):
        listed(tmp_path / "a.pp", picked([1, 3, 4, 5, 6, 7]))  # seven from 1, or eight from 0


def test_a_file_is_found_in_small_letters_and_capitals_the_first_suffix_first(tmp_path: Path) -> None:
    stem = tmp_path / "ann.v2"
    assert file_of_suffix(stem, (".ljson", ".txt")) is None
    (tmp_path / "ann.v2.TXT").touch()
    assert file_of_suffix(stem, (".ljson", ".txt")) == tmp_path / "ann.v2.TXT"
    (tmp_path / "ann.v2.Ljson").touch()
    assert file_of_suffix(stem, (".ljson", ".txt")) == tmp_path / "ann.v2.Ljson"


@pytest.mark.parametrize(("on_disk", "asked_for"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_file_is_found_however_its_accents_are_written(
    tmp_path: Path, on_disk: str, asked_for: str
) -> None:
    (tmp_path / normalize(on_disk, "Müller.TXT")).touch()
    found = file_of_suffix(tmp_path / normalize(asked_for, "Müller"), (".ljson", ".txt"))
    assert found is not None
    assert found.is_file()
    assert file_of_suffix(tmp_path / "Möller", (".txt",)) is None
    assert file_of_suffix(tmp_path / "absent" / "Müller", (".txt",)) is None


def test_numbered_points_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "F1001_N.lnd"
    path.write_text("2 4 5 6\n1 1 2 3\n\n")
    np.testing.assert_array_equal(read_point_list(path, (7,)).values, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    "text", ["1 2 3\n", "1 1 2 3\n1 4 5 6\n", "1 1 2 3\n3 4 5 6\n", "0 1 2 3\n1 4 5 6\n"]
)
def test_numbers_that_repeat_or_skip_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.lnd").write_text(text)
    with pytest.raises(ValueError, match="numbered from 1, each number once"):
        read_point_list(tmp_path / "a.lnd", (7,))
