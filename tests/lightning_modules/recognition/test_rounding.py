import pytest
import torch
from torch import Tensor

from lightning_modules.recognition.rounding import LOWEST_COSINE, lowest_cosine, multiplies_bfloat16
from lightning_modules.teachers import Teachers
from tests.miniatures import SmallNetwork, small_model


class Unsteady(SmallNetwork):
    """A network whose features are small differences of large numbers."""

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, _ = super().describe(images)
        features = (features @ torch.eye(20) + 100) - 100
        return features, features @ self.projection


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def test_a_steady_network_may_round_and_an_unsteady_one_may_not(images: Tensor) -> None:
    assert 1 > lowest_cosine(SmallNetwork(), images, torch.bfloat16) >= LOWEST_COSINE
    assert lowest_cosine(Unsteady(), images, torch.bfloat16) < LOWEST_COSINE


def test_images_of_the_whole_frame_are_cropped_first() -> None:
    canonical = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert lowest_cosine(SmallNetwork(), canonical, torch.bfloat16) >= LOWEST_COSINE


def test_what_comes_back_is_rounded_in_values_and_not_in_type(images: Tensor) -> None:
    network = SmallNetwork()
    images.requires_grad_()
    exact, rounded = (network(images, frame="native", rounding=kind) for kind in (None, torch.bfloat16))
    for name, values in rounded._asdict().items():
        assert values.dtype == torch.float32
        assert not torch.equal(values, getattr(exact, name))
        torch.testing.assert_close(values, getattr(exact, name), atol=0.02, rtol=0)
    torch.testing.assert_close(rounded.embedding.norm(dim=1), torch.ones(4))
    rounded.embedding[:, 0].sum().backward()
    assert images.grad.norm() > 0


def test_only_networks_that_are_named_round() -> None:
    encoder, identity = SmallNetwork(1), SmallNetwork(2)
    identity.name = "other"
    teachers = Teachers(small_model(), encoder, identity, encoder)
    images = torch.rand(2, 1, 3, 224, 224)
    exact, rounded = teachers.see(images), teachers.see(images, rounded={"other": torch.bfloat16})
    assert torch.equal(exact.features, rounded.features)
    assert not torch.equal(exact.embeddings[0], rounded.embeddings[0])
    both = teachers._replace(identity_network=encoder)
    images = torch.rand(2, 1, 3, 24, 24)
    exact, rounded = both.see(images), both.see(images, rounded={"small": torch.bfloat16})
    assert not torch.equal(exact.features, rounded.features)


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [({"avx512_bf16": True, "amx_bf16": False}, True), ({"avx512_bf16": False}, False), (None, False)],
)
def test_a_processor_multiplies_bfloat16_if_torch_says_so(
    capabilities: dict[str, bool] | None, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if capabilities is None:  # an older torch
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert multiplies_bfloat16(torch.device("cpu")) == fast
    assert multiplies_bfloat16(torch.device("cuda"))
