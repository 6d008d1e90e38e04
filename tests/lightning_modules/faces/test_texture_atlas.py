from collections.abc import Callable

import torch
from torch import Tensor

from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.texture_atlas import TextureAtlas, spherical_atlas, texels_of


def sphere(radius: float, rows: int = 24, columns: int = 32) -> tuple[Tensor, Tensor]:
    """A closed sphere without its poles, wound outwards."""
    latitude = torch.linspace(-1.2, 1.2, rows)[:, None].expand(rows, columns)
    longitude = (2 * torch.pi * torch.arange(columns) / columns)[None].expand(rows, columns)
    x, z = latitude.cos() * longitude.sin(), latitude.cos() * longitude.cos()
    vertices = radius * torch.stack([x, latitude.sin(), z], -1).reshape(-1, 3)
    row, column = torch.meshgrid(torch.arange(rows - 1), torch.arange(columns), indexing="ij")
    first, right = (row * columns + column).flatten(), (row * columns + (column + 1) % columns).flatten()
    above, beyond = first + columns, right + columns
    return vertices, torch.cat(
        [torch.stack([first, right, beyond], 1), torch.stack([first, beyond, above], 1)]
    )


def areas(atlas: TextureAtlas) -> Tensor:
    corners = atlas.coordinates.double()[atlas.triangles]
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2


def tile_of(atlas: TextureAtlas, triangles: slice) -> Tensor:
    """Top of what some triangles take of the picture."""
    return atlas.coordinates[atlas.triangles[triangles].flatten(), 1].max()


def test_every_texel_shows_the_point_of_the_mesh_that_lies_there() -> None:
    vertices, triangles = sphere(90.0)
    atlas = spherical_atlas(vertices, triangles)
    texels = texels_of(atlas, 128)
    # Where a sphere is seen from is known: longitude grows to the right, latitude upwards.
    points = texels.of(vertices)
    towards_left = torch.atan2(points[:, 0], points[:, 2])
    middle = (towards_left.abs() < 2).nonzero()[:, 0]
    fit = torch.stack([texels.columns[middle].float(), torch.ones(len(middle))], 1)
    slope, offset = torch.linalg.lstsq(fit, towards_left[middle, None]).solution[:, 0]
    assert float(slope) > 0
    assert float((fit @ torch.stack([slope, offset]) - towards_left[middle]).abs().max()) < 0.2
    up = (points[:, 1] > 60).nonzero()[:, 0]
    assert int(texels.rows[up].max()) < 64
    torch.testing.assert_close(texels.weights.sum(1), torch.ones(len(points)))


def test_no_two_triangles_share_a_place_in_the_picture(make_model: Callable[..., MorphableModel]) -> None:
    model = make_model(rows=30, columns=27)
    for vertices, triangles in ((model.neutral_mean.view(-1, 3), model.triangles), sphere(80.0)):
        atlas = spherical_atlas(vertices, triangles)
        assert float(atlas.coordinates.min()) >= 0
        assert float(atlas.coordinates.max()) <= 1
        # Areas that overlap would add up to more than what they cover together.
        covered = len(texels_of(atlas, 256).rows) / 256**2
        assert abs(float(areas(atlas).abs().sum()) - covered) < 0.01
        assert covered > 0.5


def test_a_closed_head_is_cut_behind_and_no_triangle_runs_across_the_picture() -> None:
    vertices, triangles = sphere(90.0)
    atlas = spherical_atlas(vertices, triangles)
    width = atlas.coordinates[:, 0][atlas.triangles]
    assert float((width.amax(1) - width.amin(1)).max()) < 0.1
    assert len(atlas.vertices) == len(vertices) + 24  # the seam's vertices are there twice
    assert torch.equal(atlas.vertices[atlas.triangles], triangles)


def test_what_another_surface_covers_gets_a_tile_of_its_own() -> None:
    outer, triangles = sphere(90.0)
    inner, _ = sphere(60.0)
    count = len(triangles)
    atlas = spherical_atlas(torch.cat([inner, outer]), torch.cat([triangles, triangles + len(inner)]))
    inside, outside = slice(0, count), slice(count, None)
    assert float(tile_of(atlas, inside)) < 0.25 < float(atlas.coordinates[:, 1].max())
    bottom = atlas.coordinates[atlas.triangles[outside].flatten(), 1].min()
    assert float(bottom) > float(tile_of(atlas, inside))
    # A surface that faces the middle is the inside of something, even where nothing covers it.
    turned = spherical_atlas(outer, triangles.flip(1))
    assert float(tile_of(turned, slice(None))) < 0.25
