from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.landmarks.pose_fitting import Fit, fit_landmarks
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.rendering.camera import Cameras, image_centre, project
from lightning_modules.rendering.pose import cameras_from_poses, head_angles, poses_from_uniform
from lightning_modules.rendering.ranges import SceneRanges

SIZE = (224, 224)
RANGES = SceneRanges(roll_degrees=(-30, 30), distance_mm=(1500, 1500))
CENTRE = image_centre(SIZE, like=torch.zeros((), dtype=torch.float64))


@pytest.fixture
def model(make_model: Callable[..., MorphableModel]) -> MorphableModel:
    return make_model(components=(6, 2, 4))


class Posed:
    """Random faces of a model in random poses, and their landmarks [B, 68, 2] in pictures of 224 pixels."""

    def __init__(
        self, model: MorphableModel, count: int = 8, *, ranges: SceneRanges = RANGES, seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.shape, _, self.expression = model.sample(count, generator)
        neutral = model.landmarks.on(model.vertices(self.shape).double())
        self.poses = poses_from_uniform(torch.rand(count, 1, 5, generator=generator).double(), ranges)
        self.cameras = cameras_from_poses(self.poses, SIZE, target=neutral[:, 17:].mean(1)[:, None])
        self.marks = model.landmarks.on(model.vertices(self.shape, self.expression).double())
        self.landmarks = project(self.cameras, self.marks)[:, 0, :, :2]
        self.centres = CENTRE.expand(count, 2)

    def with_noise(self, pixels: float) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        return self.landmarks + pixels * torch.randn(self.landmarks.shape, generator=generator)

    def degrees_off(self, found: Cameras) -> Tensor:
        turn = found.rotations @ self.cameras.rotations.mT
        cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
        return torch.rad2deg(cosine.clamp(-1, 1).acos())[:, 0]


def test_poses_and_expressions_are_found_again(model: MorphableModel) -> None:
    posed = Posed(model)
    fit = fit_landmarks(model, posed.shape, posed.landmarks, posed.centres, jaw="fixed")
    assert float(posed.degrees_off(fit.cameras).max()) < 0.1
    for angle, expected in zip(head_angles(fit.cameras.rotations), posed.poses[:3], strict=True):
        torch.testing.assert_close(angle, expected, atol=0.1, rtol=0)
    torch.testing.assert_close(fit.expression, posed.expression.double(), atol=0.05, rtol=0)
    torch.testing.assert_close(fit.cameras.focal_lengths, posed.cameras.focal_lengths, rtol=1e-3, atol=0)
    torch.testing.assert_close(fit.cameras.translations, posed.cameras.translations, atol=0.5, rtol=0)
    assert float(fit.residuals.max()) < 0.1
    assert float(fit.deviations_mm.max()) == pytest.approx(0.3)  # the least that is believed


def test_projections_are_those_of_the_cameras_and_coefficients(model: MorphableModel) -> None:
    posed = Posed(model)
    fit = fit_landmarks(
        model, posed.shape, posed.with_noise(2), posed.centres, jaw="fixed", refine_shape=True
    )
    marks = model.landmarks.on(model.vertices(fit.shape.float(), fit.expression.float()).double())
    projections = project(fit.cameras, marks)[:, 0, :, :2]
    torch.testing.assert_close(fit.projections, projections, atol=1e-3, rtol=0)
    residuals = (projections - posed.with_noise(2)).norm(dim=-1)
    torch.testing.assert_close(fit.residuals, residuals, atol=1e-3, rtol=0)


def test_the_minimum_is_scipy_s(model: MorphableModel) -> None:
    posed = Posed(model, 1)
    targets, deviation = posed.with_noise(2), 2.0
    fit = fit_landmarks(
        model, posed.shape, targets, posed.centres, jaw="fixed", deviation_mm=deviation, distance_mm=1500
    )
    start = model.landmarks.on(model.vertices(posed.shape).double())[0]
    basis = (model.expression_basis * model.expression_standard_deviation).T.unflatten(1, (-1, 3))
    basis = model.landmarks.on(basis.double()).numpy()  # [K, 68, 3]
    centred = (start - fit.centres[0]).numpy()

    def pixels(x: np.ndarray) -> np.ndarray:
        points = centred + np.tensordot(x[6:], basis, 1)
        camera = Rotation.from_rotvec(x[:3]).apply(points) + np.array([x[3], x[4], 1500])
        return np.exp(x[5]) * camera[:, :2] / camera[:, 2:] + CENTRE.numpy()

    rotation = fit.cameras.rotations[0, 0]
    origin = fit.cameras.translations[0, 0] + rotation @ fit.centres[0]
    ours = np.concatenate(
        [
            Rotation.from_matrix(rotation.numpy()).as_rotvec(),
            origin[:2],
            fit.cameras.focal_lengths[0].log(),
            fit.expression[0],
        ]
    )
    np.testing.assert_allclose(pixels(ours), fit.projections[0], atol=1e-3)
    scale = float(fit.cameras.focal_lengths) / 1500 * deviation

    def residuals(x: np.ndarray) -> np.ndarray:
        return np.concatenate([((pixels(x) - targets[0].numpy()) / scale).ravel(), x[6:]])

    theirs = least_squares(residuals, ours + 0.01, x_scale="jac", xtol=1e-12, ftol=1e-12)
    # The scale that weights start from is within a few per cent of the fitted one.
    assert float((residuals(ours) ** 2).sum()) == pytest.approx(2 * theirs.cost, rel=1e-3)
    np.testing.assert_allclose(ours, theirs.x, atol=0.02)


def test_a_known_focal_length_stays_and_gives_the_distance(model: MorphableModel) -> None:
    posed = Posed(model, ranges=SceneRanges(distance_mm=(500, 1000)))
    known = posed.cameras.focal_lengths[:, 0]
    fit = fit_landmarks(model, posed.shape, posed.landmarks, posed.centres, focal_lengths=known, jaw="fixed")
    assert fit.cameras.focal_lengths[:, 0].tolist() == known.tolist()
    torch.testing.assert_close(fit.cameras.translations, posed.cameras.translations, atol=3, rtol=0)
    assert float(posed.degrees_off(fit.cameras).max()) < 0.2


def test_an_assumed_distance_stays(model: MorphableModel) -> None:
    posed = Posed(model)
    fit = fit_landmarks(model, posed.shape, posed.landmarks, posed.centres, jaw="fixed", distance_mm=900)
    depth = (fit.cameras.rotations[:, 0] @ fit.centres[..., None])[:, 2, 0] + fit.cameras.translations[
        :, 0, 2
    ]
    assert depth.tolist() == pytest.approx([900.0] * 8)
    assert float(posed.degrees_off(fit.cameras).max()) < 5


def test_noise_is_estimated_and_the_fit_stays_near(model: MorphableModel) -> None:
    posed = Posed(model, 24)
    fit = fit_landmarks(model, posed.shape, posed.with_noise(2), posed.centres, jaw="fixed")
    pixels_per_mm = posed.cameras.focal_lengths[:, 0] / 1500
    # 126 degrees of freedom each, 24 faces: a standard error of 1.3 %.
    assert float((fit.deviations_mm * pixels_per_mm).mean()) == pytest.approx(2.0, rel=0.05)
    assert float(posed.degrees_off(fit.cameras).mean()) < 1.0


def test_landmarks_that_were_not_marked_do_not_count(model: MorphableModel) -> None:
    posed = Posed(model)
    landmarks = posed.landmarks.clone()
    landmarks[0, 20:30], landmarks[1, 5] = torch.nan, torch.nan
    fit = fit_landmarks(model, posed.shape, landmarks, posed.centres, jaw="fixed")
    assert float(posed.degrees_off(fit.cameras).max()) < 0.2
    assert fit.residuals.isnan().sum(1).tolist() == [10, 1, 0, 0, 0, 0, 0, 0]
    assert bool(fit.projections.isfinite().all())


def test_without_the_jaw_its_landmarks_may_lie_anywhere(model: MorphableModel) -> None:
    posed = Posed(model)
    landmarks = posed.landmarks.clone()
    landmarks[:, :17] += 30
    fit = fit_landmarks(model, posed.shape, landmarks, posed.centres, jaw="none")
    assert float(posed.degrees_off(fit.cameras).max()) < 0.2
    assert float(fit.residuals[:, :17].min()) > 20


def test_five_points_fix_the_pose_only(model: MorphableModel) -> None:
    posed = Posed(model)
    neutral = five_points(model.landmarks.on(model.vertices(posed.shape).double()))
    points = project(posed.cameras, neutral)[:, 0, :, :2]
    fit = fit_landmarks(model, posed.shape, points, posed.centres, refine_shape=True)
    assert float(posed.degrees_off(fit.cameras).max()) < 0.1
    assert fit.expression.shape == (8, 0)
    assert torch.equal(fit.shape, posed.shape.double())


def test_a_refined_shape_comes_nearer_to_the_face(model: MorphableModel) -> None:
    posed = Posed(model)
    guess = posed.shape + 0.7 * torch.randn(posed.shape.shape, generator=torch.Generator().manual_seed(1))
    options = {"jaw": "fixed", "expression": True}
    kept = fit_landmarks(model, guess, posed.landmarks, posed.centres, **options)
    fit = fit_landmarks(model, guess, posed.landmarks, posed.centres, refine_shape=True, **options)
    assert torch.equal(kept.shape, guess.double())

    def off(found: Fit) -> float:
        return float((model.vertices(found.shape.float()) - model.vertices(posed.shape)).norm(dim=-1).mean())

    assert off(fit) < 0.5 * off(kept)
    stiff = fit_landmarks(
        model, guess, posed.landmarks, posed.centres, refine_shape=True, shape_deviation=1e-4, **options
    )
    torch.testing.assert_close(stiff.shape, guess.double(), atol=1e-3, rtol=0)


def test_sizes_are_checked(model: MorphableModel) -> None:
    posed = Posed(model, 2)
    with pytest.raises(ValueError, match=r"must be \[B, 68, 2\] or \[B, 5, 2\], got \[2, 67, 2\]"):
        fit_landmarks(model, posed.shape, posed.landmarks[:, 1:], posed.centres)
    with pytest.raises(
        ValueError, match=r"2 faces' landmarks need as many shapes .* got \[1, 6\] and \[2, 2\]"
    ):
        fit_landmarks(model, posed.shape[:1], posed.landmarks, posed.centres)


def test_too_few_landmarks_and_those_in_one_place_are_refused(model: MorphableModel) -> None:
    posed = Posed(model, 2)
    few, flat = posed.landmarks.clone(), posed.landmarks.clone()
    few[1, 21:], flat[0] = torch.nan, 5.0
    with pytest.raises(ValueError, match=r"face 1 \(from 0\): 4 landmarks beside those of the jaw; .* 5"):
        fit_landmarks(model, posed.shape, few, posed.centres)
    with pytest.raises(ValueError, match=r"face 0 \(from 0\): the landmarks all lie in one place"):
        fit_landmarks(model, posed.shape, flat, posed.centres)


def test_the_open_model_s_faces_are_found_within_a_degree() -> None:
    model = load_morphable_model("open", shape_components=20, albedo_components=0)
    posed = Posed(model, 16)
    fit = fit_landmarks(model, posed.shape, posed.landmarks, posed.centres, jaw="fixed")
    assert float(posed.degrees_off(fit.cameras).max()) < 0.5
    noisy = fit_landmarks(model, posed.shape, posed.with_noise(1), posed.centres, jaw="fixed")
    assert float(posed.degrees_off(noisy.cameras).mean()) < 1.0
    true = model.vertices(posed.shape, posed.expression)

    def off(expression: Tensor | None) -> float:
        vertices = model.vertices(posed.shape, None if expression is None else expression.float())
        return float((vertices - true).norm(dim=-1).mean())

    assert off(fit.expression) < 0.3 * off(None)
    assert off(noisy.expression) < 0.6 * off(None)
