import torch

from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.teachers import Teachers
from tests.miniatures import SmallNetwork


def test_one_network_that_does_both_is_asked_once(teachers: Teachers) -> None:
    seen = teachers.see(torch.rand(2, 2, 3, 24, 24))
    assert (seen.features.shape, seen.embeddings.shape) == ((4, 20), (2, 2, 8))


def test_two_networks_are_shown_the_whole_frame(teachers: Teachers) -> None:
    both = teachers._replace(identity_network=SmallNetwork(7))
    assert (teachers.crop.size, both.crop) == (24, WHOLE_FRAME)
    images = torch.rand(1, 2, 3, WHOLE_FRAME.size, WHOLE_FRAME.size)
    seen = both.see(images)
    by_encoder = both.encoder(images.flatten(0, 1)).embedding
    assert not torch.allclose(seen.embeddings.flatten(0, 1), by_encoder)
    assert both.see(images, encode=False).features is None
    assert both.see(images, identify=False).embeddings is None
