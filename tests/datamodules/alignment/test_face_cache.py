import os
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from datamodules.alignment import face_cache
from datamodules.alignment.crops import align
from datamodules.alignment.face_cache import NO_FACE, FaceCache
from datamodules.alignment.images import list_photographs, read_photograph
from lightning_modules.recognition.frame import CANONICAL_POINTS

from ..conftest import write_photograph

Looked = list[int]


def align_folder(folder: Path, cache: FaceCache, workers: int = 0) -> face_cache.AlignedFaces:
    return cache.align(list_photographs(folder), workers=workers, progress=False)


@pytest.mark.usefixtures("stub_detector")
def test_every_photograph_has_a_face_or_a_reason(photograph_folder: Path, tmp_path: Path) -> None:
    cache = FaceCache(tmp_path / "cache")
    faces = align_folder(photograph_folder, cache)
    assert faces.photograph.tolist() == [0, 1, 2, 3]
    assert faces.failures == [(4, NO_FACE), (5, "not an image, or of an unknown format")]
    assert faces.summary(6) == (
        "6 photographs, 4 faces; 2 photographs left out "
        "(no face found: 1, not an image, or of an unknown format: 1)"
    )
    np.testing.assert_allclose(faces.quality[:, 0], 0.9)


def test_crops_are_the_aligned_photographs_pixel_by_pixel(
    photograph_folder: Path, tmp_path: Path, stub_detector: Looked
) -> None:
    cache = FaceCache(tmp_path / "cache")
    faces = align_folder(photograph_folder, cache)
    pixels = read_photograph(photograph_folder / "2.png").pixels
    expected = align(pixels, CANONICAL_POINTS / 224 * 90)
    np.testing.assert_array_equal(cache.read_crop(faces.digest[2].tobytes(), faces.face[2]), expected)


def test_the_second_run_only_reads(photograph_folder: Path, tmp_path: Path, stub_detector: Looked) -> None:
    first = align_folder(photograph_folder, FaceCache(tmp_path / "cache"))
    assert len(stub_detector) == 5
    second = align_folder(photograph_folder, FaceCache(tmp_path / "cache"))
    assert len(stub_detector) == 5
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_moved_and_copied_photographs_are_known_by_their_content(
    photograph_folder: Path, tmp_path: Path, stub_detector: Looked
) -> None:
    cache = FaceCache(tmp_path / "cache")
    before = align_folder(photograph_folder, cache)
    photograph_folder.rename(tmp_path / "moved")
    shutil.copy(tmp_path / "moved" / "0.png", tmp_path / "moved" / "copy.png")
    after = align_folder(tmp_path / "moved", cache)
    assert len(stub_detector) == 5
    assert after.digest.tolist() == [*before.digest.tolist(), before.digest[0].tolist()]


def test_a_changed_file_is_aligned_anew(
    photograph_folder: Path, tmp_path: Path, stub_detector: Looked
) -> None:
    cache = FaceCache(tmp_path / "cache")
    before = align_folder(photograph_folder, cache)
    write_photograph(photograph_folder / "0.png", 77)
    os.utime(photograph_folder / "0.png", (1, 1))
    after = align_folder(photograph_folder, cache)
    assert len(stub_detector) == 6
    assert after.digest[0] != before.digest[0]


