"""`onnx:FILE` and `torch:FILE`: any recognition network that a small file beside it describes.

The description is the network's file with the suffix .json:

    {"size": 112, "template": "arcface", "channels": "rgb", "mean": 127.5, "standard_deviation": 127.5,
     "embedding_width": 512}

`template` is `arcface`, `dlib`, `facenet`, or five points [x, y] in pixels of the crop: the person's right
eye, left eye, nose, right and left corner of the mouth. Or `box`: [left, top, right, bottom] in the canonical
frame. `mean` and `standard_deviation` are of pixels from 0 to 255: one number, or one a channel in the
network's order. `embedding` and `features` name outputs, or for ONNX any value in the graph; features that
are maps are averaged, and need a `feature_width`. Without `features` the embedding serves as features.
"""

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from lightning_modules.plain.files import require_file, sha256_of_file, sha256_of_files

from .frame import ARCFACE_CROP, DLIB_CROP, FACENET_CROP, Crop, box_from_template
from .network import RecognitionNetwork
from .network_names import file_network_name
from .onnx_graph import OnnxGraph
from .weight_files import WeightFileError

TEMPLATES = {"arcface": ARCFACE_CROP, "dlib": DLIB_CROP, "facenet": FACENET_CROP}
REQUIRED = ("size", "embedding_width")
KEYS = (
    *REQUIRED, "template", "box", "channels", "mean", "standard_deviation", "embedding", "features",
    "feature_width",
)  # fmt: skip


