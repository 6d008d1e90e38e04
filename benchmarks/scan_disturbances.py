"""Scans as they might also have come out: finer, coarser, noisy, with holes or hair, of another topology."""

import numpy as np
import open3d
from numpy.typing import NDArray

from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh
from evaluation.metrics.surface import Surface

STRAND_WIDTH_MM, STRAND_STEP_MM = 1.5, 3.0


def split_to(mesh: MarkedMesh, count: int) -> MarkedMesh:
    """The same surface with `count` vertices: its longest edges are halved, until there are as many.

    Every round halves edges that are the longest of all their triangles, so that the surface stays closed.
    """
    vertices, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    while len(vertices) < count:
        vertices, triangles = _halved(vertices, triangles, count - len(vertices))
    return mesh._replace(vertices=vertices, triangles=triangles)


def coarsened_to(mesh: MarkedMesh, count: int) -> MarkedMesh:
    """Nearly the same surface with about `count` vertices, by Open3D's quadric edge collapse."""
    vectors = open3d.utility.Vector3dVector(mesh.vertices), open3d.utility.Vector3iVector(mesh.triangles)
    share = count / len(mesh.vertices)
    coarse = open3d.geometry.TriangleMesh(*vectors).simplify_quadric_decimation(
        int(share * len(mesh.triangles))
    )
    return mesh._replace(
        vertices=np.asarray(coarse.vertices), triangles=np.asarray(coarse.triangles).astype(np.int64)
    )


def retriangulated(mesh: MarkedMesh) -> MarkedMesh:
    """Nearly the same surface with as many other vertices: split three times finer, then coarsened."""
    return coarsened_to(split_to(mesh, 3 * len(mesh.vertices)), len(mesh.vertices))


def noisy(mesh: MarkedMesh, deviation_mm: float, generator: np.random.Generator) -> MarkedMesh:
    """Each vertex moved along its normal by independent normal noise."""
    normals = Surface(mesh.vertices, mesh.triangles).vertex_normals
    moved = mesh.vertices + generator.normal(0, deviation_mm, (len(mesh.vertices), 1)) * normals
    return mesh._replace(vertices=moved)


def with_holes(mesh: MarkedMesh, count: int, radius_mm: float, generator: np.random.Generator) -> MarkedMesh:
    """Without the triangles within a radius of some random vertices of the face."""
    centres = mesh.vertices[generator.choice(_of_the_face(mesh), count, replace=False)]
    middles = mesh.vertices[mesh.triangles].mean(1)
    distances = np.linalg.norm(middles[:, None] - centres, axis=2).min(1)
    return mesh._replace(triangles=mesh.triangles[distances > radius_mm])


def with_hair(mesh: MarkedMesh, strands: int, generator: np.random.Generator) -> MarkedMesh:
    """With narrow ribbons that float 2 to 15 mm above the upper face, some centimetres long."""
    face = _of_the_face(mesh)
    upper = face[mesh.vertices[face, 1] > mesh.landmarks[NOSE_TIP, 1] + 30]
    normals = Surface(mesh.vertices, mesh.triangles).vertex_normals
    vertices, triangles = [mesh.vertices], [mesh.triangles]
    for start in generator.choice(upper, strands):
        steps = STRAND_STEP_MM * np.arange(generator.integers(6, 20))[:, None]
        down = np.array([generator.normal(0, 0.3), -1.0, 0.0])
        root = mesh.vertices[start] + generator.uniform(2, 15) * normals[start]
        middle = root + steps * down / np.linalg.norm(down)
        side = np.array([STRAND_WIDTH_MM / 2, 0, 0])
        ids = np.arange(2 * len(middle)) + sum(map(len, vertices))
        vertices.append(np.stack([middle - side, middle + side], 1).reshape(-1, 3))
        triangles.append(np.stack([ids[:-2], ids[1:-1], ids[2:]], 1))
    return mesh._replace(vertices=np.concatenate(vertices), triangles=np.concatenate(triangles))


def grown_beyond(
    mesh: MarkedMesh, share: float, *, inner_mm: float = 60.0, outer_mm: float = 95.0
) -> MarkedMesh:
    """The same face on another head: what lies beyond the face is larger by a share, and grows towards it.

    Args:
        mesh: in mm, with its nose tip.
        share: by which distances from the middle of the head grow at `outer_mm` and beyond.
        inner_mm: about the nose tip; within, every vertex stays where it is.
        outer_mm: likewise.
    """
    nose_tip = mesh.landmarks[NOSE_TIP]
    away = np.linalg.norm(mesh.vertices - nose_tip, axis=1)
    middle = mesh.vertices[away < outer_mm].mean(0) - [0, 0, 40.0]  # the face's surface, and behind it
    growth = share * ((away - inner_mm) / (outer_mm - inner_mm)).clip(0, 1)
    return mesh._replace(vertices=mesh.vertices + growth[:, None] * (mesh.vertices - middle))


def _of_the_face(mesh: MarkedMesh) -> NDArray[np.int64]:
    """Ids of the vertices within 80 mm of the nose tip that look forward."""
    near = np.linalg.norm(mesh.vertices - mesh.landmarks[NOSE_TIP], axis=1) < 80
    normals = Surface(mesh.vertices, mesh.triangles).vertex_normals
    return np.flatnonzero(near & (normals[:, 2] > 0.3))


def _halved(vertices: NDArray, triangles: NDArray, most: int) -> tuple[NDArray, NDArray]:
    """At most so many edges halved, of those that are the longest of all their triangles."""
    corners = np.stack([triangles, np.roll(triangles, -1, 1)], -1)  # [T, 3, 2], edge k from corner k
    edges, which = np.unique(np.sort(corners, -1).reshape(-1, 2), axis=0, return_inverse=True)
    which = which.reshape(-1, 3)
    # Ranks instead of lengths, so that no two are equal.
    rank = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1).argsort().argsort()
    longest = rank[which].max(1)
    uses = np.bincount(which.ravel(), minlength=len(edges))
    chosen = np.flatnonzero(np.bincount(which.ravel(), (rank[which] == longest[:, None]).ravel()) == uses)
    chosen = chosen[rank[chosen].argsort()[::-1][:most]]
    middle = np.full(len(edges), -1)
    middle[chosen] = len(vertices) + np.arange(len(chosen))
    split = middle[which]  # [T, 3], at most one of each triangle is not -1
    row, corner = np.nonzero(split >= 0)
    first, second, third = (triangles[row, (corner + step) % 3] for step in range(3))
    new = split[row, corner]
    kept = np.delete(triangles, row, axis=0)
    halves = [np.stack([first, new, third], 1), np.stack([new, second, third], 1)]
    return np.vstack([vertices, vertices[edges[chosen]].mean(1)]), np.vstack([kept, *halves])
