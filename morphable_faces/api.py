"""From a photograph to a face, and from a mesh and a scan to millimetres, each by one call.

    from morphable_faces.api import reconstruct_photograph
    face = reconstruct_photograph("final.ckpt", "photograph.jpg")
    print(face.mesh.vertices.shape, face.coefficients.shape)

    from morphable_faces.api import score_mesh
    score = score_mesh("mesh.obj", "scan.obj")
    print(score.millimetres)

They do what `reconstruct.py` does for one photograph, and `micc.py` for one mesh and one scan. Many
photographs or people, their statistics and their provenance are those commands' business.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.alignment.detection import DetectorName
from datamodules.chosen_faces import ChosenFaces, FaceChoice
from evaluation.metrics.marked_mesh import MarkedMesh, Unscorable
from evaluation.metrics.scan_protocols import DEFAULT, ScanProtocol, scan_protocol
from evaluation.metrics.scan_score import ScanScore, score_scan
from evaluation.scans.evaluation import open_model
from evaluation.scans.landmarks import Marker, Marks, marked_mesh
from lightning_modules.faces.landmarks.mesh_landmark_files import landmark_file_beside
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.units import Unit, read_mesh_in_mm
from lightning_modules.faces.orientation import oriented
from lightning_modules.plain.devices import chosen_device
from lightning_modules.plain.files import require_file
from lightning_modules.prediction import Prediction
from lightning_modules.reconstruction import Reconstructor, load_reconstructor


@dataclass(frozen=True)
class ReconstructedPhotograph:
    """The neutral face of a photograph.

    Attributes:
        mesh: vertices [V, 3] in mm, colours [V, 3] sRGB-encoded in [0, 1]; `write_mesh` writes it.
        coefficients: shape [Ks] and albedo [Kt], in standard deviations of the morphable model's components.
        landmarks: iBUG's 68 [68, 3] on the mesh, in mm.
    """

    mesh: Mesh
    coefficients: Prediction
    landmarks: Tensor


@dataclass(frozen=True)
class MeshScore:
    """How far a mesh lies from a scan.

    Attributes:
        millimetres: the protocol's statistic.
        details: the alignment, and the distances of each direction by vertex.
        mesh_unit: the mesh file's; guessed from its size unless it was given.
        scan_unit: the scan file's, likewise.
        mesh_landmarks: where the mesh's landmarks come from: `model` (a reconstruction's own), `marked` in a
            file, `topology` (known ids), `completed` (some of these), or `detected`.
        scan_landmarks: where the scan's come from, likewise.
    """

    millimetres: float
    details: ScanScore
    mesh_unit: str
    scan_unit: str
    mesh_landmarks: str
    scan_landmarks: str


def reconstruct_photograph(
    checkpoint: str | Path | Reconstructor,
    photograph: str | Path,
    *,
    face: FaceChoice | None = None,
    detector: DetectorName = "yunet",
    morphable_model: str | None = None,
    device: str = "auto",
    cache_folder: Path | None = None,
) -> ReconstructedPhotograph:
    """The neutral textured face of a photograph, as `reconstruct.py` makes it.

    The aligned face and its features are kept in the cache folder: a second call reads them.

    Args:
        checkpoint: what `run.py` wrote, or that loaded once for many calls (`load_reconstructor`), which has
            its morphable model and device already.
        photograph: an image file.
        face: in a photograph with several: largest, or a number from 0, the largest; without it such a
            photograph is refused.
        detector: yunet or mtcnn.
        morphable_model: where the checkpoint's lies, if elsewhere than in training, such as basel:FILE.
        device: auto (a GPU where there is one), cpu, cuda, or cuda:1.
        cache_folder: the user's own by default.

    Raises:
        FileNotFoundError: if checkpoint, photograph or model is missing.
        ValueError: if the checkpoint cannot be used, or the photograph has no face to use.
    """
    if face == "all":
        raise ValueError("one photograph gives one face here; face must be largest or a number from 0")
    path = Path(photograph)
    require_file(path, "a photograph")
    loaded = checkpoint
    if not isinstance(loaded, Reconstructor):
        loaded = load_reconstructor(
            Path(loaded), morphable_model=morphable_model, device=str(chosen_device(device))
        )
    data = ChosenFaces(
        [path], [loaded.encoder], face=face, detector=detector, cache_folder=cache_folder, workers=0,
        progress=False,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    for _, reason in data.dataset.faces.failures:
        raise ValueError(f"{path}: {reason}")
    coefficients = loaded.coefficients(data.dataset.batch([0]).features[loaded.encoder.name])
    faces = loaded.faces(coefficients)
    colours = faces.albedo[0].clamp(0, 1)
    return ReconstructedPhotograph(
        Mesh(faces.vertices[0].cpu(), loaded.model.triangles.cpu(), colours.cpu()),
        Prediction(*(part[0].cpu() for part in coefficients)),
        loaded.model.landmarks.on(faces.vertices)[0].cpu(),
    )


def score_mesh(
    mesh: str | Path | Mesh | ReconstructedPhotograph,
    scan: str | Path | Mesh,
    protocol: str | ScanProtocol = DEFAULT,
    *,
    unit: Unit = "auto",
    scan_unit: Unit = "auto",
    landmarks: str | Path | None = None,
    scan_landmarks: str | Path | None = None,
    subject: int | None = None,
    detector: DetectorName = "yunet",
) -> MeshScore:
    """How far a mesh lies from a scan under a published protocol, as `micc.py` measures it.

    Landmarks align the two before closest points do. They come from a landmark file, else from one beside
    the mesh file (same name, .ljson, .json, .txt, .npy, .pp and others), else a face detector and the open
    model find them.

    Args:
        mesh: .obj, .ply or .glb of any topology, a mesh in mm, or what `reconstruct_photograph` returned.
        scan: .obj, .ply or .glb, or a mesh in mm.
        protocol: genova, tran, ganfit, deng, now, fg2018 or realy, or a changed one (`dataclasses.replace`).
        unit: of the mesh file: mm, cm, dm, m, um, inch, a number of millimetres, or auto, which guesses from
            its size; .glb is in metres if that makes a face.
        scan_unit: of the scan file, likewise.
        landmarks: the mesh's landmark file: 68, 51, 8 or 7 points in its frame and unit, or vertex ids.
        scan_landmarks: the scan's, likewise.
        subject: MICC's number, for protocols that crop some subjects differently.
        detector: yunet or mtcnn; sees the face where landmarks are missing.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if there is no such protocol, a file is no mesh or no face in its unit, landmarks are
            missing or do not fit, or the alignment fails; the message says which.
    """
    chosen = scan_protocol(protocol) if isinstance(protocol, str) else protocol
    marker = Marker(open_model, detector=detector)
    still = _to_score(scan, scan_unit, scan_landmarks, marker)
    moved = _to_score(mesh, unit, landmarks, marker)
    details = score_scan(still.mesh, moved.mesh, chosen, subject=subject)
    if details.failure is not None:
        raise Unscorable(details.failure)
    return MeshScore(
        details.value_mm, details, moved.unit, still.unit, moved.landmark_source, still.landmark_source
    )


class _ToScore(NamedTuple):
    """A mesh in mm with its landmarks, the unit that it came in, and where its landmarks come from."""

    mesh: MarkedMesh
    unit: str
    landmark_source: str


@torch.no_grad()
def _to_score(
    given: str | Path | Mesh | ReconstructedPhotograph,
    unit: Unit,
    landmarks: str | Path | None,
    marker: Marker,
) -> _ToScore:
    if isinstance(given, ReconstructedPhotograph) and landmarks is None:
        return _ToScore(
            marked_mesh(given.mesh, Marks(given.landmarks.double().numpy(), "marked")), "mm", "model"
        )
    if isinstance(given, ReconstructedPhotograph):
        given = given.mesh
    file = None if landmarks is None else Path(landmarks)
    if isinstance(given, Mesh):
        mesh, found = oriented(given).mesh, "mm"
    else:
        path = Path(given)
        read = read_mesh_in_mm(path, unit)
        mesh, found = read.mesh, read.unit
        file = file or landmark_file_beside(path)
    marks = marker.marks(mesh, file, unit=found)
    return _ToScore(marked_mesh(mesh, marks), found, marks.source)
