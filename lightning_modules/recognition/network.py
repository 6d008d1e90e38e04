"""The interface of all recognition networks: frozen, always in eval mode, one frame of input."""

from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.plain.precision import at_least_float32, without_autocast

from .frame import CANONICAL_SIZE, Crop
from .resampling import resample

Frame = Literal["canonical", "native"]


class Recognition(NamedTuple):
    """What a network says of B faces.

    Attributes:
        features: [B, feature_width], the pooled features that the regressor reads, and what `Coloured` adds.
        embedding: [B, embedding_width], of unit length, for the identity loss and similarities.
        descriptor: [B, embedding_width], the embedding before it was brought to unit length; dlib's
            own protocol compares these by their Euclidean distance.
    """

    features: Tensor
    embedding: Tensor
    descriptor: Tensor


class RecognitionNetwork(nn.Module):
    """A frozen face recognition network.

    Its weights are buffers outside the state dict: no optimiser, checkpoint or moving average ever holds
    them. It stays in eval mode whatever its parent module does. Gradients reach the image, never a weight.
    Under autocast it computes in the precision of its weights, but where a caller lets it round.

    Attributes:
        name: the name that commands use.
        crop: the network's own view, a box of the canonical frame.
        feature_width: D of the pooled features.
        embedding_width: D of the embedding.
        differentiable: whether gradients reach the image; a network without can only judge.
        map_width: of `feature_map`; 0 of a network that gives none.
        sha256: hash of the published weight file; of one around
            another (`around_network`), also of what that adds.
    """

    name: str
    crop: Crop
    feature_width: int
    embedding_width: int
    differentiable: bool = True
    map_width: int = 0

    def __init__(self, sha256: str) -> None:
        super().__init__()
        self.sha256 = sha256

    def forward(
        self, images: Tensor, *, frame: Frame = "canonical", rounding: torch.dtype | None = None
    ) -> Recognition:
        """Features and embeddings of faces.

        Args:
            images: [B, 3, 224, 224] in the canonical frame, or [B, 3, size, size] in the network's own crop.
                RGB, sRGB-encoded, in [0, 1].
            frame: which of the two the images are in.
            rounding: the precision of convolutions and products, see `rounding.lowest_cosine`; the weights'
                own if not given. What comes back has the images' or the weights'.

        Raises:
            ValueError: if the images have another shape, or are not floating point.
        """
        self._check(images, frame)
        with without_autocast(images.device):
            images = images.to(next(self.buffers()).dtype)
            native = resample(images, self.crop) if frame == "canonical" else images
            if rounding is None:
                features, descriptor = self.describe(native)
            else:
                with torch.autocast(images.device.type, dtype=rounding):
                    features, descriptor = (part.to(images) for part in self.describe(native))
            return Recognition(
                features, functional.normalize(at_least_float32(descriptor), dim=1), descriptor
            )

    def of_photographs(self, images: Tensor) -> Recognition:
        """The same of canonical photographs [B, 3, 224, 224], at which some networks look more than once."""
        return self(images)

    @property
    def once(self) -> "RecognitionNetwork":
        """What sees renderings: this network, without what it does with photographs alone."""
        return self

    @property
    def plain(self) -> "RecognitionNetwork":
        """The network itself, without what reading it as an encoder adds."""
        return self

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and raw descriptor of images [B, 3, size, size] in the network's own crop, in [0, 1]."""
        raise NotImplementedError

    def feature_map(self, images: Tensor) -> Tensor:
        """An intermediate map of images in the network's own crop, as `describe` takes them: [B, map_width].

        Channels of coarse cells, one after the other: it knows where in the crop something is, which pooled
        features have forgotten.
        """
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: batch statistics or dropout would change the identity that is measured."""
        return super().train(False)

    def freeze(self) -> Self:
        """Turn all weights into buffers that state dicts leave out, and switch to eval mode."""
        for module in self.modules():
            for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
                if tensor is not None:
                    module._parameters.pop(name, None)
                    module._buffers.pop(name, None)
                    module.register_buffer(name, tensor.detach(), persistent=False)
        # On the CPU a tenth to a quarter faster.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs forget it
        return self.train(False)

    def _check(self, images: Tensor, frame: Frame) -> None:
        if frame not in ("canonical", "native"):
            raise ValueError(f'frame must be "canonical" or "native", got {frame!r}')
        size = CANONICAL_SIZE if frame == "canonical" else self.crop.size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(
                f"{self.name} in the {frame} frame takes images [B, 3, {size}, {size}], got "
                f"{list(images.shape)}; align photographs to {size} pixels, channels first"
            )
        if not images.is_floating_point():
            raise ValueError(f"images must be floating point in [0, 1], got {images.dtype}; divide by 255")
