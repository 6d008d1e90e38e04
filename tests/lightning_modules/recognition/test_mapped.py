import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.recognition.coloured import Coloured, cheeks_of
from lightning_modules.recognition.dlib import load_dlib
from lightning_modules.recognition.mapped import Mapped
from lightning_modules.recognition.networks import as_encoder, load_network, with_crops, with_map
from lightning_modules.recognition.resampling import resample
from tests.miniatures import NetworkWithHalves, SmallNetwork


def photographs() -> Tensor:
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    images[..., 112:] /= 4
    return images


def test_features_are_the_network_s_and_then_the_map_of_one_crop() -> None:
    network, images = NetworkWithHalves(), photographs()
    halves = network.feature_map(resample(images, network.crop))
    assert (halves[:, 0] > 2 * halves[:, 1]).all()
    for encoder in (network, as_encoder(network, crops=4), as_encoder(network, crops=4, coloured=True)):
        for seen, had in (
            (Mapped(encoder).of_photographs(images), encoder.of_photographs(images)),
            (Mapped(encoder)(images), encoder(images)),  # as a frame of a video, or a rendering
        ):
            assert seen.features.shape == (2, Mapped(encoder).feature_width)
            assert seen.features[:, :-2].equal(had.features)
            # Not a mean with the mirror image: left stays left.
            torch.testing.assert_close(seen.features[:, -2:], halves, rtol=0, atol=1e-6)
            assert seen.embedding.equal(had.embedding)
            assert seen.descriptor.equal(had.descriptor)
    whole = Mapped(Coloured(network)).of_photographs(images).features
    assert cheeks_of(whole[:, :-2]).equal(cheeks_of(Coloured(network)(images).features))


def test_name_hash_and_what_sees_renderings() -> None:
    network = NetworkWithHalves()
    several = as_encoder(network, crops=4, coloured=True)
    mapped = as_encoder(network, crops=4, coloured=True, mapped=True)
    assert mapped.name == "small-4crops-colour-map"
    assert len({network.sha256, several.sha256, mapped.sha256, Mapped(network).sha256}) == 4
    assert mapped.once.name == "small-colour"
    assert [encoder.plain for encoder in (network, several, mapped)] == [network] * 3
    assert not mapped.state_dict()
    assert not mapped.train().training


def test_an_encoder_gets_the_map_that_its_network_has() -> None:
    several = as_encoder(NetworkWithHalves(), crops=4, coloured=True)
    mapped = with_map(several)
    assert mapped.sha256 == Mapped(several).sha256
    assert with_map(mapped) is mapped
    assert with_crops(mapped, 2).name == "small-2crops-colour-map"
    assert with_crops(several, 2).name == "small-2crops-colour"
    none = as_encoder(SmallNetwork(), crops=4)
    assert with_map(none) is none
    with pytest.raises(ValueError, match="small gives no feature map"):
        Mapped(none)


def test_dlib_s_is_its_last_map_of_128_channels_in_four_by_four_cells(face_like_images: Tensor) -> None:
    network = load_dlib()
    images = resample(face_like_images, network.crop)
    x = functional.relu(functional.max_pool2d(network.stem((255 * images - network.mean) / 256), 3, 2))
    maps = []
    for block in network.blocks:
        maps.append(x := block(x))
    last = [each for each in maps if each.shape[1] == 128][-1]
    assert last.shape[2:] == (8, 8)
    found = network.feature_map(images).unflatten(1, (128, 4, 4))
    torch.testing.assert_close(found, functional.avg_pool2d(last, 2), rtol=1e-4, atol=1e-5)
    # Its features are what they were.
    torch.testing.assert_close(network.describe(images)[0], x.mean((2, 3)), rtol=1e-4, atol=1e-6)
    loaded = load_network("dlib-4crops-colour-map")
    assert (loaded.name, loaded.feature_width) == ("dlib-4crops-colour-map", 256 + 3 + 2048)
