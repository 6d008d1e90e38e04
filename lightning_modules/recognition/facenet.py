"""`facenet`: Inception-ResNet-v1 with the weights that facenet-pytorch publishes (MIT)."""

import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.saved_objects import read_saved, why_not_tensors

from .converted_weights import Weights
from .frame import FACENET_CROP
from .network import RecognitionNetwork
from .weight_files import WeightFileError, find_weights

FILES = ("20180402-114759-vggface2.pt", "20180408-102900-casia-webface.pt")
VARIABLE = "FACENET_WEIGHTS"
EXPLANATION = (
    f"download {FILES[0]} from the releases of github.com/timesler/facenet-pytorch, or run "
    '`InceptionResnetV1(pretrained="vggface2")` of facenet-pytorch once'
)
# Of batch norms; not needed, and not in files of old versions.
COUNTER = ".num_batches_tracked"


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU; the names are those of the published file."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        size: int | tuple[int, int],
        **options: Any,  # noqa: ANN401 - Conv2d's own
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, size, bias=False, **options)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, rectify."""
        return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Parallel branches, concatenated; with a projection `conv2d` they are a scaled residual."""

    def __init__(
        self,
        *branches: nn.Module,
        projection: nn.Conv2d | None = None,
        scale: float = 1.0,
        rectified: bool = True,
    ) -> None:
        super().__init__()
        self.count = len(branches)
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.conv2d, self.scale, self.rectified = projection, scale, rectified

    def forward(self, x: Tensor) -> Tensor:
        """All branches side by side, or added to the input."""
        joined = torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.count)], 1)
        if self.conv2d is None:
            return joined
        total = x + self.scale * self.conv2d(joined)
        return functional.relu(total) if self.rectified else total


def block35() -> Inception:
    """Inception-ResNet-A on 35 x 35 maps in the original, 17 x 17 at 160 px."""
    wide = partial(Convolution, 32, 32, 3, padding=1)
    return Inception(
        Convolution(256, 32, 1),
        nn.Sequential(Convolution(256, 32, 1), wide()),
        nn.Sequential(Convolution(256, 32, 1), wide(), wide()),
        projection=nn.Conv2d(96, 256, 1),
        scale=0.17,
    )


def factorised_block(
    channels: int, width: int, size: int, scale: float, *, rectified: bool = True
) -> Inception:
    """Inception-ResNet-B and -C: one branch of 1 x `size` and `size` x 1 convolutions."""
    half = size // 2
    return Inception(
        Convolution(channels, width, 1),
        nn.Sequential(
            Convolution(channels, width, 1),
            Convolution(width, width, (1, size), padding=(0, half)),
            Convolution(width, width, (size, 1), padding=(half, 0)),
        ),
        projection=nn.Conv2d(2 * width, channels, 1),
        scale=scale,
        rectified=rectified,
    )


class FaceNet(RecognitionNetwork):
    """FaceNet: 160 px, 1792 average-pooled features, 512-D embedding."""

    name = "facenet"
    crop = FACENET_CROP
    feature_width = 1792
    embedding_width = 512

    def __init__(self, weights: Weights | None, sha256: str) -> None:
        super().__init__(sha256)
        self.conv2d_1a = Convolution(3, 32, 3, stride=2)
        self.conv2d_2a = Convolution(32, 32, 3)
        self.conv2d_2b = Convolution(32, 64, 3, padding=1)
        self.conv2d_3b = Convolution(64, 80, 1)
        self.conv2d_4a = Convolution(80, 192, 3)
        self.conv2d_4b = Convolution(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = Inception(
            Convolution(256, 384, 3, stride=2),
            nn.Sequential(
                Convolution(256, 192, 1),
                Convolution(192, 192, 3, padding=1),
                Convolution(192, 256, 3, stride=2),
            ),
            nn.MaxPool2d(3, 2),
        )
        self.repeat_2 = nn.Sequential(*(factorised_block(896, 128, 7, 0.10) for _ in range(10)))
        self.mixed_7a = Inception(
            nn.Sequential(Convolution(896, 256, 1), Convolution(256, 384, 3, stride=2)),
            nn.Sequential(Convolution(896, 256, 1), Convolution(256, 256, 3, stride=2)),
            nn.Sequential(
                Convolution(896, 256, 1),
                Convolution(256, 256, 3, padding=1),
                Convolution(256, 256, 3, stride=2),
            ),
            nn.MaxPool2d(3, 2),
        )
        self.repeat_3 = nn.Sequential(*(factorised_block(1792, 192, 3, 0.20) for _ in range(5)))
        self.block8 = factorised_block(1792, 192, 3, 1.0, rectified=False)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=1e-3)
        if weights is not None:
            self.load_state_dict(weights)
        self.freeze()

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The average-pooled features and the 512-D descriptor."""
        # facenet-pytorch's fixed_image_standardization.
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a((255 * images - 127.5) / 128)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(functional.max_pool2d(x, 3, 2))))
        x = self.mixed_7a(self.repeat_2(self.mixed_6a(self.repeat_1(x))))
        features = self.block8(self.repeat_3(x)).mean((2, 3))
        return features, self.last_bn(self.last_linear(features))


def usual_places() -> list[Path]:
    """Where facenet-pytorch puts its downloads."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch").expanduser()
    return [home / "checkpoints" / name for name in FILES]


def load_facenet(path: Path | None = None) -> FaceNet:
    """FaceNet from facenet-pytorch's published weight file.

    Args:
        path: the file; by default what the environment variable FACENET_WEIGHTS names, or what lies in
            facenet-pytorch's download folder.

    Raises:
        WeightFileError: if there is no such file, or it holds another network.
    """
    source = find_weights(path, VARIABLE, usual_places(), EXPLANATION)
    try:
        weights = read_saved(source, "facenet-pytorch's InceptionResnetV1")
    except ValueError as error:
        raise WeightFileError(f"{error}; {EXPLANATION}") from error
    counted = weights
    if isinstance(weights, dict):
        # The classifier of the training identities is not part of the embedding.
        weights = {name: value for name, value in weights.items() if not str(name).startswith("logits.")}
        counted = {name: value for name, value in weights.items() if not str(name).endswith(COUNTER)}
    if reason := why_not_tensors(counted, shapes()):
        raise WeightFileError(
            f"{source} does not hold facenet-pytorch's InceptionResnetV1: it {reason}; {EXPLANATION}"
        )
    return FaceNet(weights, sha256_of_file(source))


@cache
def shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the published file's tensors, by name, but for counters that old files lack."""
    with torch.device("meta"):
        tensors = dict(FaceNet(None, "").named_buffers())
    return {name: tuple(value.shape) for name, value in tensors.items() if not name.endswith(COUNTER)}
