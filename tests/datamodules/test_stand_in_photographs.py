from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datamodules import stand_in_photographs
from datamodules.alignment.detection import load_detector
from datamodules.alignment.images import read_photograph
from datamodules.stand_in.photograph import (
    anchor_points,
    draw_expression,
    draw_lights,
    draw_person,
    draw_photographs,
    draw_poses,
    dressed,
)
from datamodules.stand_in.ranges import StandInRanges
from datamodules.stand_in_photographs import PERSON, StandInPhotographs
from datamodules.synthetic_faces import TRAINING, VALIDATION, SyntheticFaces
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import Faces, MorphableModel
from lightning_modules.rendering.illumination import LIGHT_COUNT
from lightning_modules.rendering.ranges import SceneRanges

from .conftest import TinyNetwork

RANGES = StandInRanges()


def stand_in_of(model: MorphableModel, folder: Path, *networks: TinyNetwork, **options: object) -> object:
    options = {"count": 6, "cache_folder": folder, "workers": 0, "progress": False, **options}
    return StandInPhotographs(model, networks, **options)


def without_landmarks(model: MorphableModel) -> MorphableModel:
    return MorphableModel(
        shape=model.components("shape"),
        albedo=model.components("albedo"),
        expression=None,
        triangles=model.triangles,
        landmarks="nobody marked them",
        provenance=model.provenance,
    )


def contents(photographs: StandInPhotographs) -> list[bytes]:
    return [path.read_bytes() for path in photographs.photographs()]


# ---------------------------------------------------------------------- apart from training


@pytest.mark.parametrize(
    ("name", "of_training"),
    [
        ("near_distance_mm", "distance_mm"),
        ("far_distance_mm", "distance_mm"),
        ("frame_height_mm", "frame_height_mm"),
        ("light_distance_mm", "light_distance_mm"),
        ("ambient_share", "ambient_share"),
        ("exposure", "exposure"),
    ],
)
def test_ranges_share_no_value_with_trainings(name: str, of_training: str) -> None:
    low, high = getattr(RANGES, name)
    training_low, training_high = getattr(SceneRanges(), of_training)
    assert low <= high
    assert high < training_low or low > training_high


def test_there_are_more_lights_than_in_training() -> None:
    assert RANGES.light_count[0] > LIGHT_COUNT


@pytest.mark.parametrize("seed", range(20))
def test_lights_stand_near_the_face_and_fall_off_from_there(seed: int) -> None:
    chance, target = np.random.default_rng(seed), torch.tensor([[[3.0, 5.0, -20.0]]])
    lights = draw_lights(chance, draw_poses(chance, RANGES, like=target), RANGES, target=target)
    distances = (lights.positions - target).norm(dim=-1)
    low, high = RANGES.light_distance_mm
    assert RANGES.light_count[0] <= distances.numel() <= RANGES.light_count[1]
    assert low - 0.1 <= float(distances.min()) <= float(distances.max()) <= high + 0.1
    torch.testing.assert_close(lights.reference_distances, distances)
    assert float(lights.intensities.min()) > 0


def test_poses_are_normal_around_the_frontal_one_at_other_distances_than_trainings() -> None:
    chance, low_high = np.random.default_rng(0), SceneRanges().distance_mm
    poses = [draw_poses(chance, RANGES, like=torch.zeros(())) for _ in range(2000)]
    yaw, _, _, distance, _ = (torch.cat(part).flatten() for part in zip(*poses, strict=True))
    # Standard error of the mean 0.4, of the deviation 0.3; cutting at 2.5 takes 3 % off the deviation.
    assert float(yaw.mean()) == pytest.approx(0, abs=1.5)
    assert float(yaw.std()) == pytest.approx(RANGES.yaw_deviation_degrees, abs=1.5)
    # Half of a normal distribution lies within 0.67 deviations; of a uniform one it would be 0.39.
    assert float((yaw.abs() < 0.67 * yaw.std()).float().mean()) == pytest.approx(0.5, abs=0.04)
    assert not ((distance >= low_high[0]) & (distance <= low_high[1])).any()
    near = float((distance < low_high[0]).float().mean())
    assert near == pytest.approx(RANGES.near_share, abs=0.04)


