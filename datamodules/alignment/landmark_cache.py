"""68 landmarks of aligned faces, found once by a detector, in memory-mapped files keyed by content."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_modules.recognition.frame import CANONICAL_POINTS

from .detection import Detection
from .face_cache import FaceCache
from .face_rows import FaceRows

# The box about a face in the canonical frame, in distances between the eyes: to either side of the middle,
# and from the eyes up and down. The detector looks again where its own first points are.
BESIDE, ABOVE, BELOW = 1.25, 1.0, 2.1


class LandmarkDetector(Protocol):
    """Finds landmarks [68, 2], in pixels, of a face in a photograph; None where it sees none."""

    name: str
    sha256: str

    def __call__(self, image: np.ndarray, face: Detection) -> np.ndarray | None:
        """See above."""


class FaceLandmarks(FaceRows):
    """The landmarks that one detector finds in the aligned faces of one cache."""

    what = "Landmarks"

    def __init__(self, cache: FaceCache, detector: LandmarkDetector) -> None:
        columns = {"landmarks": np.dtype((np.float32, (68, 2)))}
        super().__init__(cache, f"landmarks/{detector.name}-{detector.sha256[:16]}", columns)

    def landmarks(self, rows: np.ndarray) -> Tensor:
        """Landmarks [N, 68, 2] in pixels of the canonical frame, NaN where the detector saw no face."""
        return torch.from_numpy(self._files.column("landmarks")[rows])

    def _made(self, observer: Any, crops: np.ndarray) -> dict[str, np.ndarray]:  # noqa: ANN401 - the base's
        found = np.full((len(crops), 68, 2), np.nan, np.float32)
        for index, crop in enumerate(crops):
            points = observer(crop, CANONICAL_FACE)
            if points is not None:
                found[index] = points
        return {"landmarks": found}


def _canonical_face() -> Detection:
    """What a detector would say of a face in the canonical frame."""
    middle, eyes = CANONICAL_POINTS[:, 0].mean(), CANONICAL_POINTS[0, 1]
    unit = CANONICAL_POINTS[1, 0] - CANONICAL_POINTS[0, 0]
    reach = unit * np.array([-BESIDE, -ABOVE, BESIDE, BELOW])
    return Detection(np.array([middle, eyes, middle, eyes]) + reach, CANONICAL_POINTS, 1.0)


CANONICAL_FACE = _canonical_face()
