from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from datamodules.long_work.row_files import RowFiles
from datamodules.long_work.shared_rows import SharedRows, blocks_of
from datamodules.long_work.shares import Share

COUNT, BLOCK = 11, 3
SHARES = [Share(number, 2) for number in (1, 2)]


class Work:
    """Rows that tell by whom and in which company they were made."""

    def __init__(self, folder: Path, *, whose: int = 0, fail_at: int | None = None) -> None:
        self.files = RowFiles(folder, {"values": np.dtype((np.float32, 2))}, numbers=("values",))
        self.whose, self.fail_at = whose, fail_at
        self.made: list[range] = []
        self.shared = SharedRows(self.files, np.arange(COUNT), blocks_of(COUNT, BLOCK), self.make)

    def make(self, blocks: Sequence[range]) -> Iterator[dict[str, np.ndarray]]:
        for block in blocks:
            if block.start == self.fail_at:
                raise KeyboardInterrupt
            self.made.append(block)
            yield {"values": np.array([[key + 1, len(block)] for key in block], np.float32)}

    def whole(self) -> np.ndarray:
        with self.files.appending() as append:
            self.shared.append(append, lambda count: None)
        self.shared.forget(lambda keys: bool((keys < len(self.files)).all()))
        return np.array(self.files.column("values"))

    def share(self, share: Share) -> list[range]:
        self.shared.make_share(share, lambda count: None)
        return self.made


@pytest.fixture
def alone(tmp_path: Path) -> np.ndarray:
    return Work(tmp_path / "alone").whole()


def test_what_shares_make_is_what_one_process_makes(tmp_path: Path, alone: np.ndarray) -> None:
    assert Work(tmp_path).share(SHARES[1]) == [range(3, 6), range(9, 11)]
    assert not Work(tmp_path).shared.is_complete
    assert Work(tmp_path).share(SHARES[0]) == [range(3), range(6, 9)]
    work = Work(tmp_path)
    assert work.shared.is_complete
    np.testing.assert_array_equal(work.whole(), alone)
    assert work.made == []
    assert not list(tmp_path.glob("shares/*/*.bin"))


def test_a_share_that_was_stopped_goes_on_where_it_was(tmp_path: Path, alone: np.ndarray) -> None:
    with pytest.raises(KeyboardInterrupt):
        Work(tmp_path, fail_at=9).share(SHARES[1])
    # Of a block that was cut off, nothing counts.
    file = tmp_path / "shares" / "2-of-2" / "values.bin"
    file.write_bytes(file.read_bytes()[:-1])
    assert Work(tmp_path).share(SHARES[1]) == [range(3, 6), range(9, 11)]
    assert Work(tmp_path).share(SHARES[1]) == []
    np.testing.assert_array_equal(Work(tmp_path).whole(), alone)


def test_what_no_share_has_made_is_made_when_they_are_put_together(tmp_path: Path, alone: np.ndarray) -> None:
    Work(tmp_path).share(SHARES[1])
    work = Work(tmp_path)
    np.testing.assert_array_equal(work.whole(), alone)
    assert work.made == [range(3), range(6, 9)]


def test_what_a_share_made_and_was_damaged_is_made_anew(tmp_path: Path, alone: np.ndarray) -> None:
    Work(tmp_path).share(SHARES[0])
    Work(tmp_path).share(SHARES[1])
    file = tmp_path / "shares" / "2-of-2" / "values.bin"
    file.write_bytes(b"\1" + file.read_bytes()[1:])
    work = Work(tmp_path)
    np.testing.assert_array_equal(work.whole(), alone)
    assert work.made == [range(3, 6), range(9, 11)]


def test_the_files_of_a_share_at_work_are_left(tmp_path: Path) -> None:
    Work(tmp_path).share(SHARES[1])
    with FileLock(tmp_path / "shares" / "2-of-2" / "lock"):
        Work(tmp_path).whole()
    assert len(list(tmp_path.glob("shares/2-of-2/*.bin"))) == 3


def test_what_a_share_made_beyond_is_kept(tmp_path: Path) -> None:
    Work(tmp_path).share(SHARES[1])
    work = Work(tmp_path)
    with work.files.appending() as append:
        append(values=np.ones((5, 2), np.float32))
    work.shared.forget(lambda keys: bool((keys < len(work.files)).all()))
    assert len(list(tmp_path.glob("shares/2-of-2/*.bin"))) == 3
