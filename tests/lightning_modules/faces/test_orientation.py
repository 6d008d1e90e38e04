"""What orientation does to a dome, a ball and an eye, each wound in all the ways in which files come."""

import numpy as np
import pytest
import torch
import trimesh

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.orientation import bulge, oriented


def dome() -> Mesh:
    """An open cap, 160 mm wide, 200 mm high and 70 mm deep, seen from the front."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 13), torch.linspace(-1, 1, 11), indexing="ij")
    vertices = torch.stack([80 * x, 100 * y, 70 * (1 - (x**2 + y**2) / 2)], -1).view(-1, 3)
    ids = torch.arange(13 * 11).view(13, 11)
    low, right, high, up = (part.ravel() for part in (ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]))
    triangles = torch.cat([torch.stack([low, right, high], -1), torch.stack([low, high, up], -1)])
    return Mesh(vertices, triangles, None)


def turned(mesh: Mesh, which: torch.Tensor) -> Mesh:
    """The mesh with some of its triangles wound the other way."""
    return mesh._replace(triangles=torch.where(which[:, None], mesh.triangles[:, [0, 2, 1]], mesh.triangles))


def test_what_is_outward_stays_as_it_is() -> None:
    found = oriented(dome())
    assert torch.equal(found.mesh.triangles, dome().triangles)
    assert (found.turned, found.unsettled) == (0, 0.0)


@pytest.mark.parametrize("turn", [np.eye(3), np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_inward_triangles_are_turned_in_any_frame_and_unit(turn: np.ndarray, scale: float) -> None:
    mesh = dome()
    mesh = mesh._replace(vertices=scale * mesh.vertices @ torch.from_numpy(turn).float() + scale * 500)
    found = oriented(turned(mesh, torch.ones(len(mesh.triangles), dtype=torch.bool)))
    assert found.turned == len(mesh.triangles)
    assert torch.equal(found.mesh.triangles, mesh.triangles)
    assert torch.equal(found.mesh.vertices, mesh.vertices)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.9])
def test_mixed_triangles_are_made_consistent(share: float) -> None:
    mesh = dome()
    which = torch.rand(len(mesh.triangles), generator=torch.Generator().manual_seed(0)) < share
    which[7] = True
    found = oriented(turned(mesh, which))
    assert found.turned == int(which.sum())
    assert torch.equal(found.mesh.triangles, mesh.triangles)


def test_triangles_that_share_no_vertex_are_neighbours_where_their_vertices_lie() -> None:
    mesh = dome()
    soup = Mesh(
        mesh.vertices[mesh.triangles].view(-1, 3), torch.arange(3 * len(mesh.triangles)).view(-1, 3), None
    )
    which = torch.rand(len(soup.triangles), generator=torch.Generator().manual_seed(1)) < 0.5
    assert torch.equal(oriented(turned(soup, which)).mesh.triangles, soup.triangles)


def test_two_halves_without_a_common_vertex_are_each_turned_outward() -> None:
    mesh = dome()
    left = mesh.vertices[mesh.triangles].mean(1)[:, 0] < 0
    apart = torch.cat([mesh.vertices, mesh.vertices - torch.tensor([0.01, 0, 0])])
    triangles = torch.where(left[:, None], mesh.triangles + len(mesh.vertices), mesh.triangles)
    halves = Mesh(apart, triangles, None)
    assert torch.equal(oriented(turned(halves, left)).mesh.triangles, triangles)


def test_sheets_with_two_sides_have_one_afterwards() -> None:
    mesh = dome()
    both = mesh._replace(triangles=torch.cat([mesh.triangles, mesh.triangles[:, [0, 2, 1]]]))
    found = oriented(both)
    assert torch.equal(found.mesh.triangles[: len(mesh.triangles)], mesh.triangles)
    assert torch.equal(found.mesh.triangles[len(mesh.triangles) :], mesh.triangles)
    doubled = mesh._replace(triangles=mesh.triangles.repeat(2, 1))
    inward = turned(doubled, torch.ones(len(doubled.triangles), dtype=torch.bool))
    assert torch.equal(oriented(inward).mesh.triangles, doubled.triangles)


def test_a_flat_surface_stays() -> None:
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    square = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), triangles, None)
    assert oriented(square).turned == 0
    assert oriented(square._replace(triangles=triangles.flip(1))).turned == 0
    assert oriented(square._replace(triangles=triangles[:0])).turned == 0


def test_a_surface_of_one_side_is_said_to_be_unsettled() -> None:
    """A Moebius band of few triangles: wherever it is cut, one edge has its triangles against each other."""
    count = 9
    angle = torch.arange(count) * 2 * torch.pi / count
    across = torch.stack(
        [angle.cos() * (angle / 2).cos(), angle.sin() * (angle / 2).cos(), (angle / 2).sin()], -1
    )
    middle = 3 * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)
    vertices = torch.cat([middle - across, middle + across])
    low, high = torch.arange(count), torch.arange(count) + count
    next_low = torch.where(low == count - 1, high[0], low + 1)
    next_high = torch.where(low == count - 1, low[0], high + 1)
    triangles = torch.cat(
        [torch.stack([low, next_low, next_high], -1), torch.stack([low, next_high, high], -1)]
    )
    found = oriented(Mesh(vertices, triangles, None))
    assert found.unsettled == pytest.approx(1 / (2 * count))


@pytest.mark.parametrize("inward", [False, True])
def test_an_eye_is_turned_with_the_head_and_by_itself(inward: bool) -> None:
    """An eye's front half in a head: wound inward alone, or with all of the head."""
    head, eye = ball(100.0, (0, 0, 0)), ball(12.0, (30, 30, 95))
    front = eye.vertices[eye.triangles].mean(1)[:, 2] > 95
    whole = Mesh(
        torch.cat([head.vertices, eye.vertices]),
        torch.cat([head.triangles, eye.triangles[front] + len(head.vertices)]),
        None,
    )
    assert oriented(whole).turned == 0
    which = torch.arange(len(whole.triangles)) >= (0 if inward else len(head.triangles))
    assert torch.equal(oriented(turned(whole, which)).mesh.triangles, whole.triangles)


def ball(radius: float, centre: tuple[float, float, float]) -> Mesh:
    """A sphere of triangles."""
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    vertices = torch.from_numpy(np.asarray(sphere.vertices) + centre).float()
    return Mesh(vertices, torch.from_numpy(np.array(sphere.faces)).long(), None)


def test_a_ball_bulges_as_its_volume_says() -> None:
    mesh = ball(100.0, (300, -20, 7))
    # 4 pi r^3 over (4 pi r^2) ** 1.5; the polyhedron has a little less of both.
    assert bulge(mesh.vertices.numpy(), mesh.triangles.numpy()) == pytest.approx(
        (4 * np.pi) ** -0.5, rel=0.01
    )
    assert bulge(mesh.vertices.numpy(), mesh.triangles.flip(1).numpy()) < 0
    assert bulge(np.zeros((3, 3)), np.array([[0, 1, 2]])) == 0
