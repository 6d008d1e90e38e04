import os
from pathlib import Path

import numpy as np
import pytest

from datamodules.alignment.face_cache import AlignedFaces
from datamodules.alignment.photograph_manifest import (
    NOT_THERE,
    FileStates,
    PhotographManifest,
    PhotographPaths,
    merged,
)
from datamodules.long_work import mapped_columns

NAMES = ("a.png", "b c/d.jpg", "é.png", os.fsdecode(b"odd\xff.png"))
PATHS = [Path("folder") / name for name in NAMES]


def faces_of(*photographs: int, failures: tuple[tuple[int, str], ...] = ()) -> AlignedFaces:
    count = len(photographs)
    digests = np.array([bytes([place + 1] * 32) for place in photographs], "V32")
    quality = np.arange(7 * count, dtype=np.float32).reshape(count, 7)
    return AlignedFaces(
        np.array(photographs, np.int64), digests, np.zeros(count, np.uint8), quality, [*failures]
    )


def manifest(paths: list[Path] = PATHS, *, modified: int = 5) -> PhotographManifest:
    states = FileStates(np.full(len(paths), 10), np.full(len(paths), modified))
    return PhotographManifest(
        PhotographPaths.of(paths), states, faces_of(0, 0, 2, failures=((1, "no face found"),)), ""
    )


def test_paths_come_back_as_they_were_and_are_a_sequence() -> None:
    paths = PhotographPaths.of(PATHS)
    assert list(paths) == PATHS
    assert paths[-1] == PATHS[-1]
    assert paths[1:3] == PATHS[1:3]
    assert len(PhotographPaths.of([])) == 0
    with pytest.raises(IndexError):
        paths[4]


@pytest.mark.parametrize("at_once", [1, 3, 4, 9])
def test_paths_are_given_in_bytes_and_as_the_lines_of_a_list(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_columns, "AT_ONCE", at_once)
    names = [os.fsencode(path) for path in PATHS]
    paths = PhotographPaths.of(PATHS)
    assert list(paths.in_bytes()) == names
    assert b"".join(paths.as_lines()) == b"\n".join(names)
    assert list(PhotographPaths.of([]).as_lines()) == []


def test_what_is_written_is_read_and_the_last_one_counts(tmp_path: Path) -> None:
    manifest().write(tmp_path)
    manifest(PATHS[:3]).write(tmp_path)
    read = PhotographManifest.read(tmp_path)
    assert list(read.paths) == PATHS[:3]
    assert read.faces.photograph.tolist() == [0, 0, 2]
    assert read.faces.digest.tobytes() == faces_of(0, 0, 2).digest.tobytes()
    assert read.faces.failures == [(1, "no face found")]
    assert read.written.endswith("+00:00")
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("content", ["", "[]", "null", '{"version": 1}', '{"version": 99}'])
def test_what_is_no_manifest_is_none(tmp_path: Path, content: str) -> None:
    assert PhotographManifest.read(tmp_path) is None
    (tmp_path / "manifest.json").write_text(content)
    assert PhotographManifest.read(tmp_path) is None


def test_an_array_that_is_gone_makes_it_none(tmp_path: Path) -> None:
    manifest().write(tmp_path)
    next(tmp_path.glob("*/digest.npy")).unlink()
    assert PhotographManifest.read(tmp_path) is None


def test_new_changed_moved_and_unreadable_photographs_are_told_apart() -> None:
    kept = manifest()
    listed = [PATHS[2], Path("folder/new.png"), PATHS[0], PATHS[1]]
    states = FileStates(np.array([10, 10, 11, NOT_THERE]), np.array([5, 5, 5, NOT_THERE]))
    assert kept.unchanged(PhotographPaths.of(listed), states).tolist() == [2, -1, -1, -1]
    same = FileStates(np.full(4, 10), np.array([5, 6, 5, 5]))
    assert kept.unchanged(kept.paths, same).tolist() == [0, -1, 2, 3]


def test_faces_follow_their_photographs_to_their_new_places() -> None:
    # Listed by now: photograph 2, a new one, photograph 1, photograph 0.
    found = manifest().faces_at(np.array([2, -1, 1, 0]))
    assert found.photograph.tolist() == [3, 3, 0]
    assert found.failures == [(2, "no face found")]
    both = merged(found, faces_of(1))
    assert both.photograph.tolist() == [0, 1, 3, 3]
    assert both.digest[0] == faces_of(2).digest[0]
    assert both.digest[1] == faces_of(1).digest[0]
    assert both.quality.shape == (4, 7)
    assert both.failures == [(2, "no face found")]


def test_states_are_of_files_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    states = FileStates.of([tmp_path / "a", tmp_path / "gone"])
    assert states.sizes.tolist() == [4, NOT_THERE]
    assert states.modified[0] == (tmp_path / "a").stat().st_mtime_ns
