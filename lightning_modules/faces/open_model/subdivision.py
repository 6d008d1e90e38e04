"""Catmull-Clark subdivision as one sparse matrix, and clipping of triangles by a level set.

Both are linear in the vertices, so the same matrix serves the mean mesh and every displacement.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class QuadMesh(NamedTuple):
    """Quads [Q, 4] of vertex ids, their corners' texture coordinates [Q, 4, 2], the number of vertices."""

    quads: NDArray[np.int64]
    uv: NDArray[np.float64]
    vertex_count: int


class Subdivision(NamedTuple):
    """A subdivided mesh and the matrix [new vertices, old vertices] that makes its vertices."""

    mesh: QuadMesh
    matrix: sparse.csr_array


def catmull_clark(mesh: QuadMesh) -> Subdivision:
    """One step of Catmull-Clark subdivision (1978) with the usual boundary rule (cubic B-spline curves).

    Old vertices keep their ids; edge points and then quad points follow. Rows of the matrix sum to 1.
    """
    quads, count = mesh.quads, mesh.vertex_count
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], -1)  # [Q, 4, 2]
    edges, edge_of_side = np.unique(np.sort(sides.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    edge_of_side = edge_of_side.reshape(-1, 4)
    uses = np.bincount(edge_of_side.ravel(), minlength=len(edges))

    quad_points = _averaging(quads, count)
    midpoints = _averaging(edges, count)
    quads_of_edge = _incidence(edge_of_side, len(edges)) @ quad_points  # sums over adjacent quads
    inner = (uses == 2).astype(float)
    edge_points = _scaled(0.5 * inner + (1 - inner), midpoints) + _scaled(0.25 * inner, quads_of_edge)

    vertex_points = _vertex_points(quads, edges, uses, quad_points, midpoints, count)
    matrix = sparse.vstack([vertex_points, edge_points, quad_points]).tocsr()

    edge_ids = count + edge_of_side
    centre_ids = np.repeat((count + len(edges) + np.arange(len(quads)))[:, None], 4, axis=1)
    new_quads = np.stack([quads, edge_ids, centre_ids, np.roll(edge_ids, 1, axis=1)], -1)  # [Q, 4, 4]
    side_uv = (mesh.uv + np.roll(mesh.uv, -1, axis=1)) / 2
    centre_uv = np.repeat(mesh.uv.mean(1, keepdims=True), 4, axis=1)
    new_uv = np.stack([mesh.uv, side_uv, centre_uv, np.roll(side_uv, 1, axis=1)], 2)  # [Q, 4, 4, 2]
    return Subdivision(QuadMesh(new_quads.reshape(-1, 4), new_uv.reshape(-1, 4, 2), matrix.shape[0]), matrix)


def _vertex_points(
    quads: NDArray,
    edges: NDArray,
    uses: NDArray,
    quad_points: sparse.csr_array,
    midpoints: sparse.csr_array,
    count: int,
) -> sparse.csr_array:
    valence = np.bincount(edges.ravel(), minlength=count)
    boundary_edges = edges[uses == 1]
    on_boundary = np.bincount(boundary_edges.ravel(), minlength=count) > 0
    inside = ~on_boundary & (valence > 0)
    degree = np.maximum(valence, 1).astype(float)

    quad_mean = _scaled(1 / degree, _incidence(quads, count) @ quad_points)
    edge_mean = _scaled(1 / degree, _incidence(edges, count) @ midpoints)
    identity = sparse.eye_array(count, format="csr")
    inner_rule = quad_mean + 2 * edge_mean + _scaled(degree - 3, identity)
    boundary_rule = 0.75 * identity + 0.125 * _neighbours(boundary_edges, count)
    # A boundary vertex where several boundary curves meet stays where it is.
    simple = np.bincount(boundary_edges.ravel(), minlength=count) == 2
    return (
        _scaled(inside / degree, inner_rule)
        + _scaled((on_boundary & simple).astype(float), boundary_rule)
        + _scaled((~inside & ~(on_boundary & simple)).astype(float), identity)
    ).tocsr()


def _averaging(elements: NDArray, count: int) -> sparse.csr_array:
    """Mean of each element's vertices: [elements, count]."""
    rows = np.repeat(np.arange(len(elements)), elements.shape[1])
    values = np.full(elements.size, 1 / elements.shape[1])
    return sparse.csr_array((values, (rows, elements.ravel())), shape=(len(elements), count))


def _incidence(elements: NDArray, count: int) -> sparse.csr_array:
    """[count, elements]: 1 where an element holds the vertex (or edge)."""
    columns = np.repeat(np.arange(len(elements)), elements.shape[1])
    return sparse.csr_array(
        (np.ones(elements.size), (elements.ravel(), columns)), shape=(count, len(elements))
    )


def _neighbours(edges: NDArray, count: int) -> sparse.csr_array:
    both = np.concatenate([edges, edges[:, ::-1]])
    return sparse.csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count))


