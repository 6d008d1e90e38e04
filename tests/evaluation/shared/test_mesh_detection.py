from collections.abc import Callable

import numpy as np
import pytest
import torch

from datamodules.alignment.detection import Detection
from evaluation.metrics.marked_mesh import Unscorable
from evaluation.shared.mesh_detection import (
    axis_turns,
    detected_points,
    unprojected,
    upright_points,
)
from tests.evaluation.seen_faces_of_meshes import detector_at, five_of_model, mesh_of


def test_there_are_24_turns_of_the_axes_and_the_first_changes_nothing() -> None:
    turns = list(axis_turns())
    assert torch.equal(turns[0], torch.eye(3))
    assert len({tuple(turn.flatten().tolist()) for turn in turns}) == 24
    assert all(float(torch.linalg.det(turn)) == 1 for turn in turns)


def test_detected_pixels_become_points_of_the_surface() -> None:
    points = next(detected_points(mesh_of(), detector_at(five_of_model())))
    np.testing.assert_allclose(points[:, :2], five_of_model()[:, :2], atol=4)


def test_a_point_in_a_hole_takes_the_nearest_pixel_and_one_far_away_none() -> None:
    surface = torch.full((20, 20, 3), float("nan"))
    surface[5, 7] = torch.tensor([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(unprojected(surface, np.array([[8.0, 6.0]])), [[1, 2, 3]])
    with pytest.raises(Unscorable, match="no face found: a point that the detector sees does not lie on"):
        unprojected(surface, np.array([[18.0, 18.0]]))
    with pytest.raises(Unscorable, match="no face found: the picture of the mesh is empty"):
        unprojected(surface * torch.nan, np.array([[8.0, 6.0]]))


def test_a_mesh_without_a_face_is_refused() -> None:
    with pytest.raises(Unscorable, match=r"the detector sees none on .*; mark its landmarks in a file"):
        next(detected_points(mesh_of(), lambda picture: []))


@pytest.mark.parametrize(
    ("front", "views"),
    [
        pytest.param("beside", 1 + 6, id="in-part"),
        pytest.param("unlike a face", 1 + 6, id="through-the-mouth"),
        pytest.param("nothing", 24 + 6, id="not-at-all"),
    ],
)
@pytest.mark.parametrize("points_of", [lambda *given: next(detected_points(*given)), upright_points])
def test_a_face_that_from_the_front_is_not_seen_whole_is_looked_at_from_more_views(
    front: str, views: int, points_of: Callable[..., np.ndarray]
) -> None:
    drawn = []

    def detect(picture: np.ndarray) -> list[Detection]:
        """Wrong in every view along an axis, right from around the front."""
        drawn.append(picture)
        (seen,) = detector_at(five_of_model())(picture)
        if len(drawn) == 1 and front == "nothing":
            return []
        if len(drawn) > (1 if views < 24 or points_of is upright_points else 24):
            return [seen]
        moved = np.zeros((5, 2))
        moved[slice(None) if front == "beside" else [4]] = (-300, 0) if front == "beside" else (80, 60)
        return [seen._replace(points=seen.points + moved)]

    points = points_of(mesh_of(), detect)
    assert len(drawn) == (7 if points_of is upright_points else views)
    np.testing.assert_allclose(
        points[2], five_of_model()[2], atol=35
    )  # from aside, by a detector of the front


def test_a_face_whose_points_never_lie_on_the_mesh_is_not_found() -> None:
    beside = Detection(np.zeros(4), np.full((5, 2), -300.0), 0.9)
    with pytest.raises(Unscorable, match="a point that the detector sees does not lie on the mesh"):
        next(detected_points(mesh_of(), lambda picture: [beside]))
