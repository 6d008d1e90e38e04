"""What a checkpoint makes of photographs that are damaged: found, aligned and reconstructed anew."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment.crops import align
from datamodules.alignment.detection import Detector
from datamodules.alignment.feature_cache import to_images
from datamodules.alignment.images import read_photograph
from datamodules.alignment.records import FaceRecords
from datamodules.face_data import FaceDataset
from evaluation.damage.corruptions import CENTRE, CONTEXT, CORRUPTIONS, EYE_DISTANCE
from lightning_modules.plain.files import written_atomically
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.rendered_faces import render_for_judge

AT_ONCE = 32


class Responses(NamedTuple):
    """What a checkpoint makes of W versions of one photograph, the undamaged one first.

    Attributes:
        found: [W], whether the detector finds the face again.
        coefficients: [W, Ks + Kt], zero where it does not.
        rendered: [W, E], the judge's unit embedding of the face from the front; zero likewise.
        photographed: [E], of the undamaged photograph.
    """

    found: np.ndarray
    coefficients: np.ndarray
    rendered: np.ndarray
    photographed: np.ndarray

    def save(self, file: Path) -> None:
        """Write, whole or not at all."""
        with written_atomically(file) as temporary:
            np.savez(temporary, **self._asdict())

    @classmethod
    def load(cls, file: Path) -> "Responses | None":
        """The written responses; None where there are none, or the file is damaged."""
        try:
            with file.open("rb") as stream, np.load(stream) as content:
                return cls(**{name: content[name] for name in cls._fields})
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None


def context_of(dataset: FaceDataset, face: int) -> np.ndarray:
    """A face of a data set in its context [S, S, 3], upright and of one size; see `corruptions`."""
    number = int(dataset.faces.face[face])
    with FaceRecords(dataset.cache.records_file, read_only=True) as records:
        points = list(records.faces(dataset.faces.digest[face].tobytes()))[number].points
    return align(read_photograph(dataset.path(face)).pixels, points, CONTEXT)


def versions_of(dataset: FaceDataset, face: int, seed: int, *, damaged: bool = True) -> Iterator[np.ndarray]:
    """The undamaged face in its context, then, where wanted, each kind of damage at each strength.

    What is drawn follows from the seed, the photograph's content and the kind.
    """
    context = context_of(dataset, face)
    yield context
    content = int.from_bytes(dataset.faces.digest[face].tobytes()[:4])
    for number, kind in enumerate(CORRUPTIONS if damaged else ()):
        yield from kind.at_all_strengths(context, (seed, content, number))


def found_again(context: np.ndarray, detector: Detector) -> np.ndarray | None:
    """The canonical crop [224, 224, 3] of the face in the middle of a context; None where none is found."""

    def away(points: np.ndarray) -> float:
        return float(np.hypot(*(points.mean(0) - CENTRE)))

    near = [face.points for face in detector(context) if away(face.points) < EYE_DISTANCE]
    return align(context, min(near, key=away)) if near else None


@torch.inference_mode()
def respond(
    versions: Sequence[np.ndarray],
    loaded: Reconstructor,
    judge: RecognitionNetwork,
    detector: Detector,
    *,
    retouched: bool = True,
) -> Responses:
    """The responses to versions of one photograph; for `retouched` see `render_for_judge`."""
    crops = [found_again(version, detector) for version in versions]
    found = np.array([crop is not None for crop in crops])
    coefficients = np.zeros(
        (len(crops), loaded.regressor.shape_count + loaded.regressor.albedo_count), np.float32
    )
    rendered = np.zeros((len(crops), judge.embedding_width), np.float32)
    photographed = np.zeros(judge.embedding_width, np.float32)
    places = np.flatnonzero(found)
    for start in range(0, len(places), AT_ONCE):
        chosen = places[start : start + AT_ONCE]
        images = to_images(np.stack([crops[place] for place in chosen])).to(loaded.model.shape_mean)
        predicted = loaded.coefficients(loaded.encoder.of_photographs(images).features)
        coefficients[chosen] = torch.cat(predicted, 1).cpu().numpy()
        seen = judge(render_for_judge(loaded.model, predicted, retouched=retouched))
        rendered[chosen] = seen.embedding.cpu().numpy()
        if start == 0 and found[0]:
            photographed[:] = judge(images[:1]).embedding[0].cpu().numpy()
    return Responses(found, coefficients, rendered, photographed)


def prediction_of(coefficients: Tensor, loaded: Reconstructor) -> Prediction:
    """Coefficients [B, Ks + Kt] as shape and albedo."""
    counts = [loaded.regressor.shape_count, loaded.regressor.albedo_count]
    return Prediction(*coefficients.to(loaded.model.shape_mean).split(counts, 1))
