from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.sampling import mixed_seed
from datamodules.slider_people import NOSE_TIP, SLIDERS, SliderPeople
from datamodules.stand_in_photographs import StandInPhotographs
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.open_model.build import draw_shapes, read_head


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("open")


def people_of(model: MorphableModel, folder: Path) -> SliderPeople:
    return SliderPeople(model, count=6, cache_folder=folder, workers=0, progress=False)


@pytest.fixture(scope="module")
def people(model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> SliderPeople:
    return people_of(model, tmp_path_factory.mktemp("people"))


@pytest.mark.slow
def test_the_faces_are_those_of_the_sliders(model: MorphableModel, people: SliderPeople) -> None:
    source = read_head(1)
    drawn = draw_shapes(6, np.random.default_rng(mixed_seed(0, SLIDERS, 0)), source)
    expected = torch.from_numpy(np.stack([source.head.matrix @ shape for shape in drawn])).float()
    nose = model.landmarks.on(expected)[:, NOSE_TIP, None]
    torch.testing.assert_close(people.cast.vertices, expected - nose)
    assert people.cast.sliders.ethnicity.shape == (6, 3)
    np.testing.assert_allclose(people.cast.sliders.ethnicity.sum(1), 1)


def test_the_open_model_makes_these_faces_but_for_a_little(
    model: MorphableModel, people: SliderPeople
) -> None:
    mean, axes = model.neutral_mean.view(-1, 3).double(), torch.eye(3).double()
    moves = [axis.expand_as(mean) for axis in axes]
    turns = [torch.cross(axis.expand_as(mean), mean, dim=1) for axis in axes]
    rigid = torch.stack([*moves, *turns]).flatten(1).T
    basis = torch.linalg.qr(torch.cat([model.components("shape").basis.double(), rigid], 1)).Q
    flat = (people.cast.vertices.flatten(1) - model.neutral_mean).double()
    left = (flat - flat @ basis @ basis.T).view(-1, 3).norm(dim=1)
    assert left.square().mean().sqrt() < 0.15  # mm; 0.07 was seen


def test_photographs_are_of_the_true_faces_and_share_nobody_with_the_stand_in(
    model: MorphableModel, people: SliderPeople, tmp_path: Path
) -> None:
    photograph = people.render([2])[0]
    assert photograph.pixels.dtype == np.uint8
    assert photograph.pixels.std() > 10
    again = people_of(model, tmp_path).render([2])[0]
    np.testing.assert_array_equal(photograph.pixels, again.pixels)
    stand_in = StandInPhotographs(model, count=6, cache_folder=tmp_path, workers=0, progress=False)
    albedo = people.person(2).coefficients.albedo
    assert not torch.equal(albedo, stand_in.person(2).coefficients.albedo)
    assert stand_in.folder != people.folder
    torch.testing.assert_close(people.true_faces([2]).albedo, model.albedo(albedo))
    torch.testing.assert_close(people.true_faces([2]).vertices[0], people.cast.vertices[2])


def test_another_model_than_the_open_one_of_level_1_is_refused(
    small_model: MorphableModel, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError, match="sliders are the open model's of level 1, got miniature; use `open`"
    ):
        people_of(small_model, tmp_path).cast  # noqa: B018 - made when first asked for


def test_several_photographs_show_one_person_and_a_single_one_is_as_ever(
    model: MorphableModel, people: SliderPeople, tmp_path: Path
) -> None:
    pairs = SliderPeople(
        model, count=12, photographs_per_person=2, cache_folder=tmp_path, workers=0, progress=False
    )
    assert pairs.folder != people.folder
    # Six people as there, and the photographs 4 and 5 show the third of them.
    torch.testing.assert_close(pairs.cast.vertices, people.cast.vertices)
    for number in (4, 5):
        torch.testing.assert_close(pairs.true_faces([number]).vertices[0], people.cast.vertices[2])
        assert pairs.person(number).coefficients.albedo.equal(people.person(2).coefficients.albedo)
    one, other = pairs.render([4, 5])
    assert not np.array_equal(one.pixels, other.pixels)
