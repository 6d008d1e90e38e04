import torch

from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.teachers import Teachers
from tests.miniatures import SmallNetwork


def test_one_network_that_does_both_is_asked_once(teachers: Teachers) -> None:
    seen = teachers.see(torch.rand(2, 2, 3, 24, 24))
    (embeddings,) = seen.embeddings
    assert (seen.features.shape, embeddings.shape) == ((4, 20), (2, 2, 8))


def test_two_networks_are_shown_the_whole_frame(teachers: Teachers) -> None:
    both = teachers._replace(identity_network=SmallNetwork(7))
    assert (teachers.crop.size, both.crop) == (24, WHOLE_FRAME)
    images = torch.rand(1, 2, 3, WHOLE_FRAME.size, WHOLE_FRAME.size)
    (embeddings,) = both.see(images).embeddings
    by_encoder = both.encoder(images.flatten(0, 1)).embedding
    assert not torch.allclose(embeddings.flatten(0, 1), by_encoder)
    assert both.see(images, encode=False).features is None
    assert both.see(images, identify=False).embeddings == ()


def test_a_second_identity_network_looks_too_and_each_network_once(teachers: Teachers) -> None:
    second = SmallNetwork(7)
    three = teachers._replace(second_identity_network=second)
    passes: list[str] = []
    for network, name in ((teachers.encoder, "first"), (second, "second")):
        network.register_forward_hook(lambda *_, name=name: passes.append(name))
    images = torch.rand(1, 2, 3, WHOLE_FRAME.size, WHOLE_FRAME.size)
    seen = three.see(images)
    assert (three.crop, passes) == (WHOLE_FRAME, ["first", "second"])
    for network, embeddings in zip((teachers.encoder, second), seen.embeddings, strict=True):
        assert torch.equal(embeddings.flatten(0, 1), network(images.flatten(0, 1)).embedding)
    assert three.to(torch.device("meta")).second_identity_network.filters.is_meta
    assert list(three.by_role) == ["encoder", "identity", "judge", "second_identity"]
    assert list(teachers.by_role) == ["encoder", "identity", "judge"]
