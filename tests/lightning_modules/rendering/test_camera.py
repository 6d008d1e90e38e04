import math

import pytest
import torch

from lightning_modules.rendering.camera import (
    Cameras,
    align_to_template,
    camera_matrices,
    centres,
    focal_length_from_field_of_view,
    homogeneous_pixels,
    image_centre,
    look_at,
    project,
    supersampled,
)

UP = torch.tensor([0.0, 1, 0], dtype=torch.float64)


def frontal(distance: float = 1000.0, focal: float = 500.0, size: tuple[int, int] = (100, 200)) -> Cameras:
    eye = torch.tensor([[[0.0, 0, distance]]], dtype=torch.float64)
    rotations, translations = look_at(eye, torch.zeros(3, dtype=torch.float64), UP)
    return Cameras(
        rotations, translations, eye.new_full((1, 1), focal), image_centre(size, like=eye).expand(1, 1, 2)
    )


def points(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.float64)


def test_a_frontal_camera_sees_the_subjects_left_on_the_right_and_up_at_the_top() -> None:
    seen = project(frontal(), points([0, 0, 0], [100, 0, 0], [0, 100, 0], [0, 0, 500]))[0, 0]
    # 100 mm at 1000 mm with 500 px: 50 px; the image's centre is (99.5, 49.5).
    expected = torch.tensor(
        [[99.5, 49.5, 1000], [149.5, 49.5, 1000], [99.5, -0.5, 1000], [99.5, 49.5, 500]], dtype=torch.float64
    )
    torch.testing.assert_close(seen, expected)


def test_look_at_puts_the_target_on_the_axis_and_keeps_up_upright() -> None:
    eye, target = points([300.0, -200, 700])[0], points([10.0, 20, 30])[0]
    rotations, translations = look_at(eye, target, UP)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64)[None])
    assert torch.linalg.det(rotations).item() == pytest.approx(1)
    seen = (rotations @ target[..., None])[..., 0] + translations
    torch.testing.assert_close(seen, torch.tensor([[0, 0, (target - eye).norm()]], dtype=torch.float64))
    assert (rotations @ UP)[0, 0].item() == pytest.approx(0)
    assert (rotations @ UP)[0, 1].item() < 0  # y runs down
    cameras = Cameras(rotations[None], translations[None], torch.ones(1, 1), torch.zeros(1, 1, 2))
    torch.testing.assert_close(centres(cameras)[0], eye)


def test_look_at_refuses_a_line_of_sight_along_up() -> None:
    with pytest.raises(ValueError, match="not parallel"):
        look_at(torch.tensor([0.0, 5, 0]), torch.zeros(3), torch.tensor([0.0, 1, 0]))
    with pytest.raises(ValueError, match="not zero"):
        look_at(torch.zeros(3), torch.zeros(3), torch.tensor([0.0, 1, 0]))


def test_field_of_view_spans_the_images_height() -> None:
    focal = focal_length_from_field_of_view(90.0, 100)
    assert focal == pytest.approx(50)
    assert focal_length_from_field_of_view(torch.tensor(90.0), 100).item() == pytest.approx(50)
    edge = project(frontal(focal=focal), points([0, 1000 * math.tan(math.radians(45)), 0]))
    assert edge[0, 0, 0, 1].item() == pytest.approx(-0.5)  # the image's upper edge


def test_supersampled_cameras_see_each_sample_at_its_pixel() -> None:
    camera = frontal()
    point = points([10.0, 20, 30])
    x, y, _ = project(camera, point)[0, 0, 0]
    fine = homogeneous_pixels(supersampled(camera_matrices(camera), 3), point)[0, 0, 0]
    # Pixel j holds samples 3 j to 3 j + 2; its centre is that of sample 3 j + 1.
    torch.testing.assert_close(fine[:2] / fine[2], torch.stack([3 * x + 1, 3 * y + 1]))


