from collections.abc import Callable

import pytest
import torch

from lightning_modules.faces.blendshapes import ACTIVATIONS, DEVIATIONS, MOST_COMPONENTS, blendshapes_of
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents
from lightning_modules.faces.open_model.build import read_head
from lightning_modules.faces.open_model.named_units import named_units

MakeModel = Callable[..., MorphableModel]
# Apple's list of ARFaceAnchor.BlendShapeLocation, sides written once.
SIDED = """
    browDown browOuterUp cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp eyeSquint eyeWide
    mouthDimple mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer
"""
WHOLE = """
    browInnerUp cheekPuff jawForward jawLeft jawOpen jawRight mouthClose mouthFunnel mouthLeft mouthPucker
    mouthRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper tongueOut
"""
ARKIT = {*WHOLE.split(), *(f"{name}{side}" for name in SIDED.split() for side in ("Left", "Right"))}


def open_like(vertices: int) -> MorphableModel:
    """A model that says that it is the open one, of so many vertices."""
    part = PrincipalComponents(torch.zeros(3 * vertices), torch.zeros(3 * vertices, 0), torch.zeros(0), 0.0)
    source = ModelSource("open", "open-recipe4-anny0.6.2-level1", "")
    triangles = torch.tensor([[0, 1, 2]])
    return MorphableModel(
        shape=part, albedo=part, expression=None, triangles=triangles, landmarks="none", provenance=source
    )


@pytest.fixture(scope="module")
def units() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(unit) for name, unit in named_units(1).items()}


def test_the_open_model_has_arkit_s_expressions_but_the_tongue(units: dict[str, torch.Tensor]) -> None:
    assert len(ARKIT) == 52
    count = len(next(iter(units.values())))
    found = blendshapes_of(open_like(count), "open")
    assert set(found.names) == ARKIT - {"tongueOut"}
    assert found.limits == ACTIVATIONS
    assert tuple(found.displacements.shape) == (51, count, 3)
    assert float(found.displacements.norm(dim=2).amax(1).min()) > 1  # each moves something by a millimetre


def test_expressions_move_what_their_names_say(units: dict[str, torch.Tensor]) -> None:
    def largest(name: str) -> torch.Tensor:
        return units[name][units[name].norm(dim=1).argmax()]

    assert float(largest("jawOpen")[1]) < -10  # the chin goes down
    assert float(largest("browInnerUp")[1]) > 2
    assert float(largest("jawLeft")[0]) > 2  # x is to the subject's left
    source = read_head(1)
    across = torch.from_numpy((source.head.matrix @ source.base)[:, 0])
    for name in ("eyeBlink", "mouthSmile", "browOuterUp", "noseSneer"):
        left, right = (units[f"{name}{side}"].norm(dim=1) for side in ("Left", "Right"))
        assert float((left * across).sum() / left.sum()) > 10
        assert float((right * across).sum() / right.sum()) < -10


def test_other_models_give_their_components_at_one_deviation(make_model: MakeModel) -> None:
    model = make_model(components=(2, 2, 4))
    found = blendshapes_of(model, "open")
    assert found.names == ("expression001", "expression002", "expression003", "expression004")
    assert found.limits == DEVIATIONS
    zero, third = torch.zeros(1, 2), torch.tensor([[0.0, 0, 1, 0]])
    expected = model.vertices(zero, third) - model.vertices(zero)
    torch.testing.assert_close(found.displacements[2], expected[0], atol=1e-4, rtol=0)


def test_of_many_components_the_first_are_taken(make_model: MakeModel) -> None:
    assert len(blendshapes_of(make_model(components=(2, 2, 60)), "open").names) == MOST_COMPONENTS


def test_a_model_without_expressions_says_so(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="has no expressions; leave --blendshapes out"):
        blendshapes_of(make_model(components=(2, 2, 0)), "open")


def test_another_version_s_open_model_gives_its_components() -> None:
    with pytest.raises(ValueError, match="has no expressions"):  # it has none, and no units of that mesh
        blendshapes_of(open_like(5), "open")
