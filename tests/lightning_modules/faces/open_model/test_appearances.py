import numpy as np
import pytest

from lightning_modules.faces.open_model import appearances, build
from lightning_modules.faces.open_model.appearances import Appearances, Painter
from lightning_modules.faces.open_model.head import Head
from lightning_modules.faces.open_model.marks import marked_landmarks
from lightning_modules.faces.open_model.regions import Regions, find_regions, smooth_step


@pytest.fixture(scope="module")
def head() -> Head:
    return build.read_head(1).head


@pytest.fixture(scope="module")
def regions(head: Head) -> Regions:
    source = build.read_head(1)
    return find_regions(head, head.matrix @ source.base, marked_landmarks(head))


def plain(**changes: object) -> Appearances:
    """One light-skinned person without beard, fields or flush, with black hair."""
    person = appearances.draw_appearances(1, np.random.default_rng(0))._replace(
        melanin=np.array([0.2]),
        haemoglobin=np.array([0.3]),
        fields=np.zeros((1, 2, appearances.FIELDS)),
        flush=np.zeros((1, 5)),
        lip_melanin=np.zeros(1),
        hair=np.full((1, 3), 0.01),
        brow=np.array([[0.0, 3.0, 0.0, 0.9, 1.0]]),
        beard=np.zeros(1),
        lashes=np.ones(1),
        iris=np.array([[0.09, 0.15, 0.21]]),
    )
    return person._replace(**changes)


def test_smooth_step_is_a_half_in_the_middle() -> None:
    np.testing.assert_allclose(smooth_step(np.array([-1.0, 1.0, 2.0, 3.0, 9.0]), 1.0, 3.0), [0, 0, 0.5, 1, 1])


def test_skin_absorbs_by_beer_lambert(regions: Regions) -> None:
    colour = Painter(regions)._skin(Appearances(*(values[0] for values in plain())))
    bare = regions.skin & (regions.caruncle < 1e-6)
    expected = appearances.SKIN_BASE * np.exp(
        -0.2 * appearances.MELANIN_ABSORPTION - 0.3 * appearances.HAEMOGLOBIN_ABSORPTION
    )
    np.testing.assert_allclose(colour[bare], np.tile(expected, (bare.sum(), 1)), rtol=1e-5)


def test_more_melanin_is_darker_everywhere_on_the_skin(regions: Regions) -> None:
    painter = Painter(regions)
    light, dark = painter.paint(plain()), painter.paint(plain(melanin=np.array([0.8])))
    hairless = regions.skin & (regions.lash_distance > 4) & (regions.brow_distance > 8)
    assert np.all(dark[0, hairless] < light[0, hairless])


def test_the_smooth_fields_have_unit_variance_and_no_seam(regions: Regions) -> None:
    fields = appearances._smooth_fields(regions.positions)
    mixed = fields @ np.random.default_rng(0).normal(size=(appearances.FIELDS, 400))
    assert mixed.std() == pytest.approx(1.0, abs=0.25)
    mirrored = appearances._smooth_fields(regions.positions * [-1, 1, 1])
    np.testing.assert_allclose(fields, mirrored, atol=1e-9)


def test_brows_lie_where_their_landmarks_are(head: Head, regions: Regions) -> None:
    landmarks = marked_landmarks(head)
    painter = Painter(regions)
    with_brows = painter.paint(plain())[0]
    without = painter.paint(plain(brow=np.array([[0.0, 3.0, 0.0, 0.0, 1.0]])))[0]
    darkened = (without - with_brows).sum(1)
    brow_marks = regions.positions[landmarks.vertex_ids[17:27, 0].numpy()]
    distances = np.linalg.norm(regions.positions[darkened > 0.3][:, None] - brow_marks, axis=-1).min(1)
    assert distances.max() < 12
    assert darkened[landmarks.vertex_ids[19, 0]] > 0.3
    assert darkened[landmarks.vertex_ids[30, 0]] == 0


def test_a_beard_spares_lips_nose_and_forehead(head: Head, regions: Regions) -> None:
    painter, landmarks = Painter(regions), marked_landmarks(head).vertex_ids[:, 0].numpy()
    darkened = (painter.paint(plain()) - painter.paint(plain(beard=np.array([0.7])))).sum(-1)[0]
    assert darkened[landmarks[8]] > 0.2
    assert np.all(darkened[landmarks[[30, 27, 19, 36, 66, 62]]] < 0.02)


def test_the_iris_sits_in_the_middle_of_the_front_of_the_eyeball(regions: Regions) -> None:
    colours = Painter(regions).paint(plain())[0]
    pupil, white = regions.gaze_angle < 0.1, np.isfinite(regions.gaze_angle) & (regions.gaze_angle > 0.7)
    iris = (regions.gaze_angle > 0.28) & (regions.gaze_angle < 0.34)
    assert colours[pupil].max() < 0.05
    assert colours[white].mean() > colours[iris].mean() > colours[pupil].mean()
    assert colours[iris][:, 2].mean() > colours[iris][:, 0].mean()  # blue


def test_painting_is_a_function_of_the_seed(regions: Regions) -> None:
    painter = Painter(regions)
    first, again, other = (
        painter.paint(appearances.draw_appearances(2, np.random.default_rng(seed))) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1
