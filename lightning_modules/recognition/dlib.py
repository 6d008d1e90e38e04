"""`dlib`: the ResNet-29 of dlib's face_recognition_model_v1 (Davis King, weights in the public domain)."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.plain.cache_folders import CacheFolders

from .converted_weights import Weights, network_of_conversion
from .dlib_file import read_dlib_file
from .frame import DLIB_CROP
from .network import RecognitionNetwork
from .weight_files import check_sha256, file_in_package

SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
REQUIREMENT = "face-recognition-models==0.3.0"
MEAN_RGB = (122.782, 117.001, 104.298)
# Channels into and out of each residual block, and whether it halves height and width.
BLOCKS = [
    *[(32, 32, False)] * 3,
    *[(32, 64, True), *[(64, 64, False)] * 3],
    *[(64, 128, True), *[(128, 128, False)] * 2],
    *[(128, 256, True), *[(256, 256, False)] * 2],
    (256, 256, True),
]
# The map that `feature_map` gives: after so many blocks it has 128 channels of 8 x 8, averaged over 2 x 2.
MAP_BLOCKS, MAP_CELLS = 10, 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions (dlib's affine layers folded in) and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        # dlib pads a convolution only where its stride is 1.
        stride, padding = (2, 0) if halves else (1, 1)
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, padding)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Shortcut plus residual, rectified; convolutions' results are changed in place, to save memory."""
        residual = self.second(functional.relu_(self.first(x)))
        if not self.halves:
            return functional.relu_(residual.add_(x))
        shortcut = functional.avg_pool2d(x, 2)
        # dlib adds tensors of different sizes by extending both with zeros.
        channels, height, width = map(max, shortcut.shape[1:], residual.shape[1:])
        return functional.relu_(
            _extend(shortcut, channels, height, width).add_(_extend(residual, channels, height, width))
        )


class Dlib(RecognitionNetwork):
    """dlib's ResNet-29: 150 px, 256 features, 128-D embedding, not centred on the origin."""

    name = "dlib"
    crop = DLIB_CROP
    feature_width = 256
    embedding_width = 128
    map_width = BLOCKS[MAP_BLOCKS - 1][1] * MAP_CELLS**2
    mean: Tensor

    def __init__(self, weights: Weights, sha256: str) -> None:
        super().__init__(sha256)
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.blocks = nn.Sequential(*(ResidualBlock(*block) for block in BLOCKS))
        self.projection = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(3, 1, 1), persistent=False)
        self.load_state_dict(weights)
        self.freeze()

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The globally averaged last map and dlib's 128-D descriptor."""
        features = self.blocks(self._stem(images)).mean((2, 3))
        return features, self.projection(features)

    def feature_map(self, images: Tensor) -> Tensor:
        """The last map of 128 channels in 4 x 4 cells."""
        last = self.blocks[:MAP_BLOCKS](self._stem(images))
        return functional.adaptive_avg_pool2d(last, MAP_CELLS).flatten(1)

    def _stem(self, images: Tensor) -> Tensor:
        # dlib rectifies before it pools: the same values from four times as many.
        return functional.relu_(functional.max_pool2d(self.stem((255 * images - self.mean) / 256), 3, 2))


def load_dlib(path: Path | None = None, cache_folder: Path | None = None) -> Dlib:
    """The network from the weight file of the `face-recognition-models` package, or from a copy of it.

    Raises:
        WeightFileError: if the file is missing or has another hash.
    """
    source = path or file_in_package(
        "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat", REQUIREMENT
    )
    check_sha256(source, SHA256, f"pip install --force-reinstall '{REQUIREMENT}'")
    folder = CacheFolders.below(cache_folder).recognition
    return network_of_conversion(source, "dlib-1", convert, lambda weights: Dlib(weights, SHA256), folder)


def convert(source: Path) -> Weights:
    """The published file as this module's state dict: each affine layer folded into its convolution."""
    layers = read_dlib_file(source)
    shapes = {"stem": (32, 3, 7, 7)}
    for index, (channels_in, channels, _) in enumerate(BLOCKS):
        shapes[f"blocks.{index}.first"] = (channels, channels_in, 3, 3)
        shapes[f"blocks.{index}.second"] = (channels, channels, 3, 3)
    weights = {}
    for (name, shape), convolution, affine in zip(
        shapes.items(), layers.convolutions, layers.affines, strict=True
    ):
        channels = shape[0]
        gamma, beta = torch.from_numpy(affine).split(channels)
        kernel, bias = torch.from_numpy(convolution[:-channels]), torch.from_numpy(convolution[-channels:])
        weights[f"{name}.weight"] = kernel.reshape(shape) * gamma.view(-1, 1, 1, 1)
        weights[f"{name}.bias"] = bias * gamma + beta
    weights["projection.weight"] = torch.from_numpy(layers.projection[0]).reshape(256, 128).T.contiguous()
    return weights


def _extend(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    return functional.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1]))
