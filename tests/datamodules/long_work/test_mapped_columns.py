import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from datamodules.long_work import mapped_columns
from datamodules.long_work.mapped_columns import in_parts, parts_of, pieces, taken
from datamodules.long_work.row_files import places_of

STATUS = Path("/proc/self/status")


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_columns, "AT_ONCE", 7)
    monkeypatch.setattr(mapped_columns, "PER_PART", 10)


def keys_of(count: int, seed: int = 0) -> np.ndarray:
    return np.frombuffer(np.random.default_rng(seed).bytes(33 * count), "S33")


def test_pieces_cover_every_row_once(few_at_once: None) -> None:
    column = np.arange(23)
    assert [(start, len(piece)) for start, piece in pieces(column)] == [(0, 7), (7, 7), (14, 7), (21, 2)]
    assert np.concatenate([piece for _, piece in pieces(column)]).tolist() == column.tolist()
    assert list(pieces(column[:0])) == []


@pytest.mark.parametrize("parts", [1, 2, 7, 256])
def test_parts_one_after_the_other_are_the_whole_in_order(few_at_once: None, parts: int) -> None:
    keys = keys_of(100)
    places, rows = zip(*in_parts(keys, parts), strict=True)
    assert len(rows) == parts
    assert sorted(np.concatenate(places).tolist()) == list(range(100))
    for where, what in zip(places, rows, strict=True):
        assert what.tolist() == keys[where].tolist()
        assert (np.diff(where) > 0).all()
    assert np.concatenate([np.sort(part) for part in rows]).tolist() == np.sort(keys).tolist()


def test_there_are_no_more_parts_than_first_bytes() -> None:
    assert (parts_of(0), parts_of(10**5), parts_of(10**12)) == (1, 1, 256)


def test_rows_are_taken_in_any_order(few_at_once: None) -> None:
    table = np.arange(60).reshape(30, 2)
    places = np.array([29, 3, 3, 0, 14])
    np.testing.assert_array_equal(taken(table, places), table[places])
    assert taken(table, places[:0]).shape == (0, 2)


def test_what_is_mapped_from_a_file_is_taken_as_it_is(few_at_once: None, tmp_path: Path) -> None:
    np.save(tmp_path / "keys.npy", keys_of(50))
    mapped = np.load(tmp_path / "keys.npy", mmap_mode="r")
    assert np.concatenate([piece for _, piece in pieces(mapped)]).tolist() == keys_of(50).tolist()
    assert taken(np.asarray(mapped), np.arange(50)[::-1]).tolist() == keys_of(50)[::-1].tolist()


def test_what_was_written_to_a_private_mapping_is_kept(few_at_once: None, tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.zeros(50))
    private = np.load(tmp_path / "numbers.npy", mmap_mode="c")
    private[:] = 1
    assert sum(piece.sum() for _, piece in pieces(private)) == 50
    assert private.sum() == 50


def mapped_megabytes() -> float:
    (line,) = (line for line in STATUS.read_text().splitlines() if "RssFile" in line)
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not STATUS.exists(), reason="reads Linux's account of a process's memory")
def test_pages_that_were_passed_are_let_go(tmp_path: Path) -> None:
    (tmp_path / "numbers.bin").write_bytes(bytes(64 * 2**20))
    numbers = np.memmap(tmp_path / "numbers.bin", np.uint64, "r")
    before = mapped_megabytes()
    assert sum(int(piece.sum()) for _, piece in pieces(numbers)) == 0
    assert mapped_megabytes() < before + 8
    assert int(numbers.sum()) == 0  # whereas one pass over the whole maps all of it
    assert mapped_megabytes() > before + 48


def test_many_keys_are_found_in_a_fraction_of_their_memory(tmp_path: Path) -> None:
    count = 600_000
    keys_of(count).tofile(tmp_path / "keys.bin")
    known = np.memmap(tmp_path / "keys.bin", "S33", "r")
    order = np.random.default_rng(1).permutation(count)
    keys = known[order]
    tracemalloc.start()
    try:
        places = places_of(keys, known)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (places == order).all()
    assert peak - places.nbytes < 1.5 * keys.nbytes  # sorting them at once takes 3.3 times as much as they do