def test_people_are_none_of_the_synthetic_faces(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    photographs = stand_in_of(small_model, tmp_path, seed=3)
    own = torch.cat([photographs.person(number).coefficients.shape for number in range(16)])
    synthetic = SyntheticFaces(small_model, tiny, seed=3, cache_folder=tmp_path, progress=False)
    for purpose in (TRAINING, VALIDATION):
        assert purpose != PERSON
        theirs = synthetic.render(range(16), purpose=purpose).shape
        assert float(torch.cdist(own, theirs).min()) > 1e-3


# ---------------------------------------------------------------------- what is drawn


def test_most_expression_components_rest() -> None:
    class Model:
        expression_variance = torch.ones(2000)
        shape_mean = torch.zeros(1)

    expression = draw_expression(Model(), np.random.default_rng(0), RANGES)
    assert expression.shape == (1, 2000)
    assert float((expression != 0).float().mean()) == pytest.approx(RANGES.expression_share, abs=0.04)
    moved = expression[expression != 0]
    assert float(moved.std()) == pytest.approx(RANGES.expression_deviations, abs=0.15)


def test_hair_covers_the_top_of_the_head_and_spares_the_face(small_model: MorphableModel) -> None:
    none = torch.zeros(1, 0)
    faces = small_model(none, none)
    # Of the miniature's landmarks only the five points are where a face has them.
    points = anchor_points(without_landmarks(small_model), faces.vertices)[0]
    person = draw_person(small_model, 0, replace(RANGES, hair_share=1.0))
    head = Faces(*(part[0] for part in faces))
    haired = dressed(head, small_model.normals(faces.vertices)[0], points, person, np.random.default_rng(0))
    changed = (haired.albedo - head.albedo).abs().amax(1)
    up = head.vertices[:, 1]
    assert float(changed[up > 0.99 * up.max()].min()) > 0.05
    middle = head.vertices.norm(dim=1) < 30
    assert float(changed[middle].max()) < 1e-3


def test_pictures_are_exposed_and_of_the_sizes_and_qualities_asked_for(small_model: MorphableModel) -> None:
    people = [draw_person(small_model, seed, RANGES) for seed in range(12)]
    photographs = draw_photographs(small_model, people, range(12), RANGES)
    for photograph in photographs:
        height, width, channels = photograph.pixels.shape
        assert height == width
        assert channels == 3
        assert RANGES.side_pixels[0] <= height <= RANGES.side_pixels[1]
        assert RANGES.jpeg_quality[0] <= photograph.jpeg_quality <= RANGES.jpeg_quality[1]
        assert (photograph.pixels == 255).mean() < 0.2
        assert 20 < photograph.pixels.mean() < 235
    assert len({photograph.pixels.tobytes() for photograph in photographs}) == 12


def test_a_model_without_landmarks_gives_the_same_kind_of_picture(small_model: MorphableModel) -> None:
    model, everything = (
        without_landmarks(small_model),
        replace(RANGES, hair_share=0.0, cap_share=1.0, glasses_share=1.0, scarf_share=1.0, hand_share=1.0),
    )
    person = draw_person(model, 1, everything)
    assert person.hair == "cap"
    (photograph,) = draw_photographs(model, [person], [1], everything)
    assert photograph.pixels.std() > 10


def test_landmarks_guessed_from_the_extent_lie_about_where_the_models_are() -> None:
    # The open model's own extent (mm) and some of its landmarks.
    low, high = torch.tensor([-83.0, -85.0, -146.0]), torch.tensor([83.0, 122.0, 0.0])
    model = _Extent(low, high)
    right_eye, left_eye, bridge, mouth, chin, right_temple, _, _ = anchor_points(model, model.corners)[0]
    for point, expected in (
        (right_eye, (-31, 39, -30)),
        (left_eye, (31, 39, -30)),
        (bridge, (0, 37, -19)),
        (mouth, (0, -39, -14)),
        (chin, (0, -69, -35)),
        (right_temple, (-67, 39, -83)),
    ):
        torch.testing.assert_close(point, torch.tensor(expected).float(), atol=8, rtol=0)


class _Extent:
    no_landmarks = "none"

    def __init__(self, low: torch.Tensor, high: torch.Tensor) -> None:
        self.corners = torch.stack([low, high])[None]
        self.neutral_mean = self.corners.flatten()


# ---------------------------------------------------------------------- as a data module


@pytest.mark.usefixtures("stub_detector")
def test_stand_in_photographs_are_used_like_any_and_labelled(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    photographs = stand_in_of(small_model, tmp_path, tiny, count=12, batch_size=2)
    photographs.prepare_data()
    photographs.setup()
    assert read_photograph(photographs.photographs()[0]).width >= RANGES.side_pixels[0]
    provenance = photographs.provenance()
    assert (provenance["kind"], provenance["stand_in"]) == ("stand-in", True)
    assert provenance["count"] == len(photographs.dataset) > 6
    batch = next(iter(photographs.train_dataloader()))
    assert batch.features["tiny"].shape == (2, 12)
    assert photographs.distances_from_photographs() == {"tiny": None}


@pytest.mark.usefixtures("stub_detector")
def test_the_distance_from_real_photographs_is_printed(
    small_model: MorphableModel,
    tiny: TinyNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(stand_in_photographs, "distance_from_photographs", lambda features, network: 1.234)
    stand_in_of(small_model, tmp_path, tiny, progress=True).prepare_data()
    printed = capsys.readouterr().out
    assert "distance of the stand-in from real photographs, tiny: 1.23 of their standard" in printed


def test_a_distance_that_is_not_known_is_not_a_number() -> None:
    assert "not known" in stand_in_photographs.written_distance(None)


def test_files_are_rendered_once_and_what_is_missing_comes_back_the_same(
    small_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in_photographs, "AT_ONCE", 4)
    photographs = stand_in_of(small_model, tmp_path)
    photographs.render_missing()
    before = contents(photographs)
    times = [path.stat().st_mtime_ns for path in photographs.photographs()]
    photographs.photographs()[1].unlink()
    photographs.render_missing()
    assert contents(photographs) == before
    now = [path.stat().st_mtime_ns for path in photographs.photographs()]
    assert [old == new for old, new in zip(times, now, strict=True)] == [True, False, True, True, True, True]
    monkeypatch.setattr(photographs, "render", lambda numbers: pytest.fail("rendered again"))
    photographs.render_missing()


def test_a_run_that_is_stopped_leaves_whole_files_only_and_continues(
    small_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stand_in_of(small_model, tmp_path / "whole")
    whole.render_missing()
    photographs, written = stand_in_of(small_model, tmp_path / "stopped"), []

    def stop(suffix: str, pixels: np.ndarray, options: list[int]) -> tuple[bool, np.ndarray]:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(1)
        return encode(suffix, pixels, options)

    encode = cv2.imencode
    monkeypatch.setattr(cv2, "imencode", stop)
    with pytest.raises(KeyboardInterrupt):
        photographs.render_missing()
    monkeypatch.setattr(cv2, "imencode", encode)
    assert len(list(photographs.folder.glob("*.jpg"))) == 3
    assert not list(photographs.folder.glob(".*.jpg"))
    threads = torch.get_num_threads()
    photographs.render_missing()
    assert contents(photographs) == contents(whole)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"count": 7}, {"ranges": replace(RANGES, scarf_share=0.0)}, {"photographs_per_person": 2}],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_have_another_folder(
    small_model: MorphableModel, tmp_path: Path, change: dict[str, object]
) -> None:
    assert stand_in_of(small_model, tmp_path).folder == stand_in_of(small_model, tmp_path).folder
    assert stand_in_of(small_model, tmp_path, **change).folder != stand_in_of(small_model, tmp_path).folder


def test_a_person_can_be_in_several_photographs(small_model: MorphableModel, tmp_path: Path) -> None:
    photographs = stand_in_of(small_model, tmp_path, photographs_per_person=2)
    people = [photographs.person(number) for number in range(4)]
    torch.testing.assert_close(people[0].coefficients, people[1].coefficients, rtol=0, atol=0)
    assert not torch.equal(people[1].coefficients.shape, people[2].coefficients.shape)
    first, second = photographs.render([0, 1])
    assert first.pixels.tobytes() != second.pixels.tobytes()


@pytest.mark.parametrize("option", ["count", "photographs_per_person"])
def test_counts_below_one_are_refused(small_model: MorphableModel, tmp_path: Path, option: str) -> None:
    with pytest.raises(ValueError, match="must be at least 1, got"):
        stand_in_of(small_model, tmp_path, **{option: 0})


@pytest.mark.slow
def test_a_face_is_found_in_nearly_all_photographs_of_the_open_model(tmp_path: Path) -> None:
    photographs = stand_in_of(load_morphable_model("open"), tmp_path, count=100)
    detect = load_detector("yunet")
    found = [
        bool(detect(photograph.pixels))
        for start in range(0, 100, 20)
        for photograph in photographs.render(range(start, start + 20))
    ]
    assert np.mean(found) >= 0.97
