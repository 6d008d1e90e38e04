"""Synthetic subjects with known correspondence, and reconstructions that are wrong by a known amount."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh
from evaluation.metrics.scan_region import Region
from evaluation.metrics.surface import Surface
from evaluation.metrics.true_error import Truth, true_error_mm, truth_of
from lightning_modules.faces.morphable_model import MorphableModel

KINDS = ("wrong person", "mean face", "smooth", "local", "scale", "noise")
FACE_RADIUS_MM = 95.0  # around the nose tip, where the true error is taken
SMOOTH_MM, WAVES = 40.0, 64  # wavelength over 2 pi of the smooth errors, and how many waves they are made of
BUMP_MM = 20.0  # standard deviation of the local error: its peak is about 5 times its root mean square
# Where local errors sit: chin, brows, nose tip, nose wings, mouth corners, cheeks beside the jaw.
BUMP_LANDMARKS = (8, 19, 24, 30, 31, 35, 48, 54, 3, 13)
SCAN_NOISE_MM, MARKING_ERROR_MM = 0.1, 0.8
TURN_DEGREES, SHIFT_MM = 8.0, 30.0  # between the frames of scan and reconstruction


class SyntheticPerson(NamedTuple):
    """One synthetic person.

    Attributes:
        scan: what a scanner might give: other vertices than the truth's, noise, landmarks marked by hand.
        vertices: [V, 3] in mm, of the morphable model's topology: the truth.
        truth: the same with the weight of each vertex within 95 mm of the nose tip.
        errors: a displacement [V, 3] for each kind of error, of any size.
    """

    scan: MarkedMesh
    vertices: NDArray[np.float64]
    truth: Truth
    errors: dict[str, NDArray[np.float64]]


class FaceModel(NamedTuple):
    """What is needed of a morphable model: the model, its triangles [T, 3] and its mean face [V, 3]."""

    model: MorphableModel
    triangles: NDArray[np.int64]
    mean: NDArray[np.float64]

    def landmarks(self, vertices: NDArray) -> NDArray[np.float64]:
        """The landmarks [68, 3] of a face [V, 3]."""
        return self.model.landmarks.on(torch.from_numpy(vertices)[None])[0].numpy()

    def draw(self, seed: int) -> NDArray[np.float64]:
        """A random face [V, 3]."""
        return self.face(self.model.sample(1, torch.Generator().manual_seed(seed)).shape)

    def face(self, shape: torch.Tensor) -> NDArray[np.float64]:
        """The face [V, 3] of shape coefficients [1, K]."""
        with torch.no_grad():
            return self.model(shape, torch.zeros(1, 0)).vertices[0].double().numpy()


def face_model(model: MorphableModel) -> FaceModel:
    """A morphable model as it is needed here."""
    plain = FaceModel(model, model.triangles.numpy(), np.zeros((0, 3)))
    return plain._replace(mean=plain.face(torch.zeros(1, 1)))


def make_subject(faces: FaceModel, seed: int) -> SyntheticPerson:
    """A person of the model, the scan of them, and the directions in which a reconstruction may be wrong."""
    person, other = faces.draw(2 * seed), faces.draw(2 * seed + 1)
    chance = np.random.default_rng(seed)
    landmarks = faces.landmarks(person)
    surface = Surface(person, faces.triangles)
    truth = truth_of(person, faces.triangles, Region(landmarks[NOSE_TIP], FACE_RADIUS_MM))
    errors = {
        "wrong person": other - person,
        "mean face": faces.mean - person,
        "smooth": smooth_field(person, chance),
        "local": bump(person, landmarks[chance.choice(BUMP_LANDMARKS)], chance),
        "scale": person - landmarks[NOSE_TIP],
        "noise": chance.normal(size=(len(person), 1)) * surface.vertex_normals,
    }
    return SyntheticPerson(scanned(surface, landmarks, chance), person, truth, errors)


def smooth_field(vertices: NDArray, chance: np.random.Generator) -> NDArray[np.float64]:
    """A displacement [V, 3] made of long waves, outside any model's basis."""
    waves = chance.normal(size=(3, WAVES)) / SMOOTH_MM
    return np.cos(vertices @ waves + chance.uniform(0, 2 * np.pi, WAVES)) @ chance.normal(size=(WAVES, 3))


def bump(vertices: NDArray, centre: NDArray, chance: np.random.Generator) -> NDArray[np.float64]:
    """A displacement [V, 3] in one direction about one place."""
    direction = chance.normal(size=3)
    falloff = np.exp(-((vertices - centre) ** 2).sum(1) / (2 * BUMP_MM**2))
    return falloff[:, None] * direction / np.linalg.norm(direction)


def scanned(surface: Surface, landmarks: NDArray, chance: np.random.Generator) -> MarkedMesh:
    """A scan of the surface: its triangles' centres and corners as vertices, noise, marks by hand."""
    count = len(surface.vertices)
    centres = surface.vertices[surface.triangles].mean(1)
    ids = count + np.arange(len(centres))
    one, two, three = surface.triangles.T
    triangles = np.concatenate(
        [np.stack(t, 1) for t in ((one, two, ids), (two, three, ids), (three, one, ids))]
    )
    vertices = np.concatenate([surface.vertices, centres])
    normals = Surface(vertices, triangles).vertex_normals
    noisy = vertices + chance.normal(0, SCAN_NOISE_MM, (len(vertices), 1)) * normals
    return MarkedMesh(noisy, triangles, landmarks + chance.normal(0, MARKING_ERROR_MM, landmarks.shape))


def reconstruction(
    subject: SyntheticPerson, faces: FaceModel, kind: str, error_mm: float, seed: int
) -> tuple[MarkedMesh, NDArray[np.float64]]:
    """A mesh in a frame of its own whose true error is known, and its vertices in the truth's frame.

    Args:
        subject: whose.
        faces: the model.
        kind: of the error.
        error_mm: its root mean square over the face after the best similarity; for "scale", which a
            similarity takes out, after the best rigid motion.
        seed: of the frame.
    """
    vertices = subject.vertices + scaled_to(subject, kind, error_mm) * subject.errors[kind]
    chance = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(np.radians(chance.uniform(-TURN_DEGREES, TURN_DEGREES, 3)))
    moved = turn.apply(vertices) + chance.uniform(-SHIFT_MM, SHIFT_MM, 3)
    return MarkedMesh(moved, faces.triangles, faces.landmarks(moved)), vertices


def scaled_to(subject: SyntheticPerson, kind: str, error_mm: float) -> float:
    """The factor by which a kind of error has the true error that is asked for."""
    error = subject.errors[kind]

    def excess(factor: float) -> float:
        wrong = subject.vertices + factor * error
        return true_error_mm(wrong, subject.truth, scaled=kind != "scale") - error_mm

    unit = true_error_mm(subject.vertices + 1e-3 * error, subject.truth, scaled=kind != "scale") / 1e-3
    return float(brentq(excess, 0.0, 3 * error_mm / unit, xtol=1e-6))
