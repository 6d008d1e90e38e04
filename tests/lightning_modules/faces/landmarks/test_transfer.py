from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.landmarks.transfer import completed_landmarks
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.surfaces import closest_on_surface

MakeModel = Callable[..., MorphableModel]
NOSE_TIP = 30


def points_on(vertices: Tensor) -> Tensor:
    """68 places near the middle of the egg, the nose tip where iBUG has it."""
    generator = torch.Generator().manual_seed(3)
    elevation, azimuth = torch.rand(2, 68, generator=generator) * 1.2 - 0.6
    elevation[NOSE_TIP], azimuth[NOSE_TIP] = -0.1, 0.0
    directions = torch.stack(
        [75 * elevation.cos() * azimuth.sin(), 110 * elevation.sin(), 90 * elevation.cos() * azimuth.cos()], 1
    )
    rays = torch.nn.functional.normalize(directions, dim=1)
    cosines = rays @ torch.nn.functional.normalize(vertices, dim=1).T
    return vertices[cosines.argmax(1)]


@pytest.fixture
def source(make_model: MakeModel) -> MorphableModel:
    """A finely meshed egg whose landmarks are known."""
    model = make_model(rows=61, columns=51, landmarks="not yet", components=(0, 0, 0))
    vertices = model.neutral_mean.unflatten(0, (-1, 3))
    found = closest_on_surface(points_on(vertices), vertices, model.triangles)
    landmarks = Landmarks(found.vertex_ids, found.weights, ("marked",) * 68)
    return make_model(rows=61, columns=51, landmarks=landmarks, components=(0, 0, 0))


@pytest.fixture
def target(make_model: MakeModel) -> tuple[Tensor, Tensor]:
    """The same egg with other vertices, 4 % larger and elsewhere."""
    model = make_model(rows=47, columns=43, landmarks="none", components=(0, 0, 0))
    return model.neutral_mean.unflatten(0, (-1, 3)) * 1.04 + torch.tensor([3.0, -20, 8]), model.triangles


def moved(points: Tensor) -> Tensor:
    return points * 1.04 + torch.tensor([3.0, -20, 8])


def positions(landmarks: Landmarks, vertices: Tensor) -> Tensor:
    return landmarks.on(vertices[None])[0]


def test_landmarks_arrive_at_the_same_places_of_another_mesh(
    source: MorphableModel, target: tuple[Tensor, Tensor]
) -> None:
    landmarks = completed_landmarks(*target, {}, lambda: source)
    mean = source.neutral_mean.unflatten(0, (-1, 3))
    expected = moved(positions(source.landmarks, mean))
    # Of 20 mm that they lay apart; closest points slide slowly on a surface as smooth as this.
    assert float((positions(landmarks, target[0]) - expected).norm(dim=1).max()) < 2.5
    assert landmarks.sources == ("transferred",) * 68


def test_known_landmarks_stay_and_pull_their_neighbours(
    source: MorphableModel, target: tuple[Tensor, Tensor]
) -> None:
    vertices, triangles = target
    mean = source.neutral_mean.unflatten(0, (-1, 3))
    expected = moved(positions(source.landmarks, mean))
    shifted = expected + torch.tensor([4.0, 0, 0])
    nearest = torch.cdist(shifted, vertices).argmin(1)
    known = {index: (int(nearest[index]), "file") for index in range(0, 68, 2)}
    landmarks = completed_landmarks(vertices, triangles, known, lambda: source)
    assert landmarks.vertex_ids[::2, 0].tolist() == nearest[::2].tolist()
    assert landmarks.sources == ("file", "transferred") * 34
    pulled = (positions(landmarks, vertices) - expected)[1::2, 0].median()
    assert 1 < float(pulled) < 5


def test_the_open_model_is_not_asked_for_when_all_landmarks_are_known(target: tuple[Tensor, Tensor]) -> None:
    def unwanted() -> MorphableModel:
        raise AssertionError("asked for")

    known = {index: (index, "file") for index in range(68)}
    landmarks = completed_landmarks(*target, known, unwanted)
    assert landmarks.vertex_ids[:, 0].tolist() == list(range(68))


def test_without_an_open_model_the_reason_says_how_many_are_known(target: tuple[Tensor, Tensor]) -> None:
    reason = completed_landmarks(*target, {30: (5, "file")}, None)
    assert reason == "its file names 1 of 68, no model to transfer from was given"


def test_a_mesh_that_is_no_face_gets_a_reason_and_no_landmarks(source: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(0)
    blob = 100 * torch.randn(500, 3, generator=generator)
    reason = completed_landmarks(blob, torch.randint(500, (900, 3), generator=generator), {}, lambda: source)
    assert isinstance(reason, str)
    assert "the mean of miniature does not fit the mesh" in reason


@pytest.mark.parametrize("turn", [[-1.0, 1, -1], [1.0, -1, -1]])
def test_a_face_that_lies_the_wrong_way_round_gets_a_reason(
    source: MorphableModel, target: tuple[Tensor, Tensor], turn: list[float]
) -> None:
    reason = completed_landmarks(target[0] * torch.tensor(turn), target[1], {}, lambda: source)
    assert isinstance(reason, str)
    assert "does not fit" in reason
