"""From features of photographs to neutral textured faces: a checkpoint with all that it was trained with."""

import os
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from .checkpoints import (
    content_of_model,
    described,
    is_same_model,
    load_regressor,
    specification_of_network,
)
from .expected_shape import Geometry, readings_of, require_expected_shape, tell_of_earlier
from .faces.loading import load_morphable_model, place_of_model
from .faces.morphable_model import Faces, MorphableModel
from .prediction import Prediction
from .recognition.encoder_names import underlying
from .recognition.mapped import Mapped
from .recognition.network import RecognitionNetwork
from .recognition.network_names import file_kind
from .recognition.networks import load_network, with_map
from .regressor import Regressor

# Where commands look for the morphable model when neither an option nor the checkpoint's own place has it.
ENVIRONMENT_VARIABLE = "MORPHABLE_MODEL"
# Likewise for the file of an encoder that has one.
ENCODER_VARIABLE = "ENCODER_WEIGHTS"


class Reconstructor(NamedTuple):
    """A trained regressor with its morphable model and its encoder, all frozen.

    Attributes:
        regressor: encoder features -> coefficients.
        model: the morphable model that it was trained with.
        encoder: the network whose features it reads; where the expected shape is read, its feature map, too.
        content: what the checkpoint says of itself, see `checkpoints.checkpoint_content`.
        specification: by which the morphable model was found, such as open or ict:FOLDER.
        geometry: how shape coefficients are read: as they are predicted, or as is expected of them.
    """

    regressor: Regressor
    model: MorphableModel
    encoder: RecognitionNetwork
    content: dict[str, Any]
    specification: str = "open"
    geometry: Geometry = "likeness"

    def read_as(self, geometry: Geometry, name: str = "the checkpoint") -> Self:
        """The same with another reading of shapes, which may need more of the encoder.

        Raises:
            ValueError: if the checkpoint, which the sentence calls `name`, keeps no expected shape.
        """
        encoder = self.encoder
        if geometry == "expected" and require_expected_shape(self.content, name).map_width:
            encoder = with_map(encoder)
        return self._replace(geometry=geometry, encoder=encoder)

    @property
    def readings(self) -> dict[Geometry, Self]:
        """The same in each reading that the checkpoint keeps, likeness first; one encoder serves them all."""
        if len(readings_of(self.content)) == 1:
            return {"likeness": self.read_as("likeness")}
        expected = self.read_as("expected")
        return {"likeness": expected.read_as("likeness"), "expected": expected}

    def named_readings(self, name: str) -> dict[str, Self]:
        """The same as rows of a table name them: by the checkpoint, and by the reading if there are two."""
        several = self.readings
        return {
            name if len(several) == 1 else f"{name}, {reading}": each for reading, each in several.items()
        }

    def to(self, device: str | torch.device) -> Self:
        """The same on a device."""
        return self._replace(
            regressor=self.regressor.to(device), model=self.model.to(device), encoder=self.encoder.to(device)
        )

    @torch.no_grad()
    def coefficients(self, features: Tensor) -> Prediction:
        """Coefficients of faces with these encoder features [B, D], on the model's device.

        Features of several photographs of one person are averaged before (Genova et al. 2018, section 4.2).
        Those of an encoder with its feature map begin with the ones that the likeness is predicted of.
        """
        own = features
        if isinstance(self.encoder, Mapped):
            own = features[:, : self.encoder.network.feature_width]
        predicted: Prediction = self.regressor(own.to(self.model.shape_mean))
        if self.geometry == "likeness":
            return predicted
        expected = require_expected_shape(self.content, "the checkpoint")
        return predicted._replace(shape=expected.of(predicted.shape, features))

    @torch.no_grad()
    def faces(self, coefficients: Prediction) -> Faces:
        """Neutral faces: vertices [B, V, 3] in mm, albedo [B, V, 3] sRGB-encoded and unclamped."""
        return self.model(*coefficients)


