import numpy as np
import pytest

from lightning_modules.faces.open_model.subdivision import (
    QuadMesh,
    catmull_clark,
    clip,
    split_quads,
    uv_of_vertices,
)

CUBE = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def grid(columns: int) -> tuple[np.ndarray, QuadMesh]:
    """A flat grid of unit squares, its texture coordinates its positions."""
    x, y = np.meshgrid(np.arange(columns + 1.0), np.arange(columns + 1.0), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    first = (np.arange(columns)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    quads = np.stack([first, first + columns + 1, first + columns + 2, first + 1], 1)
    return vertices, QuadMesh(quads, vertices[quads][..., :2], len(vertices))


def test_a_cube_is_subdivided_as_by_hand() -> None:
    step = catmull_clark(QuadMesh(CUBE_QUADS, np.zeros((6, 4, 2)), 8))
    vertices = step.matrix @ CUBE
    assert len(vertices) == 8 + 12 + 6
    assert len(step.mesh.quads) == 24
    # A corner of valence 3: (mean of quad points 1/3 each + 2 * mean of midpoints 2/3 each + 0) / 3.
    np.testing.assert_allclose(np.abs(vertices[:8]), 5 / 9)
    # An edge point: half of the midpoint (1, 1, 0) and half of the mean of two quad points (1/2, 1/2, 0).
    np.testing.assert_allclose(np.sort(np.abs(vertices[8:20]), 1), np.tile([0, 0.75, 0.75], (12, 1)))
    np.testing.assert_allclose(np.sort(np.abs(vertices[20:]), 1), np.tile([0, 0, 1], (6, 1)))


def test_a_flat_grid_stays_flat_and_its_straight_sides_straight() -> None:
    vertices, mesh = grid(3)
    fine = catmull_clark(mesh).matrix @ vertices
    assert np.all(fine[:, 2] == 0)
    # The corners are rounded by the B-spline rule, the sides are not.
    np.testing.assert_allclose([fine[:, :2].min(), fine[:, :2].max()], [0, 3], atol=1e-12)


def test_rows_sum_to_one_so_that_moving_the_mesh_moves_the_result() -> None:
    _, mesh = grid(3)
    np.testing.assert_allclose(catmull_clark(mesh).matrix.sum(1), 1)


def test_quads_keep_their_orientation() -> None:
    step = catmull_clark(QuadMesh(CUBE_QUADS, np.zeros((6, 4, 2)), 8))
    vertices, triangles = step.matrix @ CUBE, split_quads(step.mesh.quads)
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    volumes = np.einsum("ij,ij->i", np.cross(a, b), c)
    outward = np.einsum(
        "ij,ij->i", np.cross(CUBE[CUBE_QUADS[:, 1]], CUBE[CUBE_QUADS[:, 2]]), CUBE[CUBE_QUADS[:, 0]]
    )
    assert np.all(np.sign(volumes) == np.sign(outward[0]))


def test_texture_coordinates_follow_linearly() -> None:
    vertices, mesh = grid(2)
    step = catmull_clark(mesh)
    uv = uv_of_vertices(step.mesh)
    np.testing.assert_allclose(uv[: len(vertices)], vertices[:, :2])
    centre_of_first_quad = step.mesh.quads[0, 2]
    np.testing.assert_allclose(uv[centre_of_first_quad], [0.5, 0.5])


def test_clipping_leaves_a_clean_rim_on_the_level_set() -> None:
    vertices, mesh = grid(4)
    triangles, level = split_quads(mesh.quads), 2.3 - vertices[:, 0] - 0.3 * vertices[:, 1]
    clipping = clip(triangles, level)
    kept = clipping.matrix @ vertices
    inside = 2.3 - kept[:, 0] - 0.3 * kept[:, 1]
    assert inside.min() > -1e-12
    assert (np.abs(inside) < 1e-12).sum() > 4
    a, b, c = (kept[clipping.triangles[:, corner]] for corner in range(3))
    area = 0.5 * np.cross(b - a, c - a)[:, 2]
    # The area left of the line x = 2.3 - 0.3 y, between y = 0 and y = 4.
    np.testing.assert_allclose(area.sum(), 4 * (2.3 + 1.1) / 2)
    assert np.all(area > 0)


def test_clipping_keeps_nothing_that_lies_outside() -> None:
    vertices, mesh = grid(4)
    clipping = clip(split_quads(mesh.quads), vertices[:, 0] - 1.5)
    assert len(np.unique(clipping.triangles)) == clipping.matrix.shape[0]
    assert (clipping.matrix @ vertices)[:, 0].min() == pytest.approx(1.5)
