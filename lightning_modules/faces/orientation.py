"""Triangles of one surface wound alike and outward, whatever wrote them.

A normal that points inward turns light off in every picture, and matches no scan. Files come with all
triangles inward, with some of them, or with every triangle twice; all of this is found without knowing where
the front is.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from lightning_modules.faces.mesh import Mesh

# A part of the surface is turned outward by itself if it has this share of the largest part's area, or is
# closed. A smaller open one, such as the front of an eyeball, is if it looks out of the head where it bulges,
# or in; any other, such as the inside of the mouth, follows the largest.
LEAST_SHARE = 0.2
CLOSED, OPEN = 0.05, 0.2  # openings, see `_Shapes`
PLAINLY = 0.3  # least cosine between where a part's normals and its place on the head point
# How far a surface bulges, as `bulge` measures it; a sphere 0.28. Below this it is flat, and stays.
FLAT = 0.002


class Oriented(NamedTuple):
    """A mesh whose triangles are wound alike and outward.

    Attributes:
        mesh: the same vertices and colours.
        turned: how many triangles were turned.
        unsettled: share of the edges between two triangles whose triangles still disagree: a surface that has
            no two sides, or parts that do not belong together.
    """

    mesh: Mesh
    turned: int
    unsettled: float


class _Edges(NamedTuple):
    """Edges between exactly two triangles: their numbers [E, 2], and whether both are wound alike [E]."""

    triangles: NDArray[np.int64]
    alike: NDArray[np.bool_]


def oriented(mesh: Mesh) -> Oriented:
    """A mesh with its triangles turned where they are wound inward or against their neighbours.

    Neighbours share an edge; vertices in the same place count as one, as files repeat them along seams. Few
    triangles that disagree with many are turned, never the other way round. Then each part of the surface is
    turned so that it bulges outward, as faces and heads do.

    Args:
        mesh: of any topology and unit, in any frame.
    """
    triangles = mesh.triangles.numpy()
    if not len(triangles):
        return Oriented(mesh, 0, 0.0)
    vertices = mesh.vertices.double().numpy()
    corners = _welded(vertices)[triangles]
    edges = _edges(corners)
    turn, part = _wound_alike(edges, len(triangles))
    turn ^= _inward_parts(vertices, np.where(turn[:, None], triangles[:, ::-1], triangles), part)
    turn ^= _against_their_twins(corners, turn)
    settled = edges.alike ^ turn[edges.triangles].any(1) ^ turn[edges.triangles].all(1)
    unsettled = float(1 - settled.mean()) if len(settled) else 0.0
    if not turn.any():
        return Oriented(mesh, 0, unsettled)
    # The first corner stays the first.
    changed = np.where(turn[:, None], triangles[:, [0, 2, 1]], triangles)
    return Oriented(mesh._replace(triangles=torch.from_numpy(changed)), int(turn.sum()), unsettled)


def bulge(vertices: NDArray, triangles: NDArray) -> float:
    """How far a surface bulges along its normals: its flux about its centre, over its area to the power 1.5.

    The flux is that of the field that points away from the surface's centre of area. Of a closed surface it
    is three times the volume; of a cap it is positive where normals lie on the outside of the bend.
    """
    return float(_shapes(vertices, triangles, np.zeros(len(triangles), np.int64)).bulges[0])


def _welded(vertices: NDArray) -> NDArray[np.int64]:
    """[V], a number that vertices in the same place share."""
    order = np.lexsort(vertices.T)
    in_order = vertices[order]
    new = np.r_[True, (in_order[1:] != in_order[:-1]).any(1)]
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(new) - 1
    return place


def _edges(corners: NDArray) -> _Edges:
    """The edges that join two triangles; degenerate triangles and twins join none."""
    first, second, third = corners.T
    proper = (first != second) & (second != third) & (first != third)
    _, twins, counts = _twins(corners)
    numbers = np.flatnonzero(proper & _first_of(twins, len(counts)))
    start = corners[numbers][:, [0, 1, 2]].ravel()
    end = corners[numbers][:, [1, 2, 0]].ravel()
    owner = np.repeat(numbers, 3)
    low, high = np.minimum(start, end), np.maximum(start, end)
    key = low * (int(corners.max()) + 1) + high
    order = np.argsort(key, kind="stable")
    in_order = key[order]
    begins = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]]) if len(key) else np.zeros(0, np.int64)
    pairs = begins[np.diff(np.r_[begins, len(key)]) == 2]
    one, other = order[pairs], order[pairs + 1]
    upward = start < end
    return _Edges(np.stack([owner[one], owner[other]], -1), upward[one] != upward[other])


def _twins(corners: NDArray) -> tuple[NDArray, NDArray[np.int64], NDArray[np.int64]]:
    """Triangles of the same three corners: one of each kind, the kind of each, how many there are."""
    ordered = np.sort(corners, 1)
    base = int(corners.max()) + 1
    if base < 2_000_000:  # three numbers in one of 63 bits
        key = (ordered[:, 0] * base + ordered[:, 1]) * base + ordered[:, 2]
        return np.unique(key, return_inverse=True, return_counts=True)
    kinds, kind, counts = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
    return kinds, kind.reshape(-1), counts


def _first_of(kinds: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which is the first of its kind."""
    first = np.full(count, len(kinds))
    np.minimum.at(first, kinds, np.arange(len(kinds)))
    chosen = np.zeros(len(kinds), bool)
    chosen[first] = True
    return chosen


