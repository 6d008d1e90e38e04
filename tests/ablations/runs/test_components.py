import pytest
import torch
from torch import Tensor

from ablations.runs import components
from ablations.runs.components import (
    load_teachers,
    networks_that_may_round,
    rounded_networks,
    teachers_of,
)
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from lightning_modules.teachers import Teachers
from tests.miniatures import SmallNetwork, small_model


def teachers(**options: object) -> Teachers:
    networks = {name: SmallNetwork(seed) for seed, name in enumerate(("dlib", "facenet", "sface"))}
    for name, network in networks.items():
        network.name = name
    return teachers_of(small_model(), networks, Settings(**options).resolved())


@pytest.mark.parametrize(("coloured", "name"), [(True, "dlib-colour"), (False, "dlib")])
def test_an_encoder_that_trains_identity_too_is_one_network(coloured: bool, name: str) -> None:
    found = teachers(cheek_colour=coloured)
    assert found.identity_network is found.encoder
    assert (found.encoder.name, found.judge.name) == (name, "sface")
    assert found.crop == found.encoder.crop


def test_another_identity_network_stays_as_it_is() -> None:
    found = teachers(identity_network="facenet")
    assert (found.encoder.name, found.identity_network.name) == ("dlib-colour", "facenet")
    assert found.crop != found.encoder.crop


def test_a_second_identity_network_trains_beside_the_first() -> None:
    found = teachers(second_identity_network="facenet")
    assert [network.name for network in found.training_networks] == ["dlib-colour", "facenet"]
    assert [network.name for network in found.identity_networks] == ["dlib-colour", "facenet"]
    assert teachers(second_identity_network="none").second_identity_network is None
    back = teachers(identity_network="facenet", second_identity_network="dlib")
    assert back.second_identity_network is back.encoder


@pytest.mark.parametrize("option", ["encoder", "identity_network", "second_identity_network", "judge"])
def test_only_a_judge_may_let_no_gradient_through(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> SmallNetwork:
        network = SmallNetwork()
        network.name, network.differentiable = name, name != "facenet"
        return network

    monkeypatch.setattr(components, "load_network", load)
    monkeypatch.setattr(components, "load_morphable_model", lambda *_, **__: small_model())
    settings = Settings(**{option: "facenet"}).resolved()
    if option == "judge":
        assert load_teachers(settings, Execution(device="cpu")).judge.name == "facenet"
        return
    with pytest.raises(ValueError, match="facenet lets no gradient through to the image: it can only be a"):
        load_teachers(settings, Execution(device="cpu"))


class Unsteady(SmallNetwork):
    """A network whose features are small differences of large numbers."""

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, _ = super().describe(images)
        features = (features @ torch.eye(20) + 100) - 100
        return features, features @ self.projection


def test_networks_round_only_where_that_makes_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    identity = Unsteady(3)
    identity.name = "facenet"
    given = teachers(identity_network="facenet")._replace(identity_network=identity)
    found = networks_that_may_round(given, Settings().resolved(), Execution(precision="bf16-mixed"))
    assert found == {"dlib-colour": torch.bfloat16}
    steady, unsteady = capsys.readouterr().err.splitlines()
    assert steady.startswith(
        "bf16-mixed: the convolutions of dlib-colour run in bfloat16 (cosine to float32 0.9"
    )
    assert unsteady.startswith(
        "bf16-mixed: the convolutions of facenet stay in float32 (cosine to float32 0."
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "16-mixed"])
def test_under_other_precisions_no_network_rounds(precision: str) -> None:
    assert rounded_networks(teachers(), Settings().resolved(), Execution(precision=precision)) == {}


@pytest.mark.parametrize("fast", [True, False])
def test_on_the_cpu_networks_round_where_the_processor_gains_by_it(
    fast: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(components, "multiplies_bfloat16", lambda device: fast and device.type == "cpu")
    found = rounded_networks(teachers(), Settings().resolved(), Execution(precision="bf16-mixed"))
    assert found == ({"dlib-colour": torch.bfloat16} if fast else {})
    assert ("stay in float32, in which this processor is faster" in capsys.readouterr().err) != fast
