from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from datamodules.alignment.face_cache import FaceCache
from datamodules.alignment.feature_cache import FaceFeatures
from lightning_modules.plain.number_types import CropCount, range_of
from lightning_modules.recognition.coloured import Coloured, cheeks_of
from lightning_modules.recognition.frame import WHOLE_FRAME, Crop
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import as_encoder, load_network, with_crops
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.several_crops import MOST_CROPS, MOVES, SeveralCrops, moved
from tests.miniatures import SmallNetwork


class Places(RecognitionNetwork):
    """Says how bright each quarter of its crop is."""

    def __init__(self) -> None:
        super().__init__("0" * 64)
        self.name, self.crop = "places", Crop(100, 11.5, 11.5, 211.5, 211.5)
        self.feature_width = self.embedding_width = 4
        self.register_buffer("weight", torch.ones(()))

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Upper left, upper right, lower left, lower right."""
        quarters = functional.adaptive_avg_pool2d(images.mean(1), 2).flatten(1) * self.weight
        return quarters, quarters + 1


def lit(left: float, right: float) -> Tensor:
    """Canonical images [1, 3, 224, 224] whose halves are of these greys."""
    image = torch.full((1, 3, 224, 224), left)
    image[..., 112:] = right
    return image


def test_two_crops_are_a_photograph_and_its_mirror_image() -> None:
    seen = SeveralCrops(Places(), 2).of_photographs(lit(0.2, 0.6))
    torch.testing.assert_close(seen.features, torch.full((1, 4), 0.4), rtol=0, atol=1e-5)


def test_the_embedding_is_the_first_crop_s() -> None:
    network, image = Places(), lit(0.2, 0.6)
    alone, seen = network(image), SeveralCrops(network, 4).of_photographs(image)
    torch.testing.assert_close(seen.descriptor, alone.descriptor, rtol=0, atol=1e-6)
    torch.testing.assert_close(seen.embedding, alone.embedding, rtol=0, atol=1e-6)


def test_features_are_the_mean_over_moved_crops_and_their_mirror_images() -> None:
    network, image = Places(), torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = []
    for right, down, size in MOVES[:3]:
        side = 200 * size
        middle = 111.5 + 200 * right, 111.5 + 200 * down
        crop = Crop(
            100, middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2, middle[1] + side / 2
        )
        look = resample(image, crop)
        expected += [network(look, frame="native").features, network(look.flip(-1), frame="native").features]
    found = SeveralCrops(network, 6).of_photographs(image).features
    torch.testing.assert_close(found, torch.stack(expected).mean(0), rtol=0, atol=1e-6)
    odd = SeveralCrops(network, 5).of_photographs(image).features
    torch.testing.assert_close(odd, torch.stack(expected[:5]).mean(0), rtol=0, atol=1e-6)


def test_a_move_shifts_by_shares_of_the_side_and_enlarges_about_the_middle() -> None:
    assert moved(WHOLE_FRAME, 0, 0, 1) == WHOLE_FRAME
    assert moved(Crop(10, 0, 0, 100, 50), 0.1, -0.1, 2) == Crop(10, -40, -30, 160, 70)


def test_renderings_are_seen_once() -> None:
    network, images = SmallNetwork(), torch.rand(2, 3, 224, 224)
    several = SeveralCrops(network, 4)
    torch.testing.assert_close(several(images).features, network(images).features, rtol=0, atol=0)
    assert several.once is network
    assert network.once is network
    assert Coloured(several).once.sha256 == Coloured(network).sha256
    assert Coloured(several).once.name == "small-colour"


def test_the_cheeks_colour_is_the_first_crop_s() -> None:
    network, images = SmallNetwork(), torch.rand(2, 3, 224, 224)
    several = SeveralCrops(network, 4)
    found = Coloured(several).of_photographs(images)
    torch.testing.assert_close(
        cheeks_of(found.features), cheeks_of(Coloured(network)(images).features), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(
        found.features[:, :-3], several.of_photographs(images).features, rtol=0, atol=0
    )


def test_its_name_and_hash_say_how_many_crops() -> None:
    network = SmallNetwork()
    assert SeveralCrops(network, 4).name == "small-4crops"
    assert as_encoder(network, crops=4, coloured=True).name == "small-4crops-colour"
    assert as_encoder(network) is network
    hashes = {network.sha256, *(SeveralCrops(network, count).sha256 for count in (2, 3, 4))}
    assert len(hashes) == 4
    several = SeveralCrops(network, 4)
    assert not list(several.parameters())
    assert not several.train().training
    assert not several.state_dict()


def test_features_are_cached_apart(tmp_path: Path) -> None:
    cache, network = FaceCache(tmp_path), SmallNetwork()
    folders = {FaceFeatures(cache, as_encoder(network, crops=count)).folder for count in (1, 2, 4)}
    assert len(folders) == 3


def test_as_many_crops_as_the_option_takes() -> None:
    assert range_of(CropCount) == f"at least 1 and at most {MOST_CROPS}"
    assert len(set(MOVES)) == len(MOVES)
    SeveralCrops(SmallNetwork(), MOST_CROPS)
    for count in (0, 1, MOST_CROPS + 1):
        with pytest.raises(ValueError, match=f"the features of 2 to {MOST_CROPS} crops can be averaged"):
            SeveralCrops(SmallNetwork(), count)


def test_they_are_loaded_by_name() -> None:
    loaded = load_network("dlib-4crops-colour")
    assert (loaded.name, loaded.feature_width) == ("dlib-4crops-colour", 259)
    assert load_network("dlib-2crops").name == "dlib-2crops"
    for name in ("dlib-4crops-4crops", "dlib-colour-4crops"):
        with pytest.raises(ValueError, match="no recognition network is called"):
            load_network(name)


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("had", [1, 4])
def test_an_encoder_can_look_at_another_number_of_crops(coloured: bool, had: int) -> None:
    network = SmallNetwork()
    encoder = as_encoder(network, crops=had, coloured=coloured)
    for crops in (1, 2, 4):
        found, expected = with_crops(encoder, crops), as_encoder(network, crops=crops, coloured=coloured)
        assert (found.name, found.sha256) == (expected.name, expected.sha256)
