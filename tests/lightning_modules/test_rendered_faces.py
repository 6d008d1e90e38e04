import math

import pytest
import torch

from lightning_modules.faces.aligned_rendering import (
    FRONTAL_AMBIENT,
    FRONTAL_COLOUR,
    FRONTAL_INTENSITIES,
    AlignedFrame,
    as_judged,
    render_frontal,
)
from lightning_modules.faces.morphable_model import Faces
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.frame import RENDERED_POINTS, WHOLE_FRAME
from lightning_modules.rendered_faces import (
    frame_of,
    jittered,
    render_for_judge,
    render_from_the_front,
    render_randomly,
)
from lightning_modules.rendering.colour import decode_srgb
from lightning_modules.teachers import Teachers


def faces(count: int) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    return Prediction(torch.randn(count, 4, generator=generator), torch.randn(count, 3, generator=generator))


def draw(
    teachers: Teachers, some: Prediction, samples: range, *, seed: int = 1, step: int = 2
) -> torch.Tensor:
    return render_randomly(
        teachers.model, some, teachers.crop, views=2, seed=seed, step=step, samples=samples
    )


def test_a_face_s_scene_follows_from_seed_step_and_sample(teachers: Teachers) -> None:
    some = faces(4)
    whole = draw(teachers, some, range(4))
    assert whole.shape == (4, 2, 3, 24, 24)
    last = draw(teachers, Prediction(some.shape[2:], some.albedo[2:]), range(2, 4))
    torch.testing.assert_close(last, whole[2:], atol=1e-5, rtol=0)
    for change in ({"seed": 3}, {"step": 3}):
        assert not torch.allclose(draw(teachers, some, range(4), **change), whole, atol=1e-2)


def test_views_of_a_face_differ(teachers: Teachers) -> None:
    views = draw(teachers, faces(1), range(1))
    assert not torch.allclose(views[:, 0], views[:, 1], atol=1e-2)


def test_from_the_front_a_face_is_lit_and_symmetric_in_pose(teachers: Teachers) -> None:
    mean = Prediction(torch.zeros(1, 4), torch.zeros(1, 3))
    image = render_from_the_front(teachers.model, mean)[0]
    covered = image.amax(0) > 1e-3  # the background is black
    columns = torch.nonzero(covered.any(0))[:, 0]
    assert abs(float(columns.min() + columns.max()) - 223) <= 6
    assert 0.3 < float(image[:, covered].mean()) < 0.9


def test_from_the_front_a_grey_face_is_lit_as_brightly_as_photographs_and_as_warmly(
    teachers: Teachers,
) -> None:
    model = teachers.model
    grey = torch.full((1, model.albedo_mean.numel() // 3, 3), 0.5)
    frame = frame_of(WHOLE_FRAME)
    image = render_frontal(model, Faces(model.neutral_mean.view(1, -1, 3), grey), frame)[0, 0]
    lit = decode_srgb(image[:, image.amax(0) > 0.1]).median(1).values
    albedo = float(decode_srgb(torch.tensor(0.5)))
    # Where light falls from all sides, its sum is that of the lights: a face turned to both sees less.
    assert albedo < float(lit.mean()) < sum(FRONTAL_INTENSITIES, FRONTAL_AMBIENT) * albedo
    torch.testing.assert_close(
        lit / lit[1], torch.tensor(FRONTAL_COLOUR) / FRONTAL_COLOUR[1], rtol=5e-3, atol=0
    )


def test_a_judge_sees_faces_softened_and_black_above_the_forehead(teachers: Teachers) -> None:
    mean = Prediction(torch.zeros(1, 4), torch.zeros(1, 3))
    image, judged = render_from_the_front(teachers.model, mean)[0], render_for_judge(teachers.model, mean)[0]
    eyes, mouth = RENDERED_POINTS[:2, 1].mean(), RENDERED_POINTS[3:, 1].mean()
    top = round(eyes - 0.78 * (mouth - eyes))
    assert float(judged[:, :top].abs().max()) == 0 < float(image[:, :top].max())
    below, softer = image[:, top + 8 :], judged[:, top + 8 :]
    assert float(softer.mean()) == pytest.approx(float(below.mean()), rel=0.02)
    assert float(softer.diff(dim=-1).abs().max()) < 0.6 * float(below.diff(dim=-1).abs().max())


def test_a_judge_sees_faces_as_they_are_rendered_where_they_are_not_retouched(teachers: Teachers) -> None:
    mean = Prediction(torch.zeros(1, 4), torch.zeros(1, 3))
    rendered = render_from_the_front(teachers.model, mean)
    assert torch.equal(render_for_judge(teachers.model, mean, retouched=False), rendered)


def test_softening_keeps_an_even_image_and_spreads_a_point() -> None:
    frame = frame_of(WHOLE_FRAME)
    even = torch.full((1, 3, 224, 224), 0.5)
    torch.testing.assert_close(as_judged(even, frame)[..., 100:, :], even[..., 100:, :])
    point = torch.zeros(1, 1, 224, 224)
    point[..., 150, 100] = 1
    spread = as_judged(point, frame)
    # A Gaussian of one pixel: its two-dimensional peak is 1 / (2 pi), a pixel aside exp(-1/2) of it.
    assert float(spread[0, 0, 150, 100]) == pytest.approx(1 / (2 * math.pi), rel=1e-3)
    assert float(spread[0, 0, 150, 101]) == pytest.approx(math.exp(-0.5) / (2 * math.pi), rel=1e-3)
    assert float(spread.sum()) == pytest.approx(1, rel=1e-5)


def test_jitter_moves_turns_and_scales_each_view_s_template_alone() -> None:
    frame = AlignedFrame(torch.tensor([[6.0, 8.0], [18.0, 8.0], [12.0, 12.0], [8.0, 18.0], [16.0, 18.0]]), 24)
    generators = [torch.Generator().manual_seed(seed) for seed in range(400)]
    moved = jittered(frame, generators, 2, 0.02).template.float()
    assert moved.shape == (400, 2, 5, 2)
    assert not torch.equal(moved[:, 0], moved[:, 1])
    shift = moved.mean(2) - frame.template.mean(0)
    torch.testing.assert_close(shift.std((0, 1)), torch.full((2,), 0.02 * 24), rtol=0.1, atol=0)
    # Shape is kept: all distances change by one factor.
    factors = torch.cdist(moved, moved)[..., 0, 1:] / torch.cdist(frame.template, frame.template)[0, 1:]
    torch.testing.assert_close(factors, factors[..., :1].expand_as(factors), rtol=1e-4, atol=0)
    assert abs(float(factors.log().std()) - 0.02) < 0.002
