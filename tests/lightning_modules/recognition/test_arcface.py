from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.recognition.arcface import ArcFace, load_arcface
from lightning_modules.recognition.coloured import Coloured
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.weight_files import WeightFileError

from .arcface_layout import BLOCKS, arcface_weights, write_arcface
from .conftest import assert_frozen


def published_steps(weights: dict[str, Tensor], depth: int, images: Tensor) -> tuple[Tensor, Tensor]:
    """The last map and the embedding of images in [-1, 1], from the raw weights by the published layers."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, gain, bias = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
        return (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * gain.view(shape) + bias.view(shape)

    x = norm(functional.conv2d(images, weights["conv1.weight"], padding=1), "bn1")
    x = functional.prelu(x, weights["prelu.weight"])
    for layer, count in enumerate(BLOCKS[depth], 1):
        for block in range(count):
            place, stride = f"layer{layer}.{block}", 2 if block == 0 else 1
            y = norm(x, f"{place}.bn1")
            y = norm(functional.conv2d(y, weights[f"{place}.conv1.weight"], padding=1), f"{place}.bn2")
            y = functional.prelu(y, weights[f"{place}.prelu.weight"])
            y = functional.conv2d(y, weights[f"{place}.conv2.weight"], stride=stride, padding=1)
            if block == 0:
                x = functional.conv2d(x, weights[f"{place}.downsample.0.weight"], stride=2)
                x = norm(x, f"{place}.downsample.1")
            x = x + norm(y, f"{place}.bn3")
    x = norm(x, "bn2")
    fully = x.flatten(1) @ weights["fc.weight"].T + weights["fc.bias"]
    return x, norm(fully, "features")


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.slow)])
def test_it_is_the_published_network_of_whichever_depth_its_file_has(
    depth: int, face_like_images: Tensor, tmp_path: Path
) -> None:
    path = write_arcface(tmp_path / "backbone.pth", depth)
    network = load_network(f"arcface:{path}")
    assert isinstance(network, ArcFace)
    assert network.depth == depth
    assert (network.feature_width, network.embedding_width, network.crop.size) == (512, 64, 112)
    # In double precision: in single, 50 layers differ by more than 1e-4 between processors.
    network, images = network.double(), face_like_images.double()
    crops = resample(images, network.crop)
    weights = {name: value.double() for name, value in arcface_weights(depth).items()}
    with torch.no_grad():
        maps, descriptor = published_steps(weights, depth, (crops - 0.5) / 0.5)
    found = network(images)
    torch.testing.assert_close(found.descriptor, descriptor, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(found.features, maps.mean((2, 3)), atol=1e-8, rtol=1e-8)
    assert float((found.embedding[0] - found.embedding[1]).norm()) > 1e-3
    assert_frozen(network, images[:1])


def test_channels_are_red_green_blue(face_like_images: Tensor, tmp_path: Path) -> None:
    # Turned round, the first convolution's input channels read blue as red.
    weights = arcface_weights()
    torch.save(weights, tmp_path / "one.pth")
    torch.save(weights | {"conv1.weight": weights["conv1.weight"].flip(1)}, tmp_path / "other.pth")
    one, other = load_arcface(tmp_path / "one.pth"), load_arcface(tmp_path / "other.pth")
    torch.testing.assert_close(
        one(face_like_images).embedding, other(face_like_images.flip(1)).embedding, atol=1e-5, rtol=0
    )
    assert not torch.allclose(one(face_like_images).embedding, other(face_like_images).embedding, atol=1e-3)


def test_a_name_tells_two_files_of_one_name_apart_and_shows_no_folder(tmp_path: Path) -> None:
    files = [write_arcface(tmp_path / str(seed) / "backbone.pth", seed=seed) for seed in (0, 1)]
    names = [load_arcface(file).name for file in files]
    assert names == [f"arcface-{sha256_of_file(file)[:8]}" for file in files]
    assert names[0] != names[1]
    with pytest.raises(
        WeightFileError, match=rf"{names[0]} lies in a file of its own; give it as arcface:FILE"
    ):
        load_network(names[0])
    assert load_network(names[0], files[0]).sha256 == sha256_of_file(files[0])
    with pytest.raises(ValueError, match="names its file already; leave out"):
        load_network(f"arcface:{files[0]}", files[1])


def test_it_can_be_coloured(tmp_path: Path) -> None:
    path = write_arcface(tmp_path / "backbone.pth")
    network = load_network(f"arcface:{path}-colour")
    assert isinstance(network, Coloured)
    assert network.feature_width == 512 + 3
    assert isinstance(load_network(f"{network.name}", path), Coloured)


def test_a_training_checkpoint_and_half_precision_are_read(face_like_images: Tensor, tmp_path: Path) -> None:
    weights = arcface_weights()
    torch.save({"epoch": 3, "state_dict_backbone": weights}, tmp_path / "checkpoint.pt")
    parallel = {f"module.{name}": value.half() for name, value in weights.items()}
    torch.save(parallel, tmp_path / "half.pth")
    expected = load_arcface(write_arcface(tmp_path / "plain.pth"))(face_like_images).embedding
    for name, tolerance in (("checkpoint.pt", 0), ("half.pth", 5e-3)):
        found = load_arcface(tmp_path / name)(face_like_images).embedding
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("prefix", "key"),
    [("backbone.", None), ("module.backbone.", "state_dict"), ("_orig_mod.", "model"), ("", "backbone")],
)
def test_a_backbone_is_found_in_a_larger_network_s_file(
    face_like_images: Tensor, tmp_path: Path, prefix: str, key: str | None
) -> None:
    weights = {f"{prefix}{name}": value for name, value in arcface_weights().items()}
    weights = {name: value for name, value in weights.items() if "num_batches_tracked" not in name}
    if prefix:
        weights["head.weight"] = torch.zeros(10, 64)
    torch.save(weights if key is None else {"epoch": 3, key: weights}, tmp_path / "network.pt")
    expected = load_arcface(write_arcface(tmp_path / "plain.pth"))(face_like_images).embedding
    torch.testing.assert_close(load_arcface(tmp_path / "network.pt")(face_like_images).embedding, expected)


class Ran:
    """Unpickled, it would make a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.place,)