def test_alignment_undoes_a_known_similarity_exactly() -> None:
    landmarks = points([-30.0, 30, 40], [30, 30, 40], [0, 0, 70], [-25, -35, 50], [25, -35, 55])
    camera = frontal()
    template = project(camera, landmarks)[0, 0, :, :2]
    angle, scale, shift = 0.3, 0.7, torch.tensor([5.0, -8.0], dtype=torch.float64)
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    template = scale * template @ turn.T + shift
    aligned = align_to_template(camera, landmarks, template)
    torch.testing.assert_close(project(aligned, landmarks)[0, 0, :, :2], template)
    torch.testing.assert_close(centres(aligned), centres(camera))
    torch.testing.assert_close(
        aligned.rotations @ aligned.rotations.mT, torch.eye(3, dtype=torch.float64)[None, None]
    )
    assert aligned.focal_lengths.item() == pytest.approx(0.7 * 500)


def test_alignment_is_the_least_squares_similarity() -> None:
    generator = torch.Generator().manual_seed(0)
    landmarks = 50 * torch.randn(1, 6, 3, generator=generator, dtype=torch.float64)
    template = 30 * torch.randn(6, 2, generator=generator, dtype=torch.float64)
    camera = frontal()
    seen = project(camera, landmarks)[0, 0, :, :2]
    # The judge: linear least squares in (a, b, c, d) of x' = a x - b y + c, y' = b x + a y + d.
    x, y, one, zero = seen[:, 0], seen[:, 1], torch.ones(6).double(), torch.zeros(6).double()
    design = torch.cat([torch.stack([x, -y, one, zero], 1), torch.stack([y, x, zero, one], 1)])
    solution = torch.linalg.lstsq(design, template.T.flatten()[:, None]).solution
    expected = (design @ solution)[:, 0].unflatten(0, (2, 6)).T
    aligned = align_to_template(camera, landmarks, template)
    torch.testing.assert_close(project(aligned, landmarks)[0, 0, :, :2], expected)


def test_alignment_does_not_depend_on_the_cameras_roll_or_framing() -> None:
    generator = torch.Generator().manual_seed(0)
    landmarks = 50 * torch.randn(1, 6, 3, generator=generator, dtype=torch.float64)
    template = 30 * torch.randn(6, 2, generator=generator, dtype=torch.float64)
    camera = frontal()
    roll = torch.tensor([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]], dtype=torch.float64)
    other = Cameras(
        roll @ camera.rotations,
        (roll @ camera.translations[..., None])[..., 0],
        3 * camera.focal_lengths,
        camera.principal_points + 17,
    )
    for one, two in zip(
        align_to_template(camera, landmarks, template),
        align_to_template(other, landmarks, template),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


def test_alignment_is_differentiable_in_landmarks_and_camera() -> None:
    generator = torch.Generator().manual_seed(0)
    landmarks = (50 * torch.randn(1, 5, 3, generator=generator, dtype=torch.float64)).requires_grad_()
    template = 30 * torch.randn(5, 2, generator=generator, dtype=torch.float64)
    camera = frontal()

    def aligned(landmarks: torch.Tensor, translations: torch.Tensor) -> tuple:
        return tuple(align_to_template(camera._replace(translations=translations), landmarks, template))

    assert torch.autograd.gradcheck(aligned, (landmarks, camera.translations.clone().requires_grad_()))


def test_alignment_says_what_is_wrong_with_its_landmarks() -> None:
    camera, template = frontal(), torch.zeros(2, 2)
    with pytest.raises(ValueError, match="K at least 2"):
        align_to_template(camera, points([0.0, 0, 0]), template[:1])
    with pytest.raises(ValueError, match=r"template must be \[2, 2\]"):
        align_to_template(camera, points([0.0, 0, 0], [1, 0, 0]), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="behind its camera"):
        align_to_template(camera, points([0.0, 0, 0], [1, 0, 2000]), template)
    with pytest.raises(ValueError, match="coincide"):
        align_to_template(camera, points([1.0, 2, 3], [1, 2, 3]), template)
