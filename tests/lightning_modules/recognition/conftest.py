import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.recognition.network import RecognitionNetwork


@pytest.fixture
def face_like_images() -> Tensor:
    """[4, 3, 224, 224], canonical: skin-coloured ovals with eyes and a mouth, asymmetric and noisy."""
    y, x = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")

    def oval(cx: float, cy: float, rx: float, ry: float) -> Tensor:
        return torch.sigmoid(8 * (1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2))

    generator = torch.Generator().manual_seed(1)
    images = []
    for _ in range(4):
        red, mouth, hair = torch.rand(3, generator=generator).tolist()
        skin = torch.tensor([0.6 + 0.3 * red, 0.45 + 0.2 * red, 0.35 + 0.2 * red]).view(3, 1, 1)
        image = 0.2 + 0.3 * torch.rand(3, 7, 7, generator=generator)
        image = functional.interpolate(image[None], (224, 224), mode="bicubic")[0]
        image = image + (skin - image) * oval(112, 112, 55, 75)
        for cx in (84.0, 139.0):
            image = image + (0.1 - image) * oval(cx, 83, 8 + 3 * red, 5)
        image = image + (torch.tensor([0.7, 0.2, 0.25]).view(3, 1, 1) - image) * oval(
            112, 141, 15 + 15 * mouth, 6
        )
        image = image + (0.15 - image) * oval(80 + 60 * hair, 35, 45, 20)
        images.append(image)
    noise = torch.rand(4, 3, 224, 224, generator=generator)
    return (torch.stack(images) + 0.1 * (noise - 0.5)).clamp(0, 1)


def assert_frozen(network: RecognitionNetwork, images: Tensor) -> None:
    """Whatever its parent does: eval mode, no weight to train or save, gradients for the image alone."""
    parent = nn.ModuleList([network]).train()
    assert not any(module.training for module in network.modules())
    assert list(parent.parameters()) == []
    assert parent.state_dict() == {}
    assert not any(buffer.requires_grad for buffer in network.buffers())
    without = network(images).embedding
    assert without.grad_fn is None  # nothing is kept for a backward pass that nobody asked for
    seen = images.clone().requires_grad_()
    embedding = network(seen).embedding
    torch.testing.assert_close(embedding, without)
    embedding[:, 0].sum().backward()
    assert seen.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(network(images).embedding, without)
