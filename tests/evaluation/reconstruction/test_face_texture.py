"""A bowl of known colours is photographed by the renderer, and its texture is to show them again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.marked_faces import MarkedFace
from evaluation.reconstruction.face_texture import FacesOfTexture, Painted, in_picture, painted
from evaluation.reconstruction.photograph_view import PhotographView, seen_in, view_of
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.faces.texture_atlas import TextureAtlas, spherical_atlas, texels_of
from lightning_modules.rendering.camera import Cameras, camera_matrices, project
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses
from lightning_modules.rendering.renderer import geometry_buffer, interpolate, visible_triangles
from tests.miniatures import small_model

SIZE, TEXTURE = 240, 128
BLUE = np.array([20, 30, 250], np.uint8)  # behind the face
MODEL_COLOUR, CHANGE = 0.4, torch.tensor([0.2, 0.1, -0.1])


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return small_model()


@pytest.fixture(scope="module")
def vertices(model: MorphableModel) -> Tensor:
    return model.neutral_mean.view(-1, 3)


@pytest.fixture(scope="module")
def atlas(model: MorphableModel, vertices: Tensor) -> TextureAtlas:
    return spherical_atlas(vertices, model.triangles)


def camera(yaw_degrees: float = 0.0) -> Cameras:
    poses = frontal_poses((1, 1), like=torch.zeros((), dtype=torch.float64))
    poses = poses._replace(yaw_degrees=poses.yaw_degrees + yaw_degrees)
    return cameras_from_poses(poses, (SIZE, SIZE))


def photographed(vertices: Tensor, triangles: Tensor, colours: Tensor, cameras: Cameras) -> np.ndarray:
    """A picture of the colours alone, before blue."""
    points, matrices = vertices.double()[None], camera_matrices(cameras)
    ids = visible_triangles(points, triangles, matrices, (SIZE, SIZE))
    buffer = geometry_buffer(points, triangles, matrices, ids)
    picture = np.tile(BLUE, (SIZE, SIZE, 1))
    seen = interpolate(colours.double()[None], buffer).clamp(0, 1)
    picture[buffer.rows, buffer.columns] = (seen * 255).round().byte().numpy()
    return picture


def view(
    model: MorphableModel, vertices: Tensor, colours: Tensor, yaw: float = 0.0, shift: float = 0.0
) -> PhotographView:
    """The view of a photograph, whose picture was moved to the right after the fit."""
    cameras = camera(yaw)
    pixels = np.roll(photographed(vertices, model.triangles, colours, cameras), round(shift), axis=1)
    marks = five_points(model.landmarks.on(vertices[None])).double()
    fitted = project(cameras, marks)[0, 0, :, :2].numpy()
    marked = fitted + np.array([shift, 0])
    face = MarkedFace(Path("a.png"), "", (SIZE, SIZE), pixels, 0, marked, pixels)
    return view_of(face, cameras, fitted, vertices, model.triangles)


def texture(
    seen: PhotographView, model: MorphableModel, vertices: Tensor, atlas: TextureAtlas, **options: bool
) -> Painted:
    albedo = torch.full_like(vertices, MODEL_COLOUR)
    return painted(seen, FacesOfTexture(vertices, vertices), albedo, model, atlas, TEXTURE, **options)


def wavy(vertices: Tensor) -> Tensor:
    """Colours that change by a third over the face."""
    x, y, _ = vertices.unbind(1)
    return torch.stack([0.5 + x / 300, 0.5 + y / 400, 0.45 - x / 400], 1)


def test_where_the_photograph_shows_the_face_the_texture_has_its_colours(
    model: MorphableModel, vertices: Tensor, atlas: TextureAtlas
) -> None:
    colours = wavy(vertices)
    found = texture(view(model, vertices, colours), model, vertices, atlas)
    texels = texels_of(atlas, TEXTURE)
    middle = texels.of(vertices)[:, :2].norm(dim=1) < 30
    shown = found.texture.picture[texels.rows[middle], texels.columns[middle]] / 255
    np.testing.assert_allclose(shown, texels.of(colours)[middle], atol=0.02)
    assert 0.1 < found.seen < 0.9


def test_nothing_of_the_background_comes_onto_the_face(
    model: MorphableModel, vertices: Tensor, atlas: TextureAtlas
) -> None:
    colours = torch.full_like(vertices, MODEL_COLOUR) + CHANGE
    for yaw in (0.0, 35.0):
        found = texture(view(model, vertices, colours, yaw), model, vertices, atlas)
        # Everywhere, seen or not: the one correction that the whole face needs.
        shown = found.texture.picture.reshape(-1, 3) / 255
        np.testing.assert_allclose(shown, np.broadcast_to(MODEL_COLOUR + CHANGE, shown.shape), atol=0.02)


def test_there_is_no_edge_between_what_is_seen_and_what_is_not(
    model: MorphableModel, vertices: Tensor, atlas: TextureAtlas
) -> None:
    found = texture(view(model, vertices, wavy(vertices), 40.0), model, vertices, atlas)
    texels = texels_of(atlas, TEXTURE)
    on_mesh = np.zeros((TEXTURE, TEXTURE), bool)
    on_mesh[texels.rows, texels.columns] = True
    steps = np.abs(np.diff(found.texture.picture.astype(int), axis=1)).max(2)
    assert steps[on_mesh[:, 1:] & on_mesh[:, :-1]].max() < 12  # of 255


def test_what_is_covered_is_not_seen(model: MorphableModel, vertices: Tensor) -> None:
    seen = view(model, vertices, wavy(vertices))
    normals = vertex_normals(vertices[None], model.triangles)[0]
    shifts = torch.zeros(len(vertices), 2)
    before = seen_in(seen, vertices, normals, shifts).weights
    assert before.max() > 0.9
    assert seen_in(seen, vertices - torch.tensor([0.0, 0, 10]), normals, shifts).weights.max() == 0
    assert seen_in(seen, vertices, -normals, shifts).weights.max() == 0  # its back
    # At the outline nothing is trusted, since there the background is near.
    edge = vertices[:, 0].abs() > 0.99 * vertices[:, 0].abs().max()
    assert before[edge].max() == 0


def test_what_looks_like_hair_or_background_is_not_trusted_at_the_rim(
    model: MorphableModel, vertices: Tensor
) -> None:
    normals = vertex_normals(vertices[None], model.triangles)[0]
    radius = (vertices[:, :2] / torch.tensor([75.0, 95.0])).abs().amax(1)  # the bowl is a rectangle
    rim, colours = (radius > 0.74) & (radius < 0.76), torch.full_like(vertices, 0.8)
    weights = []
    for hair in (0.8, 0.1):
        seen = view(model, vertices, torch.where((radius > 0.6)[:, None], hair, colours))
        weights.append(seen_in(seen, vertices, normals, torch.zeros(len(vertices), 2)).weights)
    assert rim.any()
    assert (weights[0][rim] > 0).all()
    assert weights[1][rim].mean() < 0.5 * weights[0][rim].mean()
    np.testing.assert_allclose(weights[0][radius < 0.3], weights[1][radius < 0.3])


def test_what_lies_beside_its_landmark_is_looked_for_where_the_photograph_has_it(
    model: MorphableModel, vertices: Tensor, atlas: TextureAtlas
) -> None:
    colours = wavy(vertices)
    texels = texels_of(atlas, TEXTURE)
    middle = texels.of(vertices)[:, :2].norm(dim=1) < 25
    found = texture(view(model, vertices, colours, shift=8), model, vertices, atlas)
    shown = found.texture.picture[texels.rows[middle], texels.columns[middle]] / 255
    np.testing.assert_allclose(shown, texels.of(colours)[middle], atol=0.03)


def test_mirrored_the_half_that_is_not_seen_takes_the_other_s_colours(
    model: MorphableModel, vertices: Tensor, atlas: TextureAtlas
) -> None:
    # A mark on the cheek that the turned face shows.
    turned = view(model, vertices, wavy(vertices), 40.0)
    normals = vertex_normals(vertices[None], model.triangles)[0]
    weights = seen_in(turned, vertices, normals, turned.shifts).weights
    shown_side = np.sign((weights * vertices[:, 0].numpy()).sum())
    spot = torch.tensor([shown_side * 40.0, -10.0])
    marked = torch.full_like(vertices, MODEL_COLOUR)
    marked[(vertices[:, :2] - spot).norm(dim=1) < 20] = torch.tensor([0.9, 0.2, 0.2])
    seen = view(model, vertices, marked, 40.0)
    texels = texels_of(atlas, TEXTURE)
    across = spot * torch.tensor([-1.0, 1.0])
    there = (texels.of(vertices)[:, :2] - across).norm(dim=1) < 8
    plain, mirrored = (texture(seen, model, vertices, atlas, mirrored=each) for each in (False, True))
    assert mirrored.seen > plain.seen
    reds = [
        found.texture.picture[texels.rows[there], texels.columns[there], 0].mean() / 255
        for found in (plain, mirrored)
    ]
    assert reds[0] < MODEL_COLOUR + 0.06
    assert reds[1] > MODEL_COLOUR + 0.2  # the rest is grey that the photograph shows at a slant


def test_the_model_s_own_colours_make_a_texture_without_holes(vertices: Tensor, atlas: TextureAtlas) -> None:
    picture = in_picture(atlas, wavy(vertices), TEXTURE)
    texels = texels_of(atlas, TEXTURE)
    np.testing.assert_allclose(
        picture[texels.rows, texels.columns] / 255, texels.of(wavy(vertices)), atol=0.003
    )
    assert picture.max(2).min() > 30  # also beside the mesh, for what viewers sample there
