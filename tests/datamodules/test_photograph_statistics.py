import pytest
import torch

from datamodules import photograph_statistics
from datamodules.photograph_statistics import distance_from_photographs
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.several_crops import SeveralCrops

from .conftest import TinyNetwork

NETWORKS = ["dlib", "dlib-colour", "sface"]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tiny: TinyNetwork) -> TinyNetwork:
    statistics = {
        "networks": {
            "tiny": {
                "sha256": tiny.sha256,
                "mean": [1.0, 2.0, 5.0],
                "standard_deviation": [0.5, 2.0, 0.0],
            }
        }
    }
    monkeypatch.setattr(photograph_statistics, "photograph_statistics", lambda: statistics)
    return tiny


def test_the_distance_is_in_standard_deviations_and_leaves_constant_features_out(known: TinyNetwork) -> None:
    # Means 2, 4 and 9: two and one standard deviations away; the third feature has none.
    features = torch.tensor([[1.0, 4.0, 9.0], [3.0, 4.0, 9.0]])
    assert distance_from_photographs(features, known) == pytest.approx(2.5**0.5)


def test_a_network_that_looks_more_than_once_is_measured_by_one_look_s_statistics(
    known: TinyNetwork,
) -> None:
    assert distance_from_photographs(torch.tensor([[2.0, 4.0, 9.0]]), SeveralCrops(known, 2)) == (
        pytest.approx(2.5**0.5)
    )


def test_the_same_means_are_no_distance_away(known: TinyNetwork) -> None:
    assert distance_from_photographs(torch.tensor([[0.0, 3.0, 5.0], [2.0, 1.0, 5.0]]), known) == 0


def test_a_network_of_other_weights_or_name_has_no_distance(known: TinyNetwork) -> None:
    known.sha256 = "cd" * 32
    assert distance_from_photographs(torch.zeros(2, 3), known) is None
    known.name = "other"
    assert distance_from_photographs(torch.zeros(2, 3), known) is None


@pytest.mark.parametrize("shape", [(2, 4), (0, 3), (3,)])
def test_features_of_another_shape_are_refused(known: TinyNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"features must be \[N, 3\] with N above 0, got"):
        distance_from_photographs(torch.zeros(shape), known)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_packaged_networks_have_statistics(name: str) -> None:
    network = load_network(name)
    statistics = photograph_statistics.photograph_statistics()
    entry = statistics["networks"][name]
    assert len(entry["mean"]) == len(entry["standard_deviation"]) == network.feature_width
    assert statistics["count"] > 1000
    assert distance_from_photographs(torch.tensor([entry["mean"]]), network) == pytest.approx(0, abs=1e-6)
