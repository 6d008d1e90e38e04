from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.alignment import footage_cache
from datamodules.alignment.footage_cache import FaceWatcher
from datamodules.micc import MICC, Scans
from datamodules.stand_in_scans import write_video
from lightning_modules.recognition.several_crops import SeveralCrops
from tests.datamodules.conftest import TinyNetwork, detect_by_colour, write_photograph


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage_cache, "load_detector", lambda name: detect_by_colour)


def film(path: Path, *blue: bool) -> Path:
    """A video in which the stub detector finds no face where it is blue."""
    frames = [np.full((64, 64, 3), 90 + 10 * number, np.uint8) for number in range(len(blue))]
    for frame, is_blue in zip(frames, blue, strict=True):
        frame[..., 2] = 255 if is_blue else frame[..., 2]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames)
    return path


def test_features_of_the_frames_with_a_face_are_kept_and_the_others_counted(
    tmp_path: Path, tiny: TinyNetwork
) -> None:
    video = film(tmp_path / "a.avi", False, True, False)
    watcher = FaceWatcher([tiny], cache_folder=tmp_path / "cache")
    seen = watcher.seen(video)
    assert seen.frames.tolist() == [0, 2]
    assert (seen.total, seen.failures) == (3, {"no face found": 1})
    assert seen.features["tiny"].shape == (2, 12)
    assert seen.features["tiny"][1].mean() > seen.features["tiny"][0].mean()
    torch.testing.assert_close(seen.embeddings("tiny").norm(dim=1), torch.ones(2))
    asked = tiny.asked
    assert watcher.see([video], workers=0, progress=False) == {}
    torch.testing.assert_close(watcher.seen(video).features["tiny"], seen.features["tiny"])
    assert tiny.asked == asked


@pytest.mark.parametrize("filmed", [True, False])
def test_photographs_are_looked_at_as_often_as_the_encoder_does_and_frames_once(
    tmp_path: Path, tiny: TinyNetwork, filmed: bool
) -> None:
    encoder = SeveralCrops(tiny, 2)
    footage = tmp_path / "a.avi" if filmed else tmp_path / "a"
    if filmed:
        film(footage, False, False)
    else:
        footage.mkdir()
        for seed in range(2):
            write_photograph(footage / f"{seed}.png", seed)
    seen = FaceWatcher([encoder], cache_folder=tmp_path / "cache").seen(footage)
    assert len(seen.frames) == 2
    assert tiny.asked == (2 if filmed else 4)


@pytest.mark.parametrize("left", [b"", b"PK\x03\x04 cut off", b"text", None])
def test_what_is_left_of_a_kept_video_is_looked_at_again(
    tmp_path: Path, tiny: TinyNetwork, left: bytes | None
) -> None:
    video = film(tmp_path / "a.avi", False, True, False)
    watcher = FaceWatcher([tiny], cache_folder=tmp_path / "cache")
    seen = watcher.seen(video)
    file = watcher.cache_file(video)
    if left is None:
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        np.savez(file, **arrays | {"features tiny": np.full((2, 12), np.nan, np.float32)})
    else:
        file.write_bytes(left)
    torch.testing.assert_close(watcher.seen(video).features["tiny"], seen.features["tiny"])


def test_footage_without_any_face_has_no_features(tmp_path: Path, tiny: TinyNetwork) -> None:
    watcher = FaceWatcher([tiny], cache_folder=tmp_path / "cache")
    seen = watcher.seen(film(tmp_path / "a.avi", True, True))
    assert seen.features["tiny"].shape == (0, 12)
    assert seen.failures == {"no face found": 2}


def test_changed_footage_is_looked_at_again(tmp_path: Path, tiny: TinyNetwork) -> None:
    watcher = FaceWatcher([tiny], cache_folder=tmp_path / "cache")
    write_photograph(tmp_path / "photos/a.png", 1)
    assert watcher.seen(tmp_path / "photos").total == 1
    write_photograph(tmp_path / "photos/b.png", 2)
    assert watcher.seen(tmp_path / "photos").total == 2


def test_a_broken_video_is_reported_and_the_others_go_on(tmp_path: Path, tiny: TinyNetwork) -> None:
    (tmp_path / "broken.avi").write_text("no video")
    good = film(tmp_path / "good.avi", False)
    watcher = FaceWatcher([tiny], cache_folder=tmp_path / "cache")
    reasons = watcher.see([tmp_path / "broken.avi", good], workers=0, progress=False)
    assert list(reasons) == [tmp_path / "broken.avi"]
    assert "is no video that OpenCV can open" in reasons[tmp_path / "broken.avi"]
    assert watcher.cache_file(good).is_file()


def test_a_video_is_one_persons(tiny: TinyNetwork) -> None:
    with pytest.raises(ValueError, match='faces must be "largest" or "central"'):
        FaceWatcher([tiny], faces="all")


def test_micc_gives_every_subject_in_every_condition(tmp_path: Path, tiny: TinyNetwork) -> None:
    scan = tmp_path / "micc/subject_01/Model/frontal1/obj/1.obj"
    scan.parent.mkdir(parents=True)
    scan.write_text("v 0 0 0\n")
    film(tmp_path / "micc/subject_01/Video/Indoor-Cooperative.avi", False, False)
    (tmp_path / "micc/subject_01/Video/PTZ-Indoor.avi").write_text("no video")
    data = MICC(tmp_path / "micc", [tiny], limit=2, workers=0, progress=False, cache_folder=tmp_path / "c")
    data.prepare_data()
    before = torch.get_rng_state()
    sightings = list(data.predict_dataloader())
    assert torch.equal(torch.get_rng_state(), before)
    assert [(s.subject, s.condition) for s in sightings[:3]] == [
        ("subject_01", "cooperative"), ("subject_01", "indoor"), ("subject_01", "outdoor"),
    ]  # fmt: skip
    assert len(sightings) == 6
    assert sightings[0].faces.total == 2
    assert "is no video" in sightings[1].reason
    assert sightings[2].reason == "no footage: outdoor"
    provenance = data.provenance()
    assert (provenance["kind"], provenance["subjects"], provenance["scans"]) == ("micc", 1, 1)
    assert provenance["stand_in"] is False


def test_other_scans_have_photographs_as_their_condition(tmp_path: Path, tiny: TinyNetwork) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/ann.obj").write_text("v 0 0 0\n")
    write_photograph(tmp_path / "photos/ann/1.png", 1)
    data = Scans(tmp_path, [tiny], workers=0, progress=False, cache_folder=tmp_path / "c")
    data.prepare_data()
    (sighting,) = data.predict_dataloader()
    assert (sighting.condition, sighting.faces.total) == ("photographs", 1)
