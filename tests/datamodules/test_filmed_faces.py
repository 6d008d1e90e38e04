from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import filmed_faces
from datamodules.alignment import footage_cache
from datamodules.filmed_faces import SeenTogether, videos_at, watched
from datamodules.stand_in_scans import write_video
from tests.datamodules.conftest import TinyNetwork, detect_by_colour


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (footage_cache, filmed_faces):
        monkeypatch.setattr(module, "load_detector", lambda name: detect_by_colour)


def film(path: Path, *grey: int) -> Path:
    """A video of grey frames; of 255 the stub detector finds no face, since it is blue."""
    frames = [np.full((64, 64, 3), level, np.uint8) for level in grey]
    write_video(path, frames)
    return path


def test_a_persons_features_are_those_of_the_frames_with_a_face(tmp_path: Path, tiny: TinyNetwork) -> None:
    video = film(tmp_path / "a.avi", 60, 255, 120)
    seen = watched([video], tiny, cache_folder=tmp_path / "cache", workers=0, progress=False)
    assert (seen.total, seen.failures) == (1, [])
    (person,) = seen.people
    assert len(person) == 2
    every = person.batch(np.arange(2))
    torch.testing.assert_close(every.features["tiny"], person.seen.features["tiny"])
    torch.testing.assert_close(every.embeddings["tiny"].norm(dim=1), torch.ones(2))
    second, first = person.images([1, 0])
    assert float(first.mean()) * 255 == pytest.approx(60, abs=4)
    assert float(second.mean()) * 255 == pytest.approx(120, abs=4)


def test_some_frames_are_taken_evenly(tmp_path: Path, tiny: TinyNetwork) -> None:
    video = film(tmp_path / "a.avi", *range(40, 140, 10))
    options = {"cache_folder": tmp_path / "cache", "workers": 0, "progress": False}
    (person,) = watched([video], tiny, frames=2, **options).people
    assert person.seen.frames.tolist() == [2, 7]


def test_videos_without_a_face_and_what_is_none_fail_with_their_reason(
    tmp_path: Path, tiny: TinyNetwork
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    videos = [film(tmp_path / "blue.avi", 255, 255), tmp_path / "text.mp4", tmp_path / "absent.avi"]
    seen = watched(videos, tiny, cache_folder=tmp_path / "cache", workers=0, progress=False)
    assert not seen.people
    reasons = {path.name: reason for path, reason in seen.failures}
    assert reasons["blue.avi"] == "no face in any frame (2 frames)"
    assert reasons["text.mp4"].startswith("unusable video (")
    assert reasons["absent.avi"] == "cannot be read (no such file)"


def test_several_sources_are_one_person(tmp_path: Path, tiny: TinyNetwork) -> None:
    videos = [film(tmp_path / "a.avi", 60, 120), film(tmp_path / "b.avi", 90)]
    people = watched(videos, tiny, cache_folder=tmp_path / "cache", workers=0, progress=False).people
    together = SeenTogether(people)
    assert len(together) == 3
    expected = torch.cat([person.seen.features["tiny"] for person in people])
    torch.testing.assert_close(together.batch(np.array([2, 0])).features["tiny"], expected[[2, 0]])
    torch.testing.assert_close(together.images([2])[0], people[1].images([0])[0])


def test_videos_of_a_folder_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.MP4", "more/a.avi", ".hidden.avi", "c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert videos_at(tmp_path) == [tmp_path / "b.MP4", tmp_path / "more/a.avi"]
    assert videos_at(tmp_path / "b.MP4") == [tmp_path / "b.MP4"]
    assert videos_at(tmp_path / "c.jpg") == []
