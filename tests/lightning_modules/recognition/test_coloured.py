from pathlib import Path

import pytest
import torch

from datamodules.alignment.face_cache import FaceCache
from datamodules.alignment.feature_cache import FaceFeatures
from lightning_modules.recognition.coloured import Coloured, cheeks_of
from lightning_modules.recognition.encoder_names import underlying
from lightning_modules.recognition.frame import CHEEKS
from lightning_modules.recognition.networks import load_network
from tests.miniatures import SmallNetwork


def with_cheeks(left: tuple[float, float, float], right: tuple[float, float, float]) -> torch.Tensor:
    """A grey canonical image [1, 3, 224, 224] with coloured cheeks, a little larger than their boxes."""
    image = torch.full((1, 3, 224, 224), 0.5)
    for colour, (x, y, end_x, end_y) in zip((left, right), CHEEKS, strict=True):
        image[0, :, y - 12 : end_y + 13, x - 12 : end_x + 13] = torch.tensor(colour)[:, None, None]
    return image


def test_features_end_with_the_mean_colour_of_both_cheeks() -> None:
    network = SmallNetwork()
    seen = Coloured(network)(with_cheeks((0.8, 0.6, 0.5), (0.4, 0.2, 0.1)))
    assert seen.features.shape == (1, network.feature_width + 3)
    torch.testing.assert_close(cheeks_of(seen.features), torch.tensor([[0.6, 0.4, 0.3]]), rtol=0, atol=1e-6)


def test_all_else_is_the_network_s_own() -> None:
    network, images = SmallNetwork(), torch.rand(2, 3, 224, 224)
    plain, coloured = network(images), Coloured(network)(images)
    torch.testing.assert_close(coloured.features[:, :-3], plain.features, rtol=0, atol=0)
    torch.testing.assert_close(coloured.embedding, plain.embedding, rtol=0, atol=0)


def test_gradients_of_the_colour_reach_the_cheeks_alone() -> None:
    images = torch.rand(1, 3, 224, 224, requires_grad=True)
    cheeks_of(Coloured(SmallNetwork())(images).features).sum().backward()
    reached = images.grad[0, 0] > 0
    boxes = torch.zeros(224, 224, dtype=torch.bool)
    for left, top, right, bottom in CHEEKS:
        boxes[top - 8 : bottom + 9, left - 8 : right + 9] = True
    assert reached.any()
    assert not (reached & ~boxes).any()


def test_its_name_and_hash_are_not_the_network_s() -> None:
    network = SmallNetwork()
    coloured = Coloured(network)
    assert coloured.name == "small-colour"
    assert underlying(coloured.name) == underlying("small") == "small"
    assert coloured.sha256 != network.sha256
    assert coloured.sha256 != Coloured(SmallNetwork(1)).sha256
    assert not list(coloured.parameters())
    assert not coloured.train().training
    assert not coloured.state_dict()


def test_features_of_two_descriptor_layers_are_cached_apart(tmp_path: Path) -> None:
    folders = set()
    for layer in ("fc6", "fc7-relu"):
        network = SmallNetwork()
        network.descriptor_layer = layer
        folders.add(FaceFeatures(FaceCache(tmp_path), Coloured(network)).folder)
    assert len(folders) == 2


def test_it_is_loaded_by_its_name() -> None:
    loaded = load_network("dlib-colour")
    assert (loaded.name, loaded.feature_width) == ("dlib-colour", 259)
    # The cheeks in dlib's own crop of 150 pixels, whose scale is near that of the canonical frame.
    assert loaded.boxes == [(34, 67, 54, 86), (95, 67, 115, 86)]
    for name in ("arcface", "dlib-colour-colour"):
        with pytest.raises(ValueError, match=f"no recognition network is called '{name}'"):
            load_network(name)
    with pytest.raises(ValueError, match="no recognition network is called 'arcface'"):
        load_network("arcface-colour")
