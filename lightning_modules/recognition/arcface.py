"""`arcface:FILE`: the IResNet of insightface's ArcFace training (its weights keep their own terms).

Layers, names and input are those of insightface, recognition/arcface_torch: `backbones/iresnet.py` for the
network, `inference.py` for RGB in [-1, 1], `python-package/insightface/utils/face_align.py` for the template.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from lightning_modules.plain.files import require_file, sha256_of_file
from lightning_modules.plain.saved_objects import kind_of, read_saved, why_not_tensors

from .converted_weights import Weights
from .frame import ARCFACE_CROP
from .network import RecognitionNetwork
from .network_names import file_network_name
from .weight_files import WeightFileError

KIND = "arcface"
EXPLANATION = "give the backbone.pth that insightface's arcface_torch writes (IResNet-18 to -200, 112 px)"
WIDTHS = (64, 128, 256, 512)
# How many blocks the four layers of each published depth have.
DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
SIZE_OF_LAST_MAP = 7
USUAL_EMBEDDING = 512
# Under which keys a training checkpoint holds the backbone, and a tensor that every backbone has: what stands
# before its name (`module.` of several processes, `backbone.` of a larger network) stands before all.
NESTED = ("state_dict_backbone", "backbone", "state_dict", "model")
ANCHOR = "layer1.0.conv1.weight"
COUNTERS = "num_batches_tracked"  # older files have none, and nothing needs them


class IResNetBlock(nn.Module):
    """Batch norm, convolution, batch norm, PReLU, convolution, batch norm, and a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Shortcut plus residual; nothing is rectified after the sum."""
        residual = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return residual + (x if self.downsample is None else self.downsample(x))


class ArcFace(RecognitionNetwork):
    """ArcFace's IResNet: 112 px, 512 features (its last map, averaged), 512-D embedding by default."""

    crop = ARCFACE_CROP
    feature_width = WIDTHS[-1]

    def __init__(self, weights: Weights, sha256: str) -> None:
        super().__init__(sha256)
        self.name = file_network_name(KIND, sha256)
        self.depth = depth_of(weights)
        self.embedding_width = len(weights["fc.bias"]) if "fc.bias" in weights else USUAL_EMBEDDING
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0])
        layers, channels_in = [], WIDTHS[0]
        for channels, count in zip(WIDTHS, DEPTHS[self.depth], strict=True):
            blocks = [
                IResNetBlock(channels_in, channels, 2),
                *(IResNetBlock(channels, channels, 1) for _ in range(count - 1)),
            ]
            layers.append(nn.Sequential(*blocks))
            channels_in = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.bn2 = nn.BatchNorm2d(channels_in)
        self.fc = nn.Linear(channels_in * SIZE_OF_LAST_MAP**2, self.embedding_width)
        self.features = nn.BatchNorm1d(self.embedding_width)
        own = {name: tuple(value.shape) for name, value in self.state_dict().items() if COUNTERS not in name}
        if reason := why_not_tensors({k: v for k, v in weights.items() if COUNTERS not in k}, own):
            raise ValueError(f"it {reason}")
        self.load_state_dict(weights)
        self.freeze()

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The average of the last map, and the descriptor of the whole map."""
        x = self.prelu(self.bn1(self.conv1(2 * images - 1)))
        maps = self.bn2(self.layer4(self.layer3(self.layer2(self.layer1(x)))))
        return maps.mean((2, 3)), self.features(self.fc(maps.flatten(1)))


def load_arcface(path: Path) -> ArcFace:
    """The network of a `backbone.pth`, of whichever depth its weights are.

    Read with `weights_only`: tensors and nothing else.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightFileError: if it holds anything else.
    """
    path = Path(path).expanduser()
    require_file(path, f"weights of ArcFace; {EXPLANATION}")
    sha256 = sha256_of_file(path)
    try:
        return ArcFace(backbone_weights(read_saved(path, "insightface's IResNet")), sha256)
    except (
        RuntimeError,
        EOFError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightFileError(
            f"{path} (SHA-256 {sha256}) does not hold insightface's IResNet: {reason}; {EXPLANATION}"
        ) from error


def backbone_weights(content: object) -> Weights:
    """The tensors of a backbone by insightface's names, float32, wherever in a saved content they lie.

    Raises:
        ValueError: if there are none, or those of several backbones.
    """
    if isinstance(content, Mapping):
        content = next((content[key] for key in NESTED if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"it holds {kind_of(content)} where tensors by name are expected")
    prefixes = [name.removesuffix(ANCHOR) for name in content if name.endswith(ANCHOR)]
    if len(prefixes) > 1:
        raise ValueError(f"it holds several networks, {', '.join(map(repr, prefixes))}; save one of them")
    prefix = prefixes[0] if prefixes else ""
    return {
        name.removeprefix(prefix): value.float() if isinstance(value, Tensor) else value
        for name, value in content.items()
        if name.startswith(prefix)
    }


def depth_of(weights: Weights) -> int:
    """Which IResNet has these weights, by how many blocks its layers have.

    Raises:
        ValueError: if none has.
    """
    found = [re.match(r"layer([1-4])\.(\d+)\.", name) for name in weights]
    blocks = {(int(match[1]), int(match[2])) for match in found if match}
    counts = tuple(sum(layer == each for layer, _ in blocks) for each in (1, 2, 3, 4))
    for depth, expected in DEPTHS.items():
        if counts == expected:
            return depth
    raise ValueError(f"its four layers have {', '.join(map(str, counts))} blocks, as no IResNet has")
