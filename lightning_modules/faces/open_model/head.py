"""The head of the base mesh: which quads, how finely subdivided, where it is cropped."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lightning_modules.faces.open_model import source_files
from lightning_modules.faces.open_model.subdivision import (
    QuadMesh,
    catmull_clark,
    clip,
    split_quads,
    uv_of_vertices,
)

ORIGIN = 297  # base-mesh vertex at the nose's tip, 1.6 mm below its foremost point (`marks.py`)
EYE_CAVITY_RINGS = 4  # with two, light fell through beside the eyeballs
EYEBALLS = ("helper-l-eye", "helper-r-eye")
# Half-spaces n . p <= c of the crop, in mm from the origin, and the radius that rounds their corners. The
# crown's leans forward by 20 degrees only: the steeper cut of recipe 4 made the forehead a spike in profile.
CROP_PLANES = {
    "crown": ((0.0, 0.35, -0.937), 157.0),
    "behind the ears": ((0.0, 0.10, -0.995), 157.0),
    "under the jaw": ((0.0, -0.88, -0.475), 108.0),
}
CROP_RADIUS = 12.0


class Head(NamedTuple):
    """The model's topology and how each of its vertices depends on the base mesh.

    Attributes:
        base_vertices: [n] ids of the base-mesh vertices that it depends on.
        matrix: [V, n], rows sum to 1.
        triangles: [T, 3].
        uv: [V, 2] texture coordinates, v up.
        parts: [V] `head`, `mouth_cavity`, `eye_cavity` or `eyeball`.
    """

    base_vertices: NDArray[np.int64]
    matrix: sparse.csr_array
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64]
    parts: NDArray[np.str_]

    def vertex_of(self, base_vertex: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """The model's vertices that descend from base-mesh vertices.

        Subdivision keeps old ids in front, so a base vertex's own descendant is the one whose row has its
        largest weight there.
        """
        columns = np.searchsorted(self.base_vertices, np.atleast_1d(base_vertex))
        return np.asarray(self.matrix[:, columns].argmax(axis=0)).ravel()


def build_head(mesh: source_files.BaseMesh, level: int) -> Head:
    """Selects, subdivides, crops and centres nothing: positions come from `matrix @ base vertices`.

    Args:
        mesh: the base mesh.
        level: subdivision steps of the skin; the eyeballs, which are coarse, get one more.
    """
    parts = _part_names(mesh)
    skin = np.isin(parts, ("head", "mouth_cavity")) | _outer_rings(mesh.quads, parts)
    eyeballs = parts == "eyeball"
    base_vertices = np.unique(mesh.quads[skin | eyeballs])

    blocks = []
    for chosen, steps in ((skin, level), (eyeballs, level + 1)):
        quads = np.searchsorted(base_vertices, mesh.quads[chosen])
        blocks.append(
            _subdivided(QuadMesh(quads, mesh.quad_uv[chosen], len(base_vertices)), parts[chosen], steps)
        )
    offset = blocks[0][1].shape[0]
    triangles = np.concatenate([blocks[0][0], blocks[1][0] + offset])
    matrix = sparse.vstack([block[1] for block in blocks]).tocsr()
    uv, vertex_parts = (np.concatenate([block[i] for block in blocks]) for i in (2, 3))

    positions = matrix @ (mesh.vertices[base_vertices] - mesh.vertices[ORIGIN])
    clipping = clip(triangles, crop_level(positions))
    nearest = np.asarray(clipping.matrix.argmax(axis=1)).ravel()
    return Head(
        base_vertices,
        (clipping.matrix @ matrix).tocsr(),
        clipping.triangles,
        clipping.matrix @ uv,
        vertex_parts[nearest],
    )


def crop_level(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed distance [V] to the crop in mm, positive inside: a smooth minimum over the half-spaces."""
    distances = np.stack([offset - positions @ np.array(normal) for normal, offset in CROP_PLANES.values()])
    return -CROP_RADIUS * np.logaddexp.reduce(-distances / CROP_RADIUS, axis=0)


def _part_names(mesh: source_files.BaseMesh) -> NDArray[np.str_]:
    """Name of every quad: the segmentation's on the body, `eyeball` on the front half of the eyeballs."""
    segmented = source_files.part_of_quads(mesh)
    names = np.where(mesh.quad_groups == "body", segmented, "other")
    names = np.where(np.char.startswith(names, "eye_cavity"), "eye_cavity", names)
    front = np.isin(mesh.quad_groups, EYEBALLS) & np.char.startswith(segmented, "eye_front")
    return np.where(front, "eyeball", names)


def _outer_rings(quads: NDArray, parts: NDArray[np.str_]) -> NDArray[np.bool_]:
    """The rings of the eye cavities that touch the lids."""
    cavity, reached = parts == "eye_cavity", parts == "head"
    chosen = np.zeros(len(quads), dtype=bool)
    for _ in range(EYE_CAVITY_RINGS):
        touching = np.isin(quads, np.unique(quads[reached | chosen])).any(1)
        chosen |= cavity & touching
    return chosen


def _subdivided(
    mesh: QuadMesh, parts: NDArray[np.str_], steps: int
) -> tuple[NDArray, sparse.csr_array, NDArray, NDArray[np.str_]]:
    matrix = sparse.eye_array(mesh.vertex_count, format="csr")
    for _ in range(steps):
        step = catmull_clark(mesh)
        mesh, matrix, parts = step.mesh, step.matrix @ matrix, np.repeat(parts, 4)
    triangles = split_quads(mesh.quads)
    used, compact = np.unique(triangles, return_inverse=True)
    vertex_parts = np.full(mesh.vertex_count, "head", dtype=parts.dtype)
    for part in ("eye_cavity", "mouth_cavity", "eyeball", "head"):  # the skin wins at shared vertices
        vertex_parts[mesh.quads[parts == part]] = part
    return compact.reshape(-1, 3), matrix.tocsr()[used], uv_of_vertices(mesh)[used], vertex_parts[used]
