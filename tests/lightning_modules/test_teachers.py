import torch

from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.teachers import Teachers
from tests.miniatures import SmallNetwork


def test_one_network_that_does_both_is_asked_once(teachers: Teachers) -> None:
    seen = teachers.see(torch.rand(2, 2, 3, 24, 24))
    assert seen.encoder is seen.identity
    assert seen.encoder.features.shape == (4, 20)


def test_two_networks_are_shown_the_whole_frame(teachers: Teachers) -> None:
    both = teachers._replace(identity_network=SmallNetwork(7))
    assert (teachers.crop.size, both.crop) == (24, WHOLE_FRAME)
    seen = both.see(torch.rand(1, 2, 3, WHOLE_FRAME.size, WHOLE_FRAME.size))
    assert not torch.allclose(seen.encoder.embedding, seen.identity.embedding)
