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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from lightning_modules.plain.files import read_text, require_file, sha256_of_file, sha256_of_files

from .frame import ARCFACE_CROP, DLIB_CROP, FACENET_CROP, Crop, box_from_template
from .network import RecognitionNetwork
from .network_names import file_network_name
from .onnx_graph import OnnxGraph
from .torch_programs import read_program
from .weight_files import WeightFileError

TEMPLATES = {"arcface": ARCFACE_CROP, "dlib": DLIB_CROP, "facenet": FACENET_CROP}
REQUIRED = ("size", "embedding_width")
KEYS = (
    *REQUIRED, "template", "box", "channels", "mean", "standard_deviation", "embedding", "features",
    "feature_width",
)  # fmt: skip
LARGEST = 1e9  # of numbers
LARGEST_PIXELS = 4096  # of a crop's side; more than any network takes
NAMED = 5  # of the values that there are, the last ones, in a message
# Pictures at a time, by which a network is checked: its batch must be free.
SHOWN = {2: "two pictures", 3: "three pictures", 1: "one picture"}


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
            content = json.loads(read_text(path), object_pairs_hook=_once)
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
            features = _output(content, "features")
            if features is None and content.get("feature_width", width) != width:
                raise ValueError("feature_width is of features, which it does not name")
            return cls(
                _crop(content),
                channels,
                _three(content, "mean"),
                _three(content, "standard_deviation", positive=True),
                width,
                width if features is None else _whole(content, "feature_width"),
                _output(content, "embedding"),
                features,
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            reason = "it is nested without end" if isinstance(error, RecursionError) else reason
            raise WeightFileError(
                f"{path} does not describe a network: {reason}; see docs/models.md"
            ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of JSON whose keys each stand there once: the last of two would hide the first."""
    keys = [key for key, _ in pairs]
    if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise ValueError(f"{', '.join(twice)} stands there twice; keep one")
    return dict(pairs)


def _output(content: dict[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(f"{key} must be the name of an output, got {value!r}")
    return value


def _whole(content: dict[str, Any], key: str) -> int:
    value = content[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} must be a whole number above 0, got {value!r}")
    return value


def _numbers(value: Any) -> np.ndarray | None:  # noqa: ANN401 - of a file
    """An array of JSON's numbers, none of them true, false, text or without end; None of anything else."""
    parts = value if isinstance(value, list) else [value]
    if isinstance(value, list) and all(isinstance(part, list) for part in parts):
        rows = [row for row in map(_numbers, parts) if row is not None]
        alike = len(rows) == len(parts) > 0 and len({row.shape for row in rows}) == 1
        return np.stack(rows) if alike else None
    if not all(isinstance(part, int | float) and not isinstance(part, bool) for part in parts):
        return None
    return np.array(value, float) if all(abs(part) < LARGEST for part in parts) else None


def _three(content: dict[str, Any], key: str, *, positive: bool = False) -> list[float]:
    value = content.get(key, 127.5)
    numbers = _numbers(value)
    if numbers is None or numbers.shape not in {(), (3,)} or (positive and not (numbers > 0).all()):
        kind = "numbers above 0" if positive else "numbers"
        raise ValueError(f"{key} must be one or three {kind}, got {value!r:.60}")
    return np.broadcast_to(numbers, (3,)).tolist()


def _crop(content: dict[str, Any]) -> Crop:
    size = _whole(content, "size")
    if size > LARGEST_PIXELS:
        raise ValueError(f"size must be at most {LARGEST_PIXELS} pixels, got {size}")
    if ("box" in content) == ("template" in content):
        raise ValueError("give either template or box")
    if "box" in content:
        sides = _numbers(content["box"])
        if sides is None or sides.shape != (4,) or not (sides[:2] < sides[2:]).all():
            raise ValueError(f"box must be left, top, right, bottom, got {content['box']!r:.60}")
        return Crop(size, *sides.tolist())
    template = content["template"]
    if isinstance(template, str):
        if template not in TEMPLATES:
            raise ValueError(f"template must be {', '.join(TEMPLATES)} or five points, got {template!r}")
        return TEMPLATES[template]._replace(size=size)
    points = _numbers(template)
    if points is None or points.shape != (5, 2):
        raise ValueError(f"template must be five points [x, y], got {template!r:.60}")
    crop = box_from_template(points, size) if np.ptp(points, axis=0).all() else None
    if crop is None or not (crop.left < crop.right and crop.top < crop.bottom):
        raise ValueError(f"template must be the five points of an upright face, got {template!r:.60}")
    return crop


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
        """The same after a few pictures were shown to it.

        Raises:
            WeightFileError: if it cannot take them, or its widths are not as described.
        """
        generator = torch.Generator().manual_seed(0)
        size = self.crop.size
        images = torch.rand(max(SHOWN), 3, size, size, generator=generator)
        for count in SHOWN:
            with torch.set_grad_enabled(count == 2):
                self._look_at(path, images[:count].clone().requires_grad_(count == 2))
        return self

    def _look_at(self, path: Path, images: Tensor) -> None:
        """Look at what comes out, and, where gradients are asked for, whether one reaches the pictures."""
        count = len(images)
        pictures = SHOWN[count]
        try:
            parts = self.describe(images)
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
            said = next(iter(str(error).strip().splitlines()[-1:]), type(error).__name__)
            fixed = count != 2 or "size()[0]" in said
            advice = "; export it with a dynamic batch" if fixed else ""
            raise WeightFileError(
                f"{path} cannot describe {pictures} of {self.crop.size} pixels: {said}{advice}"
            ) from error
        widths = {"feature_width": self.feature_width, "embedding_width": self.embedding_width}
        for part, (what, width) in zip(parts, widths.items(), strict=True):
            # Without features of their own these are the embedding.
            said = "embedding_width" if self.description.features is None else what
            if part.shape != (count, width):
                raise WeightFileError(
                    f"{path} gives {list(part.shape)} for {pictures}, {said} says [{count}, {width}] "
                    f"numbers; mend {path.with_suffix('.json').name}{self.choice()}"
                )
            if not bool(part.isfinite().all()):
                raise WeightFileError(
                    f"{path} gives numbers that are not finite for {pictures}; its weights are damaged, or "
                    f"mean and standard_deviation in {path.with_suffix('.json').name} are not its own"
                )
        if images.requires_grad:
            self.differentiable = all(_reaches(part, images) for part in parts)


def _reaches(part: Tensor, images: Tensor) -> bool:
    if part.grad_fn is None:
        return False
    (gradient,) = torch.autograd.grad(part.sum(), images, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.isfinite().all() and gradient.any())


def _named(values: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in values:
        raise ValueError(f"it has no value {name!r}, but {', '.join(map(str, [*values][-NAMED:]))}")
    return values[name]


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
        found, features = self.graph(images), self.description.features
        embedding = _named(found, self.description.embedding or self.graph.output_names[0])
        return embedding if features is None else _named(found, features), embedding


class TorchNetwork(DescribedNetwork):
    """A network of a .pt2 archive of `torch.export.save`; load only those that you trust.

    Pickled parts are read as tensors only, but torch evaluates expressions that the archive holds. Its batch
    must be dynamic. Its forward gives the embedding, or features and embedding, or a mapping.
    """

    def __init__(self, path: Path, description: Description) -> None:
        super().__init__("torch", path, description)
        program = read_program(path)
        # In a list, so that nothing counts its weights as this module's, or asks it to train.
        self.hidden = [program.requires_grad_(False)]
        self.freeze()

    def _apply(self, function: Any, recurse: bool = True) -> Self:  # noqa: ANN401 - torch's
        super()._apply(function, recurse)
        self.hidden = [program.to(self.mean.device, self.mean.dtype) for program in self.hidden]
        return self

    def values(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the archive gives, by name where it gives a mapping."""
        found, named = self.hidden[0](images), self.description
        if isinstance(found, Tensor):
            if named.features is not None:
                raise ValueError("it gives the embedding alone; leave features out")
            return found, found
        if isinstance(found, Mapping):
            embedding = _named(found, named.embedding or "embedding")
            return embedding if named.features is None else _named(found, named.features), embedding
        if len(found) != 2:
            raise ValueError(
                f"it gives {len(found)} values; expected the embedding, features and embedding, or a mapping"
            )
        features, embedding = found
        return (embedding if named.features is None else features), embedding


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