def _scaled(row_factors: NDArray, matrix: sparse.csr_array) -> sparse.csr_array:
    return sparse.diags_array(row_factors) @ matrix


def uv_of_vertices(mesh: QuadMesh) -> NDArray[np.float64]:
    """A texture coordinate for every vertex [V, 2]; at a texture seam, that of one of its sides."""
    uv = np.zeros((mesh.vertex_count, 2))
    uv[mesh.quads.ravel()] = mesh.uv.reshape(-1, 2)
    return uv


def split_quads(quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two triangles for every quad: [2Q, 3]."""
    return quads[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


class Clipping(NamedTuple):
    """Triangles [T, 3] on one side of a level set, and the matrix [new vertices, old vertices] for them."""

    triangles: NDArray[np.int64]
    matrix: sparse.csr_array


def clip(triangles: NDArray[np.int64], level: NDArray[np.float64]) -> Clipping:
    """Cuts triangles where a function given at the vertices changes sign and keeps its positive side.

    The rim is a clean curve: vertices on cut edges are weighted means of the edge's two ends.

    Args:
        triangles: [T, 3] vertex ids.
        level: [V] values of the function.
    """
    inside = level >= 0
    corners = inside[triangles].sum(1)
    kept, cuts = [triangles[corners == 3]], dict[tuple[int, int], int]()

    def cut(inner: int, outer: int) -> int:
        return cuts.setdefault((inner, outer), len(level) + len(cuts))

    pieces = []
    for triangle in triangles[(corners == 1) | (corners == 2)]:
        lone_is_inside = inside[triangle].sum() == 1
        turn = int(np.flatnonzero(inside[triangle] == lone_is_inside)[0])
        a, b, c = (int(vertex) for vertex in np.roll(triangle, -turn))
        if lone_is_inside:
            pieces.append((a, cut(a, b), cut(a, c)))
        else:
            on_b, on_c = cut(b, a), cut(c, a)
            pieces += [(b, c, on_c), (b, on_c, on_b)]
    if pieces:
        kept.append(np.array(pieces))
    return _compacted(np.concatenate(kept), cuts, level)


def _compacted(triangles: NDArray, cuts: dict[tuple[int, int], int], level: NDArray) -> Clipping:
    ends = np.array(list(cuts), dtype=np.int64).reshape(-1, 2)
    inner, outer = level[ends[:, 0]], level[ends[:, 1]]
    share = inner / (inner - outer)  # 0 at the inner end
    count = len(level)
    rows = np.repeat(np.arange(len(ends)), 2)
    values = np.stack([1 - share, share], 1).ravel()
    cut_points = sparse.csr_array((values, (rows, ends.ravel())), shape=(len(ends), count))
    matrix = sparse.vstack([sparse.eye_array(count, format="csr"), cut_points]).tocsr()
    used, compact = np.unique(triangles, return_inverse=True)
    return Clipping(compact.reshape(-1, 3), matrix[used])