def test_a_malicious_file_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Ran(tmp_path / "ran")}, tmp_path / "backbone.pth")
    with pytest.raises(WeightFileError, match="does not hold insightface's IResNet"):
        load_arcface(tmp_path / "backbone.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut"])
def test_a_corrupt_file_is_refused_in_one_sentence_with_its_hash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "backbone.pth"
    path.write_bytes(content)
    with pytest.raises(
        WeightFileError, match=rf"{sha256_of_file(path)}\) does not hold .*give the backbone\.pth"
    ) as refused:
        load_arcface(path)
    assert "\n" not in str(refused.value)


def test_weights_of_another_network_are_refused_in_one_sentence(tmp_path: Path) -> None:
    weights = arcface_weights()
    wrong = {
        "another.pth": ({"weight": torch.zeros(2)}, "have 0, 0, 0, 0 blocks, as no IResNet has"),
        "list.pth": ([torch.zeros(2)], "it holds a list of 1 where tensors by name are expected"),
        "cut.pth": (
            {k: v for k, v in weights.items() if k not in ("fc.weight", "fc.bias")},
            r"it lacks 2 of \d+ tensors, such as fc\.weight",
        ),
        "more.pth": (weights | {"fc7.weight": torch.zeros(3)}, r"it has 1 tensors too many, such as fc7"),
        "slope.pth": (
            {k: v[:1] if "prelu" in k else v for k, v in weights.items()},
            r"it has a prelu\.weight that has the shape \[1\] instead of \[64\]",
        ),
        "two.pth": (
            {f"{who}.{k}": v for who in ("student", "teacher") for k, v in weights.items()},
            r"several networks, 'student\.', 'teacher\.'; save one of them",
        ),
        "nan.pth": (weights | {"fc.bias": weights["fc.bias"] * torch.nan}, "fc.bias that has numbers that"),
        "text.pth": (weights | {"conv1.weight": "x"}, "conv1.weight that is str 'x', no tensor"),
        "deep.pth": (
            {k: v for k, v in weights.items() if not k.startswith("layer4.1")}, "have 2, 2, 2, 1 blocks",
        ),
    }  # fmt: skip
    for name, (content, message) in wrong.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(WeightFileError, match=message) as refused:
            load_arcface(tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.raises(FileNotFoundError, match=r"expected weights of ArcFace; give the backbone\.pth"):
        load_arcface(tmp_path / "none.pth")