def test_a_stopped_run_continues(
    photograph_folder: Path, tmp_path: Path, stub_detector: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FaceCache(tmp_path / "cache")
    monkeypatch.setattr(face_cache, "TASK", 2)
    process = face_cache.process_content
    calls = []

    def stop_at_the_fourth(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return process(*arguments)

    monkeypatch.setattr(face_cache, "process_content", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        align_folder(photograph_folder, cache)
    looked_before = len(stub_detector)
    monkeypatch.setattr(face_cache, "process_content", process)
    faces = align_folder(photograph_folder, cache)
    assert len(faces.face) == 4
    # The first task of two was committed; only its successors are looked at again.
    assert len(stub_detector) - looked_before == 3


def test_several_processes_give_the_same_table(photograph_folder: Path, tmp_path: Path) -> None:
    # No stub: the processes run YuNet, which finds no face in these.
    for index in range(40):
        write_photograph(photograph_folder / f"more-{index}.png", 100 + index)
    (photograph_folder / "empty.jpg").touch()
    one = align_folder(photograph_folder, FaceCache(tmp_path / "one"))
    two = align_folder(photograph_folder, FaceCache(tmp_path / "two"), workers=2)
    assert one.failures == two.failures
    assert len(one.failures) == 47
    assert dict(one.failures)[4] == "empty file"


@pytest.mark.usefixtures("stub_detector")
def test_unreadable_files_do_not_stop_the_run(photograph_folder: Path, tmp_path: Path) -> None:
    paths = [photograph_folder / "absent.jpg", *list_photographs(photograph_folder), photograph_folder]
    cache = FaceCache(tmp_path / "cache")
    faces = cache.align(paths, workers=0, progress=False)
    assert len(faces.face) == 4
    assert faces.failures[0] == (0, "cannot be read (No such file or directory)")
    assert faces.failures[-1] == (7, "cannot be read (Is a directory)")
    assert "cannot be read: 2" in faces.summary(len(paths))
    assert cache.table(paths).failures == faces.failures  # without aligning anything


def test_all_faces_or_one_can_be_taken(tmp_path: Path, stub_detector: Looked) -> None:
    write_photograph(tmp_path / "photographs" / "two.png", 1, two_faces=True)
    every = align_folder(tmp_path / "photographs", FaceCache(tmp_path / "cache", faces="all"))
    assert (every.face.tolist(), every.photograph.tolist()) == ([0, 1], [0, 0])
    largest = align_folder(tmp_path / "photographs", FaceCache(tmp_path / "cache", faces="largest"))
    assert largest.quality[0, 1] == every.quality[0, 1]
    assert len(largest.face) == 1


@pytest.mark.usefixtures("stub_detector")
def test_a_lost_crop_says_what_to_delete(photograph_folder: Path, tmp_path: Path) -> None:
    cache = FaceCache(tmp_path / "cache")
    faces = align_folder(photograph_folder, cache)
    digest = faces.digest[0].tobytes()
    for content in (b"damaged", b""):
        cache.crop_file(digest, 0).write_bytes(content)
        with pytest.raises(FileNotFoundError, match=r"damaged; delete .*yunet-largest-2 and run again"):
            cache.read_crop(digest, 0)
    cache.crop_file(digest, 0).unlink()
    with pytest.raises(FileNotFoundError, match="is gone or damaged"):
        cache.read_crop(digest, 0)


def test_a_full_disk_leaves_no_half_crop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        face_cache.write_crop(tmp_path / "crops" / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert list((tmp_path / "crops").iterdir()) == []


def test_a_process_that_dies_says_to_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class DyingPool:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "DyingPool":
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, *_: object) -> None:
            raise BrokenProcessPool

        def shutdown(self, **_: object) -> None: ...

    monkeypatch.setattr(face_cache, "worker_processes", DyingPool)
    paths = [write_photograph(tmp_path / f"{index}.png", index) for index in range(40)]
    with pytest.raises(RuntimeError, match=r"perhaps for want of memory; run again.*__name__.*workers=0"):
        FaceCache(tmp_path / "cache").align(paths, workers=2, progress=False)


def test_two_processes_that_start_at_once_look_at_each_photograph_once(
    photograph_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub_detector: Looked
) -> None:
    find = face_cache.load_detector("yunet")

    def slowly(image: np.ndarray) -> list:
        time.sleep(0.05)
        return find(image)

    monkeypatch.setattr(face_cache, "load_detector", lambda name: slowly)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(align_folder, photograph_folder, FaceCache(tmp_path / "cache")) for _ in range(2)]
        first, second = (future.result() for future in both)
    assert len(stub_detector) == 5
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("damage", ["text", "cut", "other columns"])
@pytest.mark.usefixtures("stub_detector")
def test_damaged_records_are_put_aside_and_made_again(
    photograph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    cache = FaceCache(tmp_path / "cache")
    before = align_folder(photograph_folder, cache)
    if damage == "text":
        cache.records_file.write_text("no database at all, but long enough to be read as one " * 9)
    elif damage == "cut":
        cache.records_file.write_bytes(cache.records_file.read_bytes()[:5000])
    else:
        cache.records_file.unlink()
        with closing(sqlite3.connect(cache.records_file)) as other:
            other.execute("CREATE TABLE photographs (digest BLOB PRIMARY KEY)")
    after = align_folder(photograph_folder, cache)
    np.testing.assert_array_equal(after.quality, before.quality)
    said = capsys.readouterr().err
    assert "records.sqlite is damaged" in said
    assert "kept as records.sqlite.damaged, and made anew" in said
    assert cache.records_file.with_name("records.sqlite.damaged").is_file()


@pytest.mark.usefixtures("stub_detector")
def test_records_that_another_program_holds_are_said_in_a_sentence(
    photograph_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FaceCache(tmp_path / "cache")
    align_folder(photograph_folder, cache)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, **more: connect(file, **more | {"timeout": 0.1}))
    with closing(connect(cache.records_file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"records\.sqlite cannot be used \(database is locked\); end the"):
            align_folder(photograph_folder, cache)