def _against_their_twins(corners: NDArray, turn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which triangles are wound against the first of the same corners: two-sided, they cancel out."""
    _, kinds, counts = _twins(corners)
    against = np.zeros(len(corners), bool)
    if not (counts > 1).any():
        return against
    first, second, third = corners.T
    even = (first < second).astype(int) + (second < third) + (third < first) == 2
    even ^= turn
    leader = np.empty(len(counts), np.int64)
    leader[kinds[_first_of(kinds, len(counts))]] = np.flatnonzero(_first_of(kinds, len(counts)))
    return even != even[leader[kinds]]


def _wound_alike(edges: _Edges, count: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which triangles to turn so that neighbours agree, and the part of the surface that each belongs to.

    Patches are what neighbours that agree make up. Two patches that meet disagree along all edges between
    them; beginning with the largest, every second one is turned, over the longest common borders first.
    """
    part = _components(edges.triangles, count)
    if edges.alike.all():
        return np.zeros(count, bool), part
    patch = _components(edges.triangles[edges.alike], count)
    borders = patch[edges.triangles[~edges.alike]]
    borders = np.sort(borders[borders[:, 0] != borders[:, 1]], 1)
    patches = int(patch.max()) + 1
    if not len(borders):
        return np.zeros(count, bool), part
    lengths = coo_array((np.ones(len(borders)), (borders[:, 0], borders[:, 1])), (patches, patches)).tocsr()
    # The longest borders first: a spanning tree of the least weights, all of them below zero.
    tree = minimum_spanning_tree(-lengths)
    tree = tree + tree.T
    sizes = np.bincount(patch, minlength=patches)
    odd = np.zeros(patches, bool)
    seen = np.zeros(patches, bool)
    for begin in np.argsort(-sizes, kind="stable"):
        if seen[begin]:
            continue
        if tree.indptr[begin] == tree.indptr[begin + 1]:  # meets no other patch
            seen[begin] = True
            continue
        order, above = breadth_first_order(tree, begin, directed=False)
        for each in order[1:]:
            odd[each] = not odd[above[each]]
        seen[order] = True
        # What is turned must be the lesser part.
        if sizes[order][odd[order]].sum() > sizes[order][~odd[order]].sum():
            odd[order] = ~odd[order]
    return odd[patch], part


def _components(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """[count], a number of each connected component."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _inward_parts(vertices: NDArray, triangles: NDArray, part: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which triangles [T] belong to parts that are wound inward."""
    shapes = _shapes(vertices, triangles, part)
    largest = int(shapes.areas.argmax())
    large = shapes.areas >= LEAST_SHARE * shapes.areas[largest]
    if shapes.areas[large].sum() < 0.5 * shapes.areas.sum():
        # No part is the surface, as in a soup whose triangles share no edge: all of them together are.
        return np.full(len(triangles), bulge(vertices, triangles) < -FLAT)
    inward = np.full(len(shapes.areas), shapes.bulges[largest] < -FLAT)
    alone = (large | (shapes.openings < CLOSED)) & (np.abs(shapes.bulges) > FLAT)
    inward[alone] = shapes.bulges[alone] < 0
    looks_out = _looks_out(shapes, largest, turned=bool(inward[largest]))
    plain = (np.abs(looks_out) > PLAINLY) & (looks_out * shapes.bulges > 0)
    small = ~large & (shapes.openings >= OPEN) & plain
    inward[small] = looks_out[small] < 0
    return inward[part]


def _looks_out(shapes: "_Shapes", largest: int, *, turned: bool) -> NDArray[np.float64]:
    """Cosine [P] between each part's mean normal and the way out of the head; 0 where that is not plain.

    The way out is from the middle of the largest part and, where that is a mask, also along its mean normal.
    """
    from_middle = _cosines(shapes.centres - shapes.centres[largest], shapes.normals)
    front = (-1 if turned else 1) * shapes.normals[largest]
    along = _cosines(np.broadcast_to(front, shapes.normals.shape), shapes.normals)
    both = np.where(np.abs(from_middle) > np.abs(along), from_middle, along)
    return np.where((from_middle * along < 0) & (np.abs(along) > PLAINLY), 0.0, both)


def _cosines(one: NDArray, other: NDArray) -> NDArray[np.float64]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("pa,pa->p", one, other) / np.maximum(lengths, np.finfo(float).tiny)


class _Shapes(NamedTuple):
    """Of parts of a surface: area, centre [P, 3], mean normal [P, 3], `bulge`.

    The mean normal is weighted by area, and not of unit length: none if the part is closed, 1 if flat.
    """

    areas: NDArray[np.float64]
    centres: NDArray[np.float64]
    normals: NDArray[np.float64]
    bulges: NDArray[np.float64]

    @property
    def openings(self) -> NDArray[np.float64]:
        """Length [P] of the mean normals."""
        return np.linalg.norm(self.normals, axis=1)


def _shapes(vertices: NDArray, triangles: NDArray, part: NDArray[np.int64]) -> _Shapes:
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    areas = np.linalg.norm(normals, axis=1)
    middles = corners.mean(1)
    count = int(part.max()) + 1
    of_parts = np.bincount(part, areas, count).astype(np.float64, copy=False)
    some = np.maximum(of_parts, np.finfo(float).tiny)

    def sums(values: NDArray) -> NDArray[np.float64]:
        return np.stack([np.bincount(part, values[:, axis], count) for axis in range(3)], -1)

    centres = sums(middles * areas[:, None]) / some[:, None]
    flux = np.bincount(part, np.einsum("ta,ta->t", middles - centres[part], normals), count)
    bulges = np.divide(flux, some**1.5, out=np.zeros(count), where=some**1.5 > 0)
    return _Shapes(of_parts, centres, sums(normals) / some[:, None], bulges)
