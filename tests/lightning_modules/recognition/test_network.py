"""What all four networks have in common, held by the two whose weights come with packages."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.resampling import resample

from .conftest import assert_frozen


@pytest.fixture(scope="module", params=["dlib", "sface"])
def network(request: pytest.FixtureRequest) -> RecognitionNetwork:
    return load_network(request.param)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="called 'arcface'; there are dlib, sface, facenet, vggface"):
        load_network("arcface")


def test_widths_are_as_declared_and_embeddings_have_unit_length(
    network: RecognitionNetwork, face_like_images: Tensor
) -> None:
    features, embedding, descriptor = network(face_like_images)
    assert features.shape == (4, network.feature_width)
    assert embedding.shape == descriptor.shape == (4, network.embedding_width)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(functional.normalize(descriptor, dim=1), embedding)


def test_canonical_and_native_frames_agree(network: RecognitionNetwork, face_like_images: Tensor) -> None:
    native = resample(face_like_images, network.crop)
    torch.testing.assert_close(
        network(native, frame="native").embedding, network(face_like_images).embedding, atol=1e-5, rtol=0
    )


def test_a_missing_crop_is_noticed(network: RecognitionNetwork, face_like_images: Tensor) -> None:
    size = network.crop.size
    shrunk = functional.interpolate(face_like_images, (size, size), mode="bilinear", antialias=True)
    cosine = (network(shrunk, frame="native").embedding * network(face_like_images).embedding).sum(1)
    assert cosine.max() < 0.99


def test_a_flipped_image_and_swapped_channels_are_noticed(
    network: RecognitionNetwork, face_like_images: Tensor
) -> None:
    embedding = network(face_like_images).embedding
    for wrong in (face_like_images.flip(3), face_like_images.flip(2), face_like_images.flip(1)):
        assert (network(wrong).embedding * embedding).sum(1).max() < 0.999


def test_it_is_frozen(network: RecognitionNetwork, face_like_images: Tensor) -> None:
    assert_frozen(network, face_like_images)


def test_a_checkpoint_beside_it_holds_only_what_is_trained(network: RecognitionNetwork) -> None:
    parent = nn.ModuleDict({"identity": network, "regressor": nn.Linear(2, 2)})
    assert set(parent.state_dict()) == {"regressor.weight", "regressor.bias"}
    parent.load_state_dict(parent.state_dict())  # strict


def test_the_image_gradient_is_the_slope_of_the_embedding(face_like_images: Tensor) -> None:
    network = load_network("dlib").double()
    images = face_like_images[:1].double().requires_grad_()
    goal = network(face_like_images[1:2]).embedding
    (network(images).embedding * goal).sum().backward()
    with torch.no_grad():
        step = 1e-6 * images.grad.sign()
        ahead, behind = ((network(images + s * step).embedding * goal).sum() for s in (1, -1))
    torch.testing.assert_close((images.grad * step).sum(), (ahead - behind) / 2, rtol=1e-3, atol=0)


def test_autocast_takes_images_in_half_precision(
    network: RecognitionNetwork, face_like_images: Tensor
) -> None:
    expected = network(face_like_images).embedding
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(face_like_images.bfloat16()).embedding
    assert rounded.dtype == torch.float32
    assert (rounded * expected).sum(1).min() > 0.99


def test_half_precision_weights_give_nearly_the_same_unit_embedding(face_like_images: Tensor) -> None:
    expected = load_network("dlib")(face_like_images).embedding
    embedding = load_network("dlib").to(torch.bfloat16)(face_like_images).embedding
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
    assert (embedding * expected).sum(1).min() > 0.99


def test_images_of_another_shape_type_or_frame_are_refused(network: RecognitionNetwork) -> None:
    with pytest.raises(ValueError, match=r"images \[B, 3, 224, 224\], got \[1, 224, 224, 3\]"):
        network(torch.zeros(1, 224, 224, 3))
    size = network.crop.size
    with pytest.raises(ValueError, match=rf"native frame takes images \[B, 3, {size}, {size}\]"):
        network(torch.zeros(1, 3, 224, 224), frame="native")
    with pytest.raises(ValueError, match=r"got torch\.uint8; divide by 255"):
        network(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
    with pytest.raises(ValueError, match='"canonical" or "native", got \'whole\''):
        network(torch.zeros(1, 3, 224, 224), frame="whole")
