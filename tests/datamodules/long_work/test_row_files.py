from pathlib import Path

import numpy as np
import pytest

from datamodules.long_work.row_files import RowFiles

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
