import os
from pathlib import Path

import numpy as np
import pytest

from datamodules.long_work import mapped_columns, row_files
from datamodules.long_work.row_files import RowFiles, places_of

COLUMNS = {"number": np.dtype((np.float32, 2)), "key": np.dtype("S3")}


def rows(first: int, count: int) -> dict[str, np.ndarray]:
    numbers = np.arange(first, first + count)
    return {"number": np.stack([numbers, -numbers], 1), "key": np.char.mod("k%02d", numbers).astype("S3")}


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    files = RowFiles(tmp_path / "rows", COLUMNS)
    assert len(files) == 0
    assert files.column("number").shape == (0, 2)
    with files.appending() as append:
        append(**rows(0, 3))
        append(**rows(3, 2))
    again = RowFiles(tmp_path / "rows", COLUMNS)
    assert len(files) == len(again) == 5
    np.testing.assert_array_equal(again.column("number"), rows(0, 5)["number"])
    assert again.column("key").tolist() == rows(0, 5)["key"].tolist()


def test_rows_of_another_shape_or_number_are_refused_whole(tmp_path: Path) -> None:
    files = RowFiles(tmp_path, COLUMNS)
    with files.appending() as append:
        append(**rows(0, 3))
        with pytest.raises(ValueError, match=r"rows of key must be \[2\], got \[1\]"):
            append(number=rows(0, 2)["number"], key=rows(0, 1)["key"])
        with pytest.raises(ValueError, match=r"rows of number must be \[2, 2\], got \[2, 3\]"):
            append(number=np.zeros((2, 3)), key=rows(0, 2)["key"])
        append(**rows(3, 1))
    np.testing.assert_array_equal(files.column("number"), rows(0, 4)["number"])


def test_rows_are_mapped_not_loaded(tmp_path: Path) -> None:
    files = RowFiles(tmp_path, COLUMNS)
    with files.appending() as append:
        append(**rows(0, 3))
    assert isinstance(files.column("number"), np.memmap)


@pytest.mark.parametrize("torn", ["number", "key"])
def test_half_written_rows_do_not_count_and_are_cut(tmp_path: Path, torn: str) -> None:
    files = RowFiles(tmp_path, COLUMNS)
    with files.appending() as append:
        append(**rows(0, 4))
    file = tmp_path / f"{torn}.bin"
    file.write_bytes(file.read_bytes()[:-1])
    mended = RowFiles(tmp_path, COLUMNS)
    assert len(mended) == 3
    with mended.appending() as append:
        append(**rows(3, 2))
    np.testing.assert_array_equal(mended.column("number"), rows(0, 5)["number"])
    assert mended.column("key").tolist() == rows(0, 5)["key"].tolist()


def test_another_process_s_rows_are_seen_after_a_refresh(tmp_path: Path) -> None:
    reader, writer = RowFiles(tmp_path, COLUMNS), RowFiles(tmp_path, COLUMNS)
    with writer.appending() as append:
        append(**rows(0, 2))
    assert len(reader) == 0
    reader.refresh()
    assert len(reader) == 2


CHECKED = {"features": np.dtype((np.float32, 4)), "key": np.dtype("S3")}


def checked(folder: Path, first: int = 1, count: int = 5) -> RowFiles:
    """Rows without zeros, appended."""
    files = RowFiles(folder, CHECKED, numbers=("features",))
    values = np.arange(first, first + count, dtype=np.float32)
    with files.appending() as append:
        append(features=np.repeat(values[:, None], 4, 1), key=np.char.mod("k%02d", values).astype("S3"))
    return files