class Description(NamedTuple):
    """What the file beside a network says of it; see the module."""

    crop: Crop
    channels: str
    mean: list[float]
    standard_deviation: list[float]
    embedding_width: int
    feature_width: int
    embedding: str | None
    features: str | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The description in a file.

        Raises:
            FileNotFoundError: if there is none.
            WeightFileError: if it is none.
        """
        require_file(path, f"a description of the network with {', '.join(REQUIRED)} (docs/models.md)")
        try:
            content = json.loads(path.read_text())
            if not isinstance(content, dict):
                raise ValueError(f"it must be a mapping, not {type(content).__name__}")
            if unknown := [key for key in content if key not in KEYS]:
                raise ValueError(f"{', '.join(unknown)} is not known; there are {', '.join(KEYS)}")
            if missing := [key for key in REQUIRED if key not in content]:
                raise ValueError(f"{', '.join(missing)} is missing")
            channels = content.get("channels", "rgb")
            if channels not in ("rgb", "bgr"):
                raise ValueError(f"channels must be rgb or bgr, got {channels!r}")
            width = _whole(content, "embedding_width")
            features = content.get("features")
            return cls(
                _crop(content),
                channels,
                _three(content.get("mean", 127.5)),
                _three(content.get("standard_deviation", 127.5), positive=True),
                width,
                width if features is None else _whole(content, "feature_width"),
                content.get("embedding"),
                features,
            )
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise WeightFileError(
                f"{path} does not describe a network: {reason}; see docs/models.md"
            ) from error


def _whole(content: dict[str, Any], key: str) -> int:
    value = content[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} must be a whole number above 0, got {value!r}")
    return value


def _three(value: Any, *, positive: bool = False) -> list[float]:  # noqa: ANN401 - of a file
    numbers = np.broadcast_to(np.asarray(value, float), (3,))
    if not np.isfinite(numbers).all() or (positive and not (numbers > 0).all()):
        raise ValueError(f"mean and standard_deviation must be one or three numbers, got {value!r}")
    return numbers.tolist()


def _crop(content: dict[str, Any]) -> Crop:
    size = _whole(content, "size")
    if ("box" in content) == ("template" in content):
        raise ValueError("give either template or box")
    if "box" in content:
        left, top, right, bottom = (float(side) for side in content["box"])
        if left >= right or top >= bottom:
            raise ValueError(f"box must be left, top, right, bottom, got {content['box']}")
        return Crop(size, left, top, right, bottom)
    template = content["template"]
    if isinstance(template, str):
        if template not in TEMPLATES:
            raise ValueError(f"template must be {', '.join(TEMPLATES)} or five points, got {template!r}")
        return TEMPLATES[template]._replace(size=size)
    points = np.asarray(template, float)
    if points.shape != (5, 2):
        raise ValueError(f"template must be five points, got shape {list(points.shape)}")
    return box_from_template(points, size)


class DescribedNetwork(RecognitionNetwork):
    """What both kinds share: normalisation, and a look at whether widths are as described.

    Attributes:
        differentiable: whether gradients reach the image; only a judge needs none.
    """

    mean: Tensor
    standard_deviation: Tensor

    def __init__(self, kind: str, path: Path, description: Description) -> None:
        # The description belongs to what features and embeddings depend on.
        super().__init__(sha256_of_files([path, path.with_suffix(".json")]))
        self.name = file_network_name(kind, sha256_of_file(path))
        self.description, self.crop = description, description.crop
        self.feature_width, self.embedding_width = description.feature_width, description.embedding_width
        for name in ("mean", "standard_deviation"):
            values = torch.tensor(getattr(description, name)).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def values(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features, perhaps maps, and the embedding of normalised images."""
        raise NotImplementedError

    def choice(self) -> str:
        """Which of several outputs could be the embedding, as a sentence's end; else nothing."""
        return ""

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The named features, averaged where they are maps, and the embedding."""
        pixels = 255 * (images.flip(1) if self.description.channels == "bgr" else images)
        features, embedding = self.values((pixels - self.mean) / self.standard_deviation)
        if features.ndim == 4:
            last = features.shape[1] != self.feature_width == features.shape[3]  # [B, H, W, C]
            features = features.mean((1, 2) if last else (2, 3))
        features = features.flatten(1)
        return features, embedding.flatten(1)

    def checked(self, path: Path) -> Self:
        """The same after two pictures were shown to it.

        Raises:
            WeightFileError: if it cannot take them, or its widths are not as described.
        """
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(2, 3, self.crop.size, self.crop.size, generator=generator).requires_grad_()
        try:
            with torch.enable_grad():
                parts = self.describe(images)
        except (RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
            said = str(error).strip().splitlines()[-1]
            reason = f"it has no value {said}" if isinstance(error, KeyError) else said
            raise WeightFileError(
                f"{path} cannot describe two pictures of {self.crop.size} pixels: {reason}"
            ) from error
        widths = {"feature_width": self.feature_width, "embedding_width": self.embedding_width}
        for part, (what, width) in zip(parts, widths.items(), strict=True):
            if part.shape != (2, width) or not bool(part.isfinite().all()):
                # Without features of their own these are the embedding.
                said = "embedding_width" if self.description.features is None else what
                raise WeightFileError(
                    f"{path} gives {list(part.shape)} for two pictures, {said} says [2, {width}] numbers; "
                    f"mend {path.with_suffix('.json').name}{self.choice()}"
                )
        self.differentiable = all(_reaches(part, images) for part in parts)
        return self


def _reaches(part: Tensor, images: Tensor) -> bool:
    if part.grad_fn is None:
        return False
    (gradient,) = torch.autograd.grad(part.sum(), images, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.isfinite().all() and gradient.any())


class OnnxNetwork(DescribedNetwork):
    """A network of an ONNX file, computed by torch."""

    def __init__(self, path: Path, description: Description) -> None:
        super().__init__("onnx", path, description)
        self.graph = OnnxGraph(path)
        self.freeze()

    def choice(self) -> str:
        """The graph's outputs, where the description names none of several."""
        names = self.graph.output_names
        if self.description.embedding is not None or len(names) < 2:
            return ""
        return f", and name as embedding one of {', '.join(names)}"

    def values(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The named values, or the graph's first output."""
        found = self.graph(images)
        embedding = found[self.description.embedding or self.graph.output_names[0]]
        return embedding if self.description.features is None else found[self.description.features], embedding


class TorchNetwork(DescribedNetwork):
    """A network of a .pt2 archive of `torch.export.save`; load only those that you trust.

    Its batch must be dynamic. Its forward gives the embedding, or features and embedding, or a mapping.
    """

    def __init__(self, path: Path, description: Description) -> None:
        super().__init__("torch", path, description)
        try:
            with warnings.catch_warnings():
                # Of torch's own reader, which copies what it warns of right away.
                warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
                program = torch.export.load(str(path)).module()
        except Exception as error:  # torch raises whatever a damaged archive leads to
            raise WeightFileError(f"{path} cannot be read as an archive of torch.export.save") from error
        # In a list, so that nothing counts its weights as this module's, or asks it to train.
        self.hidden = [program.requires_grad_(False)]
        self.freeze()

    def _apply(self, function: Any, recurse: bool = True) -> Self:  # noqa: ANN401 - torch's
        super()._apply(function, recurse)
        self.hidden = [program.to(self.mean.device, self.mean.dtype) for program in self.hidden]
        return self

    def values(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the archive gives, by name where it gives a mapping."""
        found = self.hidden[0](images)
        if isinstance(found, Tensor):
            return found, found
        if isinstance(found, dict):
            embedding = found[self.description.embedding or "embedding"]
            return found[self.description.features or self.description.embedding or "embedding"], embedding
        features, embedding = found
        return (embedding if self.description.features is None else features), embedding


Network = TypeVar("Network", OnnxNetwork, TorchNetwork)


def load_onnx(path: Path) -> OnnxNetwork:
    """The network of an ONNX file and its description.

    Raises:
        FileNotFoundError: if one of them is missing.
        WeightFileError: if it cannot be used; the message says why.
    """
    return _load(path, OnnxNetwork)


def load_torch(path: Path) -> TorchNetwork:
    """The network of an exported torch program and its description; raises as `load_onnx`."""
    return _load(path, TorchNetwork)


def _load(path: Path, kind: type[Network]) -> Network:
    path = Path(path).expanduser()
    require_file(path, "a recognition network")
    return kind(path, Description.read(path.with_suffix(".json"))).checked(path)
