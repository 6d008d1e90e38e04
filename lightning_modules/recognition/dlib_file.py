"""Reads the parameters of dlib's serialised recognition network."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .weight_files import WeightFileError

CONVOLUTIONS = 29
# Each layer's tag, and how many integers lie between it and the layer's tensor.
TAGS = {b"con_4": 0, b"affine_": 0, b"fc_2": 2}


class DlibParameters(NamedTuple):
    """The parameters of dlib's ResNet-29, each layer's flat, in forward order.

    Attributes:
        convolutions: weights [out, in, kh, kw], then biases [out].
        affines: gammas [out], then betas [out].
        projection: one array, [256, 128], no bias.
    """

    convolutions: list[np.ndarray]
    affines: list[np.ndarray]
    projection: list[np.ndarray]


def read_dlib_file(path: Path) -> DlibParameters:
    """The parameters in `dlib_face_recognition_resnet_model_v1.dat`.

    The layers lie in forward order, each behind a tag that begins with its length; shapes are not needed,
    since the network is known.

    Raises:
        WeightFileError: if the file is not that network.
    """
    data = path.read_bytes()
    try:
        layers = DlibParameters(*([*_tensors(data, tag)] for tag in TAGS))
    except (struct.error, ValueError, IndexError) as error:
        raise WeightFileError(f"{path} cannot be read as dlib's recognition network: {error}") from error
    counts = tuple(map(len, layers))
    if counts != (CONVOLUTIONS, CONVOLUTIONS, 1):
        raise WeightFileError(
            f"{path} holds {counts} convolutions, affine and fully connected layers, expected "
            f"{(CONVOLUTIONS, CONVOLUTIONS, 1)}; it is not dlib_face_recognition_resnet_model_v1.dat"
        )
    return layers


def _tensors(data: bytes, tag: bytes) -> Iterator[np.ndarray]:
    prefix = bytes([1, len(tag)]) + tag
    start = data.find(prefix)
    while start >= 0:
        offset = start + len(prefix)
        for _ in range(TAGS[tag]):
            _, offset = _integer(data, offset)
        yield _tensor(data, offset)
        start = data.find(prefix, start + 1)


def _tensor(data: bytes, offset: int) -> np.ndarray:
    version, offset = _integer(data, offset)
    if version != 2:
        raise ValueError(f"tensor version {version} at byte {offset}, expected 2")
    count = 1
    for _ in range(4):
        size, offset = _integer(data, offset)
        count *= size
    return np.frombuffer(data, "<f4", count, offset).copy()


def _integer(data: bytes, offset: int) -> tuple[int, int]:
    """An integer and the offset behind it: a control byte (sign, byte count), then little-endian bytes."""
    control = data[offset]
    end = offset + 1 + (control & 0x0F)
    magnitude = int.from_bytes(data[offset + 1 : end], "little")
    return (-magnitude if control & 0x80 else magnitude), end
