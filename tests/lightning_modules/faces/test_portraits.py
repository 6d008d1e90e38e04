import torch

from lightning_modules.faces.aligned_rendering import AlignedFrame
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.portraits import BACKGROUND, portraits, turned_cameras
from lightning_modules.recognition.frame import CANONICAL_POINTS
from lightning_modules.rendering.camera import project

FRAME = AlignedFrame(torch.from_numpy(CANONICAL_POINTS / 2), 112)


def test_the_five_points_lie_on_the_template_from_the_front(small_model: MorphableModel) -> None:
    vertices = small_model.vertices(torch.zeros(1, 0))
    points = five_points(small_model.landmarks.on(vertices))
    cameras = turned_cameras(points, FRAME, (0.0, 85.0))
    seen = project(cameras, points)[0, 0, :, :2]
    # A similarity leaves what the template's proportions differ by.
    assert (seen - FRAME.template).norm(dim=-1).max() < 8
    torch.testing.assert_close(seen.mean(0), FRAME.template.mean(0).float(), atol=0.05, rtol=0)


def test_all_views_have_one_scale_and_turn_about_the_head_s_axis(small_model: MorphableModel) -> None:
    vertices = small_model.vertices(torch.zeros(1, 0))
    points = five_points(small_model.landmarks.on(vertices))
    eyes = points[:, :2]
    axis = eyes.mean(1, keepdim=True)
    axis[..., 2] -= (eyes[:, 1] - eyes[:, 0]).norm(dim=-1)
    above = axis + torch.tensor([0.0, 60.0, 0.0])
    cameras = turned_cameras(points, FRAME, (0.0, 40.0, 85.0))
    seen = project(cameras, torch.cat([axis, above], 1))[0]
    for view in seen[1:]:
        torch.testing.assert_close(view, seen[0], atol=1e-3, rtol=1e-5)


def test_a_head_turned_to_its_left_shows_its_nose_on_the_picture_s_right(
    small_model: MorphableModel,
) -> None:
    vertices = small_model.vertices(torch.zeros(1, 0))
    points = five_points(small_model.landmarks.on(vertices))
    nose = project(turned_cameras(points, FRAME, (0.0, 40.0)), points)[0, :, 2, 0]
    assert nose[1] > nose[0] + 5


def test_meshes_without_colours_are_grey(small_model: MorphableModel) -> None:
    vertices = small_model.vertices(torch.zeros(1, 0))
    points = five_points(small_model.landmarks.on(vertices))
    images = portraits(vertices, small_model.triangles, None, points, FRAME)[0]
    assert images.shape == (3, 3, 112, 112)
    torch.testing.assert_close(images[:, 0], images[:, 2], atol=2e-3, rtol=0)
    torch.testing.assert_close(images[0, :, 0, 0], torch.full((3,), BACKGROUND))
    assert (images[0, :, 56, 56] - BACKGROUND).abs().min() > 0.05
