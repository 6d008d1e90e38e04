"""Records of photographs whose file was damaged within, or cannot take more."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from datamodules.alignment.crops import Quality
from datamodules.alignment.records import FaceRecord, FaceRecords, HashedFile, PhotographRecord

FACE = FaceRecord(np.arange(10.0).reshape(5, 2), Quality(*[0.5] * len(Quality._fields)))
DAMAGED = r"records\.sqlite is damaged \(.+\); delete it, and start the same command again"


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with FaceRecords(tmp_path / "records.sqlite") as records:
        records.add(
            [HashedFile(f"/photographs/{number}.jpg", 1, 1, digest(number)) for number in range(500)],
            [PhotographRecord(digest(number), 9, 9, None, [FACE]) for number in range(500)],
        )
    return tmp_path / "records.sqlite"


def read(file: Path, *, read_only: bool) -> list[FaceRecord]:
    with FaceRecords(file, read_only=read_only) as records:
        assert all(records.knows(digest(number)) for number in range(500))
        return [face for number in range(500) for face in records.faces(digest(number))]


def pages_lost(file: Path) -> None:
    """Those that are looked at on opening are left."""
    content = file.read_bytes()
    lost = len(content) // 5
    file.write_bytes(content[:-lost] + b"\xa5" * lost)


def short_points(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE faces SET points = x'00'")


def no_quality(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE faces SET quality = NULL")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("change", [pages_lost, short_points, no_quality])
def test_damage_within_is_one_sentence(file: Path, change: Callable[[Path], None], read_only: bool) -> None:
    np.testing.assert_array_equal(read(file, read_only=read_only)[-1].points, FACE.points)
    change(file)
    with pytest.raises(OSError, match=DAMAGED):
        read(file, read_only=read_only)


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as one " * 9])
def test_what_can_only_be_read_and_is_no_database_is_one_sentence(file: Path, content: bytes) -> None:
    """It is not made anew: the folder may be a group's."""
    file.write_bytes(content)
    with pytest.raises(OSError, match=DAMAGED):
        read(file, read_only=True)
    assert file.read_bytes() == content


def test_records_that_are_gone_are_one_sentence_where_they_can_only_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"records\.sqlite cannot be used \(unable to open database file\)"):
        read(tmp_path / "records.sqlite", read_only=True)


def test_a_disk_that_takes_no_more_is_one_sentence(file: Path) -> None:
    with FaceRecords(file) as records:
        records._connection.execute("PRAGMA max_page_count = 1")
        photographs = [PhotographRecord(digest(1000 + n), 9, 9, "x" * 900, []) for n in range(900)]
        with pytest.raises(OSError, match=r"cannot be used \(database or disk is full\); .* free some space"):
            records.add([], photographs)
    assert len(read(file, read_only=True)) == 500
