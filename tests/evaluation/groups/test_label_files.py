from pathlib import Path
from unicodedata import normalize

import pytest

from evaluation.groups.label_files import LabelFile, Named, matched, name_of, read_labels

ITEMS = Named(["Ann", "Ann", "Bob"], ["Ann/Ann_0001", "Ann/Ann_0002", "Bob/Bob_0001"])


def written(folder: Path, text: str) -> Path:
    file = folder / "labels.csv"
    file.write_text(text, encoding="utf-8")
    return file


def labels(folder: Path, text: str, *columns: str) -> LabelFile:
    return read_labels(written(folder, text), columns)


def test_labels_are_read_by_name(tmp_path: Path) -> None:
    file = labels(tmp_path, "name,sex, age\nAnn,female,31\n\nBob,,40\n")
    assert file.labels == {"sex": {"Ann": "female", "Bob": ""}, "age": {"Ann": "31", "Bob": "40"}}
    assert file.names == ["Ann", "Bob"]


def test_some_columns_may_be_chosen(tmp_path: Path) -> None:
    assert list(labels(tmp_path, "name,sex,age\nAnn,f,31\n", "age").labels) == ["age"]


def test_a_mark_of_utf8_and_quotes_are_understood(tmp_path: Path) -> None:
    file = labels(tmp_path, '\ufeffname,sex\n"Ann","f"\n')
    assert file.labels == {"sex": {"Ann": "f"}}


@pytest.mark.parametrize(
    "content",
    [
        b"name;sex;note\r\nAnn;f;a, b\r\n",
        b'name\tsex\tnote\nAnn\tf\t"a, b"\n',
        'name,sex,note\nAnn,f,"a, b"\n'.encode("utf-16"),
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    assert read_labels(tmp_path / "labels.csv").labels == {"sex": {"Ann": "f"}, "note": {"Ann": "a, b"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no labels; expected a header such as name,sex,age and a line for each person"),
        ("name,sex\n\n", "holds no labels"),
        ("name\nAnn\n", "must be a name and labels that differ, such as name,sex,age; got name"),
        ("name,sex,sex\nAnn,f,f\n", "labels that differ, .* got name,sex,sex"),
        ("name,sex\nAnn,f\n\nBob\n", "line 4 of .*labels.csv must be a name and 1 labels, .* got Bob"),
        ("name,sex\n,f\n", "line 2 of .*labels.csv must be a name"),
        ("name,sex\nAnn,f\nBob,m\nAnn,f\n", "names Ann more than once; keep one line"),
        ("name,sex\na/Ann/1.jpg,f\nb/Ann/1.png,m\n", "names Ann/1 more than once"),
    ],
)
def test_what_is_no_table_of_labels_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels(tmp_path, text)


def test_an_unknown_column_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no column 'race' of labels; it has sex, age"):
        labels(tmp_path, "name,sex,age\nAnn,f,31\n", "race")


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"absent\.csv is no file; give a CSV file of labels, or skin-"
    ):
        read_labels(tmp_path / "absent.csv")
    (tmp_path / "x.csv").write_bytes(b"name,sex\nAnn,\xff\xfe\n")
    with pytest.raises(ValueError, match=r"x\.csv is no CSV file in UTF-8"):
        read_labels(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("cell", "name"),
    [("Ann ", "Ann"), ("lfw/Ann/Ann_0001.jpg", "Ann/Ann_0001"), ("Ann\\Ann_0001.PNG", "Ann/Ann_0001"),
     ("Ann_0001.jpg", "Ann_0001"), ("J. R. Smith", "J. R. Smith")],
)  # fmt: skip
def test_a_path_is_named_by_its_end(cell: str, name: str) -> None:
    assert name_of(cell) == name


def test_people_and_photographs_get_their_labels_photographs_first(tmp_path: Path) -> None:
    file = labels(tmp_path, "name,sex\nAnn,female\nlfw/Ann/Ann_0002.jpg,hidden\nEve,female\n")
    found = matched(file, ITEMS, "lfw:DIR")
    assert found.labels == {"sex": ["female", "hidden", ""]}
    assert found.used == ["Ann", "Ann/Ann_0002"]
    assert found.unknown == ["Eve"]


def test_a_name_is_found_however_its_accents_are_written(tmp_path: Path) -> None:
    file = labels(tmp_path, f"name,sex\n{normalize('NFC', 'Müller')},f\n")
    items = Named([normalize("NFD", "Müller")], [normalize("NFD", "Müller/1")])
    assert matched(file, items, "x").labels == {"sex": ["f"]}


def test_a_photograph_s_last_part_is_enough_where_it_fits_one(tmp_path: Path) -> None:
    file = labels(tmp_path, "name,sex\nAnn_0001.jpg,f\n")
    assert matched(file, ITEMS, "x").labels == {"sex": ["f", "", ""]}
    two = Named(["Ann", "Bob"], ["Ann/1", "Bob/1"])
    with pytest.raises(ValueError, match="none of the 1 names"):
        matched(labels(tmp_path, "name,sex\n1.jpg,f\n"), two, "x")


def test_names_that_are_nobody_s_are_refused_with_an_example(tmp_path: Path) -> None:
    file = labels(tmp_path, "name,sex\nEve,f\nMax,m\n")
    message = "none of the 2 names in .* is a person or photograph of lfw:D; expected .* Ann or Ann/Ann_0001"
    with pytest.raises(ValueError, match=message):
        matched(file, ITEMS, "lfw:D")