def read_for(checkpoint: Path | None, morphable_model: str | None) -> list[Path | None]:
    """The files that `load_reconstructor` is told to read; None for what is not given."""
    named = (morphable_model, os.environ.get(ENVIRONMENT_VARIABLE))
    return [checkpoint, *map(place_of_model, named)]


def load_reconstructor(
    checkpoint: Path,
    *,
    morphable_model: str | None = None,
    encoder_weights: Path | None = None,
    device: str | torch.device = "cpu",
    geometry: Geometry = "likeness",
) -> Reconstructor:
    """A checkpoint's regressor, and the morphable model and encoder whose hashes it names.

    Args:
        checkpoint: of either stage.
        morphable_model: open, open:2, basel:FILE or another, where the model does not lie where it did in
            training; the environment variable MORPHABLE_MODEL comes second, the checkpoint's own word last.
        encoder_weights: the encoder's weight file, where it does not lie in its usual place; of one that is a
            file itself, the environment variable ENCODER_WEIGHTS names it, too.
        device: where all parts go.
        geometry: likeness (as predicted) or expected, see `expected_shape`.

    Raises:
        FileNotFoundError: if the checkpoint or the model's file is missing.
        ValueError: if the checkpoint is damaged, or model or encoder are not those that it was trained with,
            or it keeps no expected shape to read.
    """
    regressor, content = load_regressor(checkpoint)
    if geometry == "expected":
        require_expected_shape(content, str(checkpoint))  # before what takes long
    else:
        tell_of_earlier(content, str(checkpoint))
    model, specification = _morphable_model(content, checkpoint, morphable_model)
    encoder = _encoder(content, checkpoint, encoder_weights)
    loaded = Reconstructor(regressor, model, encoder, content, specification)
    return loaded.read_as(geometry).to(device)


def _morphable_model(
    content: dict[str, Any], checkpoint: Path, given: str | None
) -> tuple[MorphableModel, str]:
    """The model, and by which specification it was found."""
    kept = content["morphable_model"]
    own = content["settings"].get("morphable_model")
    specification = given or os.environ.get(ENVIRONMENT_VARIABLE) or own
    advice = (
        f"{checkpoint} was trained with {described(kept)}; give that model by --morphable-model, or in the "
        f"environment variable {ENVIRONMENT_VARIABLE}"
    )
    if kept["kind"] == "open":
        advice += (
            f". The recipe of the open model changes with versions of this suite: train again, or take "
            f"{kept['name']}.h5 of the cache folder morphable-models of the version that trained it, as "
            "basel:FILE"
        )
    if not isinstance(specification, str):
        raise ValueError(f"{checkpoint} does not say where its morphable model lies; {advice}")
    counts = {part: kept[part] for part in ("shape_components", "albedo_components")}
    try:
        model = load_morphable_model(specification, **counts)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{error}; {advice}") from error
    if not is_same_model(content, content_of_model(model)):
        raise ValueError(f"{specification} is {described(model.describe())}, but {advice}")
    return model, specification


def _encoder(content: dict[str, Any], checkpoint: Path, weights: Path | None) -> RecognitionNetwork:
    kept = content["networks"]["encoder"]
    if weights is None and os.environ.get(ENCODER_VARIABLE) and file_kind(underlying(kept["name"])):
        weights = Path(os.environ[ENCODER_VARIABLE])
    name = kept["name"] if weights is not None else specification_of_network(content, "encoder")
    try:
        encoder = load_network(name, weights)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; {checkpoint} was trained with the encoder {kept['name']}: bring its file back, or "
            f"name it in the environment variable {ENCODER_VARIABLE}"
        ) from error
    if encoder.sha256 != kept["sha256"]:
        raise ValueError(
            f"{checkpoint} was trained with the encoder {kept['name']} ({kept['sha256'][:12]}), but these "
            f"are other weights ({encoder.sha256[:12]}); give those that it was trained with"
        )
    return encoder
