from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.recognition.facenet import FILES, FaceNet, load_facenet, shapes
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.weight_files import WeightFileError

from .conftest import assert_frozen


def random_judge() -> torch.nn.Module:
    """facenet-pytorch's own module with random weights and batch statistics of trained size."""
    facenet_pytorch = pytest.importorskip("facenet_pytorch")
    torch.manual_seed(0)
    judge = facenet_pytorch.InceptionResnetV1(classify=True, num_classes=8631).eval()
    for module in judge.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    judge.classify = False
    return judge


def test_it_agrees_with_facenet_pytorchs_own_module(
    face_like_images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = random_judge()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("FACENET_WEIGHTS", raising=False)
    (tmp_path / "checkpoints").mkdir()
    published = tmp_path / "checkpoints" / FILES[0]
    torch.save(judge.state_dict(), published)
    network = load_network("facenet")
    assert isinstance(network, FaceNet)
    assert network.sha256 == sha256_of_file(published)

    images = resample(face_like_images, network.crop)
    pooled = []
    judge.avgpool_1a.register_forward_hook(lambda module, inputs, output: pooled.append(output.flatten(1)))
    with torch.no_grad():
        # The preprocessing that facenet-pytorch documents: fixed_image_standardization of 0..255.
        expected = judge((255 * images - 127.5) / 128.0)
    features, embedding, _ = network(face_like_images)
    torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(features, pooled[0], atol=1e-4, rtol=1e-4)
    assert_frozen(network, face_like_images[:1])


def test_missing_weights_explain_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("FACENET_WEIGHTS", raising=False)
    with pytest.raises(
        WeightFileError, match=r"20180402-114759-vggface2\.pt.*facenet-pytorch.*FACENET_WEIGHTS"
    ):
        load_facenet()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not a pickle", "is a text file"),
        (b"PK\x03\x04 cut", "is cut off or damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x80\x02 neither this nor that", "is damaged, or holds objects of other kinds"),
    ],
)
def test_a_corrupt_file_is_refused_with_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / FILES[0]
    path.write_bytes(content)
    with pytest.raises(WeightFileError, match=rf"{FILES[0]} {reason}.*; download {FILES[0]}") as caught:
        load_facenet(path)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            {"weight": torch.zeros(2)},
            r"lacks 602 of 602 tensors, such as .*; it has 1 others, such as weight",
        ),
        ([torch.zeros(2)], "holds a list of 1 where tensors by name are expected"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, content: object, reason: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    message = rf"does not hold facenet-pytorch's InceptionResnetV1: it {reason}"
    with pytest.raises(WeightFileError, match=message):
        load_facenet(tmp_path / "other.pt")


def test_names_with_a_prefix_are_told_by_it(tmp_path: Path) -> None:
    tensors = {f"module.{name}": torch.zeros(shape) for name, shape in shapes().items()}
    torch.save(tensors, tmp_path / "other.pt")
    with pytest.raises(WeightFileError, match=r"lacks 602 of 602 .*; its names begin with 'module\.'"):
        load_facenet(tmp_path / "other.pt")


def test_files_without_the_counters_of_batch_norms_are_read(tmp_path: Path) -> None:
    torch.save({name: torch.zeros(shape) for name, shape in shapes().items()}, tmp_path / "old.pt")
    assert load_facenet(tmp_path / "old.pt").feature_width == 1792
