"""Where meshes that are scored against scans come from: a checkpoint, a folder, a morphable model alone."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property, reduce
from operator import add
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from datamodules.micc import MICC
from datamodules.scan_folders import MESH_SUFFIXES, MICC_CONDITIONS, Subject
from evaluation.metrics.marked_mesh import MarkedMesh, Unscorable
from evaluation.metrics.similarity_transform import fit_similarity
from evaluation.scans.landmarks import Marker, Marks, Source, carried, marked_mesh, same_topology
from evaluation.shared.scored_method import files_by_name
from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.landmarks.mesh_landmark_files import landmark_file_beside
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.units import (
    ImplausibleSizeError,
    MeshInMillimetres,
    Unit,
    read_mesh_in_mm,
)
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.letters import composed
from lightning_modules.prediction import Prediction
from lightning_modules.reconstruction import Reconstructor

Average = Literal["embeddings", "coefficients", "meshes"]
ANY_CONDITION = "any"
# Of a frame's face against the first frame's: two expressions or shapes of one pose stay far below.
MOST_TURNED, MOST_SHIFTED_MM = 10.0, 30.0
MEAN_FACE, RANDOM_FACE, ORACLE = "mean face", "random face", "oracle"


class Method(Protocol):
    """Gives a mesh for a subject in a condition.

    Attributes:
        name: in tables.
        by_condition: whether the mesh depends on the condition; else the condition is ANY_CONDITION.
    """

    name: str
    by_condition: bool

    def mesh(self, subject: Subject, condition: str) -> MarkedMesh:
        """The mesh with its landmarks, in mm.

        Raises:
            Unscorable: saying why there is none.
        """


class Frames(NamedTuple):
    """How many frames of a condition were looked at, and how many of them show no face, by reason."""

    total: int
    without: Mapping[str, int]


class CheckpointMethod:
    """A checkpoint's reconstructions of videos or photographs.

    Genova et al. 2018, section 4.2: the encoder's features are averaged over all frames and decoded once.

    Args:
        name: in tables.
        reconstructor: the trained regressor with its model and encoder.
        data: with the encoder's features.
        average: features before decoding, or coefficients or meshes after it.
    """

    by_condition = True

    def __init__(
        self, name: str, reconstructor: Reconstructor, data: MICC, average: Average = "embeddings"
    ) -> None:
        self.name, self.average = name, average
        self._reconstructor, self._data = reconstructor, data

    def mesh(self, subject: Subject, condition: str) -> MarkedMesh:
        """The neutral face of one subject in one condition."""
        sighting = self._data.sighting(subject, condition)
        if sighting.faces is None:
            raise Unscorable(f"no footage: {sighting.reason.removeprefix('no footage: ')}")
        features = sighting.faces.features[self._reconstructor.encoder.name]
        if not len(features):
            raise Unscorable(f"no face in any frame: {sighting.faces.total} frames of {condition}")
        model = self._reconstructor.model
        return model_mesh(model, averaged_vertices(self._reconstructor, features, self.average))


def averaged_vertices(reconstructor: Reconstructor, features: Tensor, average: Average) -> Tensor:
    """One neutral face [V, 3] of the frames' encoder features [F, D].

    Raises:
        ValueError: for another way of averaging.
    """
    if average == "embeddings":
        mean = features.mean(0, keepdim=True)
        return reconstructor.faces(reconstructor.coefficients(mean)).vertices[0]
    every = reconstructor.coefficients(features)
    if average == "coefficients":
        averaged = Prediction(*(part.mean(0, keepdim=True) for part in every))
        return reconstructor.faces(averaged).vertices[0]
    if average == "meshes":
        # One by one: a video may have a thousand frames.
        each = (reconstructor.faces(Prediction(*parts)).vertices[0] for parts in _one_by_one(every))
        return reduce(add, each) / len(features)
    raise ValueError(f"average must be embeddings, coefficients or meshes, got {average!r}")


class Reference(NamedTuple):
    """A mesh whose landmarks others of its topology take over: the mesh, its landmarks, their source."""

    mesh: Mesh
    landmarks: Landmarks
    source: Source


class MeshFolder:
    """Another method's meshes: DIR/<subject>.obj, or one for each condition, or for each frame of a video.

    Those of a condition are DIR/<subject>/<condition>.obj or DIR/<condition>/<subject>.obj; conditions also
    go by MICC's own names (Indoor-Cooperative). Those of frames lie in a folder in place of that file, are of
    one topology and pose, and their vertices are averaged, as Tran et al. 2017 do. Landmarks lie beside a
    mesh, or are vertex ids of the topology that all share; else they are found on the folder's first mesh and
    carried over to all that have its triangles, so that no score depends on which meshes were scored before.

    Args:
        name: in tables.
        folder: with OBJ, PLY or GLB files.
        marker: finds landmarks.
        unit: of the files.
        landmarks: a landmark file of the shared topology.

    Raises:
        ValueError: if the folder holds no mesh.
    """

    by_condition = True

    def __init__(
        self, name: str, folder: Path, marker: Marker, *, unit: Unit = "auto", landmarks: Path | None = None
    ) -> None:
        self.name, self.folder = name, folder
        self._files = files_by_name(folder, MESH_SUFFIXES)
        self._marker, self._unit, self._landmarks = marker, unit, landmarks

    @property
    def first_file(self) -> Path:
        """By whose size the unit is guessed first."""
        return next(iter(self._files.values()))

    def mesh(self, subject: Subject, condition: str) -> MarkedMesh:
        """The subject's mesh, in mm."""
        first, *frames = self._paths(subject.name, condition)
        read = self._read(first, self._unit)
        if not frames:
            return marked_mesh(read.mesh, self._marks(read.mesh, landmark_file_beside(first), read.unit))
        mean = self._mean(read, first, frames)
        return marked_mesh(mean, self._marks(mean, None, read.unit))

    def conditions(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Which of these conditions the folder names; ANY_CONDITION if it names none of them."""
        parts = {part for file in self._files for part in file.split("/")}
        found = tuple(name for name in names if parts & {name, MICC_CONDITIONS.get(name, name)})
        return found or (ANY_CONDITION,)

    def of_nobody(self, subjects: Sequence[Subject], conditions: Sequence[str]) -> list[str]:
        """The files, by their places in the folder, that are not scored for any of the subjects."""
        used: set[Path] = set()
        for subject in subjects:
            for condition in (subject.condition,) if subject.condition else conditions:
                with suppress(Unscorable):
                    used.update(self._paths(subject.name, condition))
        return [name for name, file in self._files.items() if file not in used]

    @property
    def count(self) -> int:
        """How many meshes it holds, each in one of its formats."""
        return len(self._files)

    def _paths(self, subject: str, condition: str) -> list[Path]:
        """The file of a subject and condition, or those of its frames in order."""
        subject = composed(subject)
        called = (condition, MICC_CONDITIONS.get(condition, condition))
        places = [f"{subject}/{name}" for name in called] + [f"{name}/{subject}" for name in called]
        path = next((self._files[place] for place in (*places, subject) if place in self._files), None)
        if path is not None:
            return [path]
        for place in (*places, subject) if condition == ANY_CONDITION else places:
            if frames := [file for name, file in self._files.items() if name.startswith(f"{place}/")]:
                return frames
        raise Unscorable(f"no mesh: {self.folder.name} has none of {subject}")

    def _read(self, path: Path, unit: Unit) -> MeshInMillimetres:
        try:
            read = read_mesh_in_mm(path, unit)
        except ImplausibleSizeError as error:
            raise Unscorable(str(error)) from error
        except (ValueError, OSError) as error:
            raise Unscorable(f"unusable mesh: {error}") from error
        if not len(read.mesh.triangles):
            raise Unscorable(f"empty mesh: {path.name} has no triangle; export them, too")
        return read

    def _mean(self, read: MeshInMillimetres, first: Path, frames: Sequence[Path]) -> Mesh:
        """The mean of frames' vertices, which must be of one topology and in one pose."""
        total, own = read.mesh.vertices.double(), read.mesh.vertices.double().numpy()
        for path in frames:
            other = self._read(path, self._unit)
            if other.unit != read.unit:
                raise Unscorable(
                    f"frames of different sizes: {first.name} seems to be in {read.unit}, {path.name} in "
                    f"{other.unit}; give their unit"
                )
            if not same_topology(read.mesh.triangles, other.mesh.triangles) or len(own) != len(
                other.mesh.vertices
            ):
                raise Unscorable(
                    f"frames of different topologies: {path.name} has other triangles than {first.name}"
                )
            vertices = other.mesh.vertices.double()
            moved = fit_similarity(vertices.numpy(), own)
            turned = np.degrees(Rotation.from_matrix(moved.rotation).magnitude())
            shifted = np.linalg.norm(vertices.numpy().mean(0) - own.mean(0))
            if turned > MOST_TURNED or shifted > MOST_SHIFTED_MM:
                raise Unscorable(
                    f"frames in different poses: {path.name} is turned by {turned:.0f} degrees and moved by "
                    f"{shifted:.0f} mm against {first.name}; write every frame's face without its pose"
                )
            total = total + vertices
        return read.mesh._replace(vertices=(total / (1 + len(frames))).to(read.mesh.vertices))

    def _marks(self, mesh: Mesh, beside: Path | None, unit: str) -> Marks:
        if beside is not None:
            return self._marker.marks(mesh, beside, unit=unit)
        if self._reference is not None and same_topology(self._reference.mesh.triangles, mesh.triangles):
            points = self._reference.landmarks.on(mesh.vertices[None])[0].double().numpy()
            return Marks(points, self._reference.source)
        return self._marker.marks(mesh, self._landmarks, unit=unit)

    @cached_property
    def _reference(self) -> "Reference | None":
        """The first mesh with its landmarks; None where it cannot be used: each mesh stands for itself."""
        try:
            read = read_mesh_in_mm(self.first_file, self._unit)
            mesh, marks = read.mesh, self._marker.marks(read.mesh, self._landmarks, unit=read.unit)
        except (ValueError, OSError):  # an Unscorable is a ValueError, too
            return None
        return Reference(mesh, carried(marks, mesh), marks.source)


class MeanFace:
    """The morphable model's mean for everybody: what a method must beat."""

    name, by_condition = MEAN_FACE, False

    def __init__(self, model: MorphableModel) -> None:
        self._model = model

    def mesh(self, subject: Subject, condition: str) -> MarkedMesh:
        """The mean, whoever it is."""
        return model_mesh(self._model, self._model.neutral_mean.view(-1, 3))


class RandomFace:
    """For each subject a face drawn from the morphable model's prior: a wrong person.

    Args:
        model: to draw from.
        numbers: of the subjects, by name.
        seed: of the run.
    """

    name, by_condition = RANDOM_FACE, False

    def __init__(self, model: MorphableModel, numbers: Mapping[str, int], seed: int = 0) -> None:
        self._model, self._numbers, self._seed = model, numbers, seed

    def mesh(self, subject: Subject, condition: str) -> MarkedMesh:
        """The face drawn for the subject."""
        chance = np.random.default_rng([self._seed, self._numbers[subject.name]])
        count = self._model.shape_variance.numel()
        shape = torch.from_numpy(chance.standard_normal((1, count))).to(self._model.shape_mean)
        return model_mesh(self._model, self._model.vertices(shape)[0])


@torch.no_grad()
def model_mesh(model: MorphableModel, vertices: Tensor) -> MarkedMesh:
    """A mesh [V, 3] of the model's topology with its landmarks, as the metrics take it."""
    points = model.landmarks.on(vertices[None])[0]
    return MarkedMesh(
        vertices.double().cpu().numpy(), model.triangles.cpu().numpy(), points.double().cpu().numpy()
    )


def frames_seen(data: MICC, subjects: list[Subject]) -> dict[str, Frames]:
    """Of each condition the frames that were looked at, over all subjects."""
    counted = {}
    for condition in data.conditions:
        sightings = [data.sighting(subject, condition).faces for subject in subjects]
        without: dict[str, int] = {}
        for faces in sightings:
            for reason, count in ({} if faces is None else faces.failures).items():
                without[reason] = without.get(reason, 0) + count
        counted[condition] = Frames(sum(faces.total for faces in sightings if faces is not None), without)
    return counted


def _one_by_one(every: Prediction) -> list[tuple[Tensor, Tensor]]:
    return list(zip(every.shape.split(1), every.albedo.split(1), strict=True))