@pytest.mark.parametrize(("name", "place", "row"), [("features", 37, 2), ("key", 4, 1), ("checks", 9, 2)])
def test_a_changed_byte_is_seen_put_aside_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture, name: str, place: int, row: int
) -> None:
    assert checked(tmp_path).damage() == ""
    file = tmp_path / f"{name}.bin"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    again = RowFiles(tmp_path, CHECKED, numbers=("features",))
    assert again.damage() == f"row {row} is not what was written"
    assert len(checked(tmp_path, count=2)) == 2
    assert "was damaged (row " in capsys.readouterr().err
    assert (tmp_path / f"{name}.bin.damaged").read_bytes() == content


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_rows_that_no_network_gives_are_neither_taken_nor_written(tmp_path: Path, value: float) -> None:
    files = checked(tmp_path)
    with (
        files.appending() as append,
        pytest.raises(ValueError, match=r"features holds .*; nothing was"),
    ):
        append(features=np.full((1, 4), value), key=np.array([b"bad"]))
    assert len(files) == 5
    # What an older version kept has no check sums.
    (tmp_path / "checks.bin").unlink()
    old = RowFiles(tmp_path, CHECKED, numbers=("features",))
    assert old.damage() == ""
    np.full(20, value, np.float32).tofile(tmp_path / "features.bin")
    assert RowFiles(tmp_path, CHECKED, numbers=("features",)).damage() != ""


def test_rows_of_an_older_version_get_check_sums_when_others_are_appended(tmp_path: Path) -> None:
    checked(tmp_path)
    (tmp_path / "checks.bin").unlink()
    assert len(checked(tmp_path, first=6, count=2)) == 7
    files = RowFiles(tmp_path, CHECKED)
    assert (len(files), files.damage()) == (7, "")
    assert files.column("features")[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    assert len(RowFiles(tmp_path / "none", CHECKED)) == 0
    assert not (tmp_path / "none").exists()


def aged(folder: Path, seconds: int = 10) -> None:
    """Written some seconds ago."""
    for file in folder.glob("*.bin"):
        state = file.stat()
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns - seconds * 10**9))


def test_rows_are_checked_again_only_when_a_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RowFiles(tmp_path, COLUMNS)
    with files.appending() as append:
        append(**rows(0, 4))
    aged(tmp_path)
    assert files.damage() == ""
    with monkeypatch.context() as patched:
        patched.setattr(RowFiles, "_damage", lambda _: pytest.fail("read all rows again"))
        assert RowFiles(tmp_path, COLUMNS).damage() == ""
    content = bytearray((tmp_path / "number.bin").read_bytes())
    content[9] ^= 1
    (tmp_path / "number.bin").write_bytes(content)
    assert "row 1 is not what was written" in RowFiles(tmp_path, COLUMNS).damage()


def test_a_file_that_was_written_just_now_is_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RowFiles(tmp_path, COLUMNS)
    with files.appending() as append:
        append(**rows(0, 4))
    assert files.damage() == ""
    monkeypatch.setattr(RowFiles, "_damage", lambda _: "read again")
    assert files.damage() == "read again"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"states": {}, "at_ns": null}'])
def test_a_note_of_the_check_that_is_none_is_left_aside(tmp_path: Path, content: str) -> None:
    files = RowFiles(tmp_path, COLUMNS)
    with files.appending() as append:
        append(**rows(0, 2))
    (tmp_path / "checked.json").write_text(content)
    assert files.damage() == ""


@pytest.mark.parametrize("part", [40, 1_000_000])
@pytest.mark.parametrize(("wanted", "known"), [(0, 9), (9, 0), (3, 900), (900, 3), (50, 50)])
def test_keys_are_found_at_their_places_or_nowhere(
    wanted: int, known: int, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_columns, "PER_PART", part)
    chance = np.random.default_rng(wanted)
    keys = chance.integers(0, 1000, wanted).astype("S33")  # some of them twice
    have = chance.permutation(1000)[:known].astype("S33")
    place = {key: number for number, key in enumerate(have.tolist())}
    assert places_of(keys, have).tolist() == [place.get(key, -1) for key in keys.tolist()]


def test_keys_that_have_one_number_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "_numbers", lambda keys: np.zeros(len(keys), np.uint64))
    known = np.array([b"c", b"a", b"b"], "S9")
    keys = np.array([b"a", b"b", b"c", b"d", b"a"], "S9")
    assert places_of(keys, known).tolist() == [1, 2, 0, -1, 1]


def test_keys_that_differ_in_one_byte_have_different_numbers() -> None:
    keys = np.zeros((33 * 255 + 1, 33), np.uint8)
    for place in range(33):
        keys[1 + 255 * place : 1 + 255 * (place + 1), place] = np.arange(1, 256)
    assert len(np.unique(row_files._numbers(keys.view("S33")[:, 0]))) == len(keys)
