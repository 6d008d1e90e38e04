from pathlib import Path

import numpy as np
import pytest

from datamodules import stand_in_scans
from datamodules.alignment.footage import read_frames
from datamodules.stand_in_scans import FRAMES, RANGES, StandInScans
from lightning_modules.faces.landmarks.mesh_landmark_files import read_landmarks
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel


@pytest.fixture
def stand_in(small_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInScans:
    """One bowl instead of 53 people."""
    bowl = small_model.neutral_mean.view(1, -1, 3).double().numpy()
    monkeypatch.setattr(stand_in_scans, "draw_people", lambda count, seed, model: bowl.repeat(count, 0))
    return StandInScans(small_model, limit=1, cache_folder=tmp_path, progress=False, workers=0)


def test_a_subject_has_two_scans_with_landmarks_three_videos_and_the_truth(stand_in: StandInScans) -> None:
    stand_in.prepare_data()
    (subject,) = stand_in.subjects()
    assert [scan.name for scan in subject.scans] == ["frontal1", "frontal2"]
    assert all(read_landmarks(scan.landmarks).shape == (68, 3) for scan in subject.scans)
    first, second = (read_mesh(scan.path) for scan in subject.scans)
    assert len(first.vertices) != len(second.vertices)
    for condition, video in subject.footage.items():
        frames = list(read_frames(video))
        assert len(frames) == FRAMES
        assert frames[0].pixels.shape[0] == RANGES[condition].side_pixels[0]
    truth = read_mesh(stand_in.folder / subject.name / "truth.ply")
    assert len(truth.vertices) == len(stand_in.model.shape_mean) // 3
    assert "STAND-IN" in (stand_in.folder / "STAND-IN.txt").read_text()


def test_what_is_there_is_not_made_again_and_a_stopped_subject_is(stand_in: StandInScans) -> None:
    stand_in.make_missing()
    (subject,) = stand_in.subjects()
    before = subject.scans[0].path.stat().st_mtime_ns
    content = subject.scans[0].path.read_bytes()
    stand_in.make_missing()
    assert subject.scans[0].path.stat().st_mtime_ns == before
    (stand_in.folder / subject.name / "truth.ply").unlink()
    stand_in.make_missing()
    assert subject.scans[0].path.stat().st_mtime_ns != before
    assert subject.scans[0].path.read_bytes() == content


def test_its_provenance_says_that_it_stands_in(stand_in: StandInScans) -> None:
    stand_in.make_missing()
    provenance = stand_in.provenance()
    assert provenance["stand_in"] is True
    assert (provenance["kind"], provenance["subjects"], provenance["marked"]) == ("stand-in", 1, 2)


def test_another_model_than_the_open_one_is_refused(small_model: MorphableModel) -> None:
    basel = small_model.__class__.__new__(small_model.__class__)
    basel.__dict__ = small_model.__dict__ | {"provenance": ModelSource("basel", "01_MorphableModel.mat", "")}
    with pytest.raises(
        ValueError, match=r"made with the open model, got 01_MorphableModel\.mat; load `open`"
    ):
        StandInScans(basel)


def test_videos_get_harder() -> None:
    order = [RANGES[condition] for condition in ("cooperative", "indoor", "outdoor")]
    assert np.all(np.diff([ranges.yaw_deviation_degrees for ranges in order]) > 0)
    assert np.all(np.diff([ranges.side_pixels[0] for ranges in order]) < 0)
