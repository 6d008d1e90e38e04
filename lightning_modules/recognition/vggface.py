"""`vggface`: VGG-16 of Parkhi et al. 2015 with the weight file that keras-vggface publishes.

The port exists because keras-vggface 0.6 imports no more: it needs `keras_applications`,
`keras.engine.topology`, `keras.utils.data_utils` and layer names with a slash, that is Keras 2.2 on
TensorFlow 1. Only its published file is needed here. The tests stand in for what is missing and judge the
port by keras-vggface's own network.
"""

import os
from pathlib import Path
from typing import Literal, get_args

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.foreign_files import what_it_is
from lightning_modules.plain.saved_objects import first_line

from .converted_weights import Weights
from .frame import VGGFACE_CROP
from .network import RecognitionNetwork
from .weight_files import WeightFileError, find_weights

Descriptor = Literal["fc6", "fc6-relu", "fc7", "fc7-relu"]
FILE = "rcmalli_vggface_tf_vgg16.h5"
VARIABLE = "VGGFACE_WEIGHTS"
EXPLANATION = f"download {FILE} from release v2.0 of github.com/rcmalli/keras-vggface"
# Of version 1 (VGG-16), in the network's channel order: blue, green, red.
MEAN_BGR = (93.5940, 104.7624, 129.1863)
# Output channels of the convolutions; a pooling layer follows each group.
GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# Where ten crops are cut from: the crop's box at one of the three sides that Parkhi et al. 2015 rescale to.
TEN_CROPS_SIZE = 256


class VGGFace(RecognitionNetwork):
    """VGG-16-Face: 224 px, features fc7 after ReLU, embedding from a selectable layer.

    The paper calls its descriptor VGG-Face's without naming the layer: fc7 after ReLU is the default here,
    and the others are for measuring how much hangs on it. With ten crops, features and embedding are means
    over the corners and the middle, each also mirrored, as Parkhi et al. 2015 (section 5.3) describe faces.
    """

    name = "vggface"
    crop = VGGFACE_CROP
    feature_width = 4096
    embedding_width = 4096

    mean: Tensor

    def __init__(
        self,
        weights: Weights,
        sha256: str,
        descriptor_layer: Descriptor = "fc7-relu",
        descriptor_crops: Literal[1, 10] = 1,
    ) -> None:
        super().__init__(sha256)
        if descriptor_layer not in get_args(Descriptor):
            raise ValueError(
                f"descriptor layer must be one of {get_args(Descriptor)}, got {descriptor_layer!r}"
            )
        if descriptor_crops not in (1, 10):
            raise ValueError(f"descriptor crops must be 1 or 10, got {descriptor_crops}")
        self.layer, self.descriptor_crops = descriptor_layer, descriptor_crops
        # The name under which features are cached.
        self.descriptor_layer = descriptor_layer if descriptor_crops == 1 else f"{descriptor_layer}-10-crops"
        if descriptor_crops == 10:
            self.crop = VGGFACE_CROP._replace(size=TEN_CROPS_SIZE)
        layers, channels_in = [], 3
        for group in GROUPS:
            for channels in group:
                layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU(inplace=True)]
                channels_in = channels
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers)
        self.fc6, self.fc7 = nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096)
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(3, 1, 1), persistent=False)
        self.load_state_dict(weights)
        self.freeze()

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """fc7 after ReLU, and the selected layer; of ten crops their means."""
        if self.descriptor_crops == 1:
            return self._describe_one(images)
        features, descriptor = self._describe_one(ten_crops(images))
        return tuple(part.unflatten(0, (10, len(images))).mean(0) for part in (features, descriptor))

    def _describe_one(self, images: Tensor) -> tuple[Tensor, Tensor]:
        fc6 = self.fc6(self.body(255 * images.flip(1) - self.mean).flatten(1))
        fc7 = self.fc7(functional.relu(fc6))
        features = functional.relu(fc7)
        layers = {"fc6": fc6, "fc6-relu": functional.relu(fc6), "fc7": fc7, "fc7-relu": features}
        return features, layers[self.layer]


def ten_crops(images: Tensor) -> Tensor:
    """Corners and middle of images [B, 3, 256, 256], then all of them mirrored: [10 B, 3, 224, 224]."""
    size = VGGFACE_CROP.size
    far, middle = images.shape[-1] - size, (images.shape[-1] - size) // 2
    places = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    crops = torch.cat([images[..., y : y + size, x : x + size] for y, x in places])
    return torch.cat([crops, crops.flip(-1)])


def usual_places() -> list[Path]:
    """Where keras-vggface puts its download."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return [home / "models" / "vggface" / FILE]


def load_vggface(
    path: Path | None = None,
    descriptor_layer: Descriptor = "fc7-relu",
    descriptor_crops: Literal[1, 10] = 1,
) -> VGGFace:
    """VGG-16-Face from keras-vggface's published weight file.

    Args:
        path: the file; by default what the environment variable VGGFACE_WEIGHTS names, or what lies in
            keras-vggface's download folder.
        descriptor_layer: which layer the embedding is taken from.
        descriptor_crops: 1, or the mean over 10.

    Raises:
        WeightFileError: if there is no such file, or it holds another network.
    """
    source = find_weights(path, VARIABLE, usual_places(), EXPLANATION)
    sha256 = sha256_of_file(source)
    try:
        return VGGFace(convert(source), sha256, descriptor_layer, descriptor_crops)
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = first_line(error) if h5py.is_hdf5(source) else f"it {what_it_is(source) or 'is no HDF5'}"
        raise WeightFileError(
            f"{source} (SHA-256 {sha256}) does not hold keras-vggface's VGG-16: {reason}; {EXPLANATION}"
        ) from error


def convert(source: Path) -> Weights:
    """keras-vggface's .h5 file as this module's state dict, without the classifier fc8."""
    weights, index = {}, 0
    with h5py.File(source, "r") as file:
        for group_index, group in enumerate(GROUPS):
            for layer_index in range(len(group)):
                kernel, bias = _layer(file, f"conv{group_index + 1}_{layer_index + 1}")
                # Keras: height, width, in, out.
                weights[f"body.{index}.weight"], weights[f"body.{index}.bias"] = (
                    kernel.transpose(3, 2, 0, 1),
                    bias,
                )
                index += 2
            index += 1
        kernel, bias = _layer(file, "fc6")
        # Keras flattens height, width, channels; torch channels, height, width.
        kernel = kernel.reshape(7, 7, 512, -1).transpose(3, 2, 0, 1).reshape(-1, 512 * 7 * 7)
        weights["fc6.weight"], weights["fc6.bias"] = kernel, bias
        kernel, weights["fc7.bias"] = _layer(file, "fc7")
        weights["fc7.weight"] = kernel.T
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()}


def _layer(file: h5py.File, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer, by its list of weights: the group `fc6` also holds the layer `fc6/relu`."""
    root = file.get("model_weights", file)
    names = [n.decode() if isinstance(n, bytes) else n for n in root[name].attrs["weight_names"]]
    kernel, bias = (np.asarray(root[name][n], np.float32) for n in names)
    return kernel, bias
