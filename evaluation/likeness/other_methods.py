"""Other methods' meshes and pictures as the judge sees them: detected and aligned as photographs are."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment.crops import align, select_faces
from datamodules.alignment.detection import DetectorName, load_detector
from datamodules.alignment.face_cache import NO_FACE
from datamodules.alignment.feature_cache import to_images
from datamodules.alignment.images import EXTENSIONS, PhotographError, read_photograph
from evaluation.likeness.rendering_embeddings import Embedded, embed_all, file_keys, rendering_folder
from evaluation.shared.scored_method import MESH_SUFFIXES, Scored, files_by_name, paired
from lightning_modules.faces.aligned_rendering import FRONTAL_MATERIAL, as_judged, frontal_scenes
from lightning_modules.faces.mesh import Mesh, surface_vertices
from lightning_modules.faces.mesh_files.units import Unit, read_mesh_in_mm
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.rendered_faces import frame_of
from lightning_modules.rendering.pose import cameras_from_poses
from lightning_modules.rendering.renderer import render

READING = 2  # raised when the same mesh file gives another picture
NO_FILE = "no file of the method's"
SKIN = (0.76, 0.60, 0.51)  # sRGB, of meshes without colours
PICTURE_SIZE, MARGIN = 480, 1.15
Read = Callable[[Path], np.ndarray]


def embed_files(
    scored: Scored,
    names: Sequence[str],
    judge: RecognitionNetwork,
    *,
    retouched: bool = True,
    unit: Unit = "auto",
    detector: DetectorName = "yunet",
    cache_folder: Path | None = None,
    backend: str | None = None,
    progress: bool = True,
) -> Embedded:
    """The judge's embeddings [N, D] of the files that belong to items of these names.

    A mesh is rendered from the front, in the light in which our own faces are judged; the picture is then
    treated as a photograph. Files that are missing, unreadable, or without a face to find have their reason.

    Args:
        scored: meshes or renderings.
        names: of the N items.
        judge: the network.
        retouched: of meshes, whether the judge sees them `as_judged`; pictures are shown as they are.
        unit: of meshes.
        detector: that finds the face.
        cache_folder: the user's if None.
        backend: of the rasterizer.
        progress: whether to show a bar.
    """
    is_mesh = scored.kind == "meshes"
    retouched = retouched and is_mesh
    files = files_by_name(scored.path, MESH_SUFFIXES if is_mesh else EXTENSIONS)
    found = paired(files, names).found
    places = [place for place, name in enumerate(names) if name in found]
    chosen = [found[names[place]] for place in places]

    def read(file: Path) -> np.ndarray:
        if is_mesh:
            return frontal_picture(read_mesh_in_mm(file, unit).mesh, backend=backend)
        return read_photograph(file).pixels

    def describe(some: np.ndarray) -> tuple[np.ndarray, list[str]]:
        files = [chosen[place] for place in some]
        return describe_pictures(files, read, judge, detector, retouched=retouched)

    reading = hashlib.sha256(f"{scored.kind} {unit} {READING}".encode()).hexdigest()[:16]
    folder = rendering_folder(cache_folder, reading, judge, retouched=retouched or not is_mesh)
    known = embed_all(
        folder.with_name(f"{folder.name}-{detector}"), file_keys(chosen), judge.embedding_width, describe,
        progress=progress,
    )  # fmt: skip
    embeddings = torch.full((len(names), judge.embedding_width), torch.nan)
    embeddings[places] = known.embeddings
    reasons = [NO_FILE] * len(names)
    for place, reason in zip(places, known.reasons, strict=True):
        reasons[place] = reason
    return Embedded(embeddings, reasons)


@torch.no_grad()
def describe_pictures(
    files: Sequence[Path], read: Read, judge: RecognitionNetwork, detector: DetectorName, *, retouched: bool
) -> tuple[np.ndarray, list[str]]:
    """The judge's descriptors [B, D] of the largest face of each picture; or NaN and why there is none.

    Args:
        files: B of them.
        read: reads a file's picture.
        judge: the network.
        detector: that finds the face.
        retouched: whether the pictures are `frontal_picture`'s, and the judge sees them `as_judged`.
    """
    descriptors = np.full((len(files), judge.embedding_width), np.nan, np.float32)
    reasons = [""] * len(files)
    device = next(judge.buffers()).device
    for place, file in enumerate(files):
        try:
            picture = read(file)
        except (PhotographError, ValueError, OSError) as error:
            reasons[place] = f"cannot be used ({error})"
            continue
        faces = select_faces(load_detector(detector)(picture), picture.shape[:2], "largest")
        if not faces:
            reasons[place] = NO_FACE
            continue
        crop = to_images(align(picture, faces[0].points)[None]).to(device)
        crop = as_judged(crop, frame_of(WHOLE_FRAME)) if retouched else crop
        descriptors[place] = judge(crop).descriptor[0].float().cpu().numpy()
    return descriptors, reasons


@torch.no_grad()
def frontal_picture(mesh: Mesh, *, size: int = PICTURE_SIZE, backend: str | None = None) -> np.ndarray:
    """A mesh [size, size, 3] in 8 bits from the front, as large as fits, in the light of our own faces.

    Args:
        mesh: in mm, x to the subject's left, y up, z forward.
        size: of the square picture.
        backend: of the rasterizer.
    """
    surface = surface_vertices(mesh).float()
    low, high = surface.amin(0), surface.amax(0)
    middle = (high + low) / 2
    # The frontal light stands before a nose tip at the origin.
    centre = torch.tensor([middle[0], middle[1], high[2]])
    vertices = (mesh.vertices.float() - centre)[None]
    extent = MARGIN * float((high - low)[:2].max())
    scenes = frontal_scenes(1)
    poses = scenes.poses._replace(frame_heights=torch.full((1, 1), extent))
    image = render(
        vertices,
        mesh.triangles,
        vertex_normals(vertices, mesh.triangles),
        _colours(mesh)[None],
        cameras_from_poses(poses, (size, size)),
        scenes.lights,
        (size, size),
        material=FRONTAL_MATERIAL,
        samples_per_axis=2,
        backend=backend,
    )[0, 0]
    return (image.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()


def _colours(mesh: Mesh) -> Tensor:
    if mesh.colours is not None:
        return mesh.colours.float()
    return torch.tensor(SKIN).expand(len(mesh.vertices), 3).contiguous()
