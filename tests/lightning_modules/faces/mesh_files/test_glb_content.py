import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.glb import read_glb
from lightning_modules.faces.mesh_files.glb_content import ExpressionTargets, Texture, glb_bytes, unit_normals
from lightning_modules.faces.mesh_files.gltf_arrays import array_of, read_gltf
from lightning_modules.faces.mesh_files.obj import read_obj
from lightning_modules.faces.mesh_files.textured_obj import write_textured_obj
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.faces.texture_atlas import spherical_atlas
from tests.miniatures import small_model


@pytest.fixture
def mesh() -> Mesh:
    model = small_model()
    colours = torch.rand(len(model.neutral_mean) // 3, 3, generator=torch.Generator().manual_seed(0))
    return Mesh(model.neutral_mean.view(-1, 3), model.triangles, colours)


@pytest.fixture
def targets(mesh: Mesh) -> ExpressionTargets:
    moved = torch.zeros(3, len(mesh.vertices), 3)
    moved[0, 40:60, 1] = -12.0
    moved[1, 100] = torch.tensor([3.0, 0.5, 7.0])
    return ExpressionTargets(("jawOpen", "cheekPuff", "nothing"), moved)


@pytest.fixture
def texture(mesh: Mesh) -> Texture:
    """Red grows to the right, green downwards."""
    atlas = spherical_atlas(mesh.vertices, mesh.triangles)
    row, column = np.mgrid[:64, :64]
    return Texture(atlas, np.stack([4 * column, 4 * row, 0 * row], -1).astype(np.uint8))


def description(content: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length])


def written(content: bytes, folder: Path) -> Path:
    path = folder / "face.glb"
    path.write_bytes(content)
    return path


def test_morph_targets_are_named_and_hold_the_displacements_in_metres(
    mesh: Mesh, targets: ExpressionTargets, tmp_path: Path
) -> None:
    content = glb_bytes(mesh, targets=targets)
    (described,) = description(content)["meshes"]
    assert described["extras"] == {"targetNames": ["jawOpen", "cheekPuff", "nothing"]}
    assert described["weights"] == [0.0, 0.0, 0.0]
    gltf = read_gltf(written(content, tmp_path))
    normals = vertex_normals(mesh.vertices[None], mesh.triangles)[0]
    for target, moved in zip(described["primitives"][0]["targets"], targets.displacements, strict=True):
        positions = array_of(gltf, target["POSITION"])
        np.testing.assert_allclose(positions, moved / 1000, atol=1e-8)
        accessor = gltf.content["accessors"][target["POSITION"]]
        assert accessor["min"] == positions.min(0).tolist()
        assert accessor["max"] == positions.max(0).tolist()
        turned = torch.from_numpy(array_of(gltf, target["NORMAL"]).copy()) + normals
        expected = vertex_normals((mesh.vertices + moved)[None], mesh.triangles)[0]
        torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)
    back = read_glb(tmp_path / "face.glb")
    torch.testing.assert_close(back.vertices, mesh.vertices, atol=1e-4, rtol=0)


def test_only_what_moves_is_kept_of_a_target(mesh: Mesh, targets: ExpressionTargets) -> None:
    with_targets = description(glb_bytes(mesh, targets=targets))
    first, _, nothing = with_targets["meshes"][0]["primitives"][0]["targets"]
    accessors = with_targets["accessors"]
    assert accessors[first["POSITION"]]["sparse"]["count"] == 20
    assert "bufferView" not in accessors[first["POSITION"]]
    # All zeros need no bytes, and a sparse accessor must replace something.
    assert "sparse" not in accessors[nothing["POSITION"]]
    assert accessors[nothing["POSITION"]]["min"] == [0, 0, 0]


def test_views_begin_at_multiples_of_four_and_only_arrays_of_vertices_have_a_target(
    mesh: Mesh, targets: ExpressionTargets, texture: Texture
) -> None:
    described = description(glb_bytes(mesh, targets=targets, texture=texture))
    accessors, views = described["accessors"], described["bufferViews"]
    assert all(view["byteOffset"] % 4 == 0 for view in views)
    end = max(view["byteOffset"] + view["byteLength"] for view in views)
    assert end <= described["buffers"][0]["byteLength"] < end + 4
    plain = {accessor["bufferView"] for accessor in accessors if "bufferView" in accessor}
    assert {number for number, view in enumerate(views) if "target" in view} == plain
    assert views[described["images"][0]["bufferView"]].keys() == {"buffer", "byteOffset", "byteLength"}


def colours_at(mesh: Mesh, texture: Texture) -> Tensor:
    """What the texture has at the mesh's vertices, [N, 2]: red and green at each texture vertex."""
    coordinates = texture.atlas.coordinates
    return torch.stack([coordinates[:, 0], 1 - coordinates[:, 1]], 1) * 256 - 2


def test_another_reader_finds_the_texture_where_the_atlas_has_it(
    mesh: Mesh, texture: Texture, tmp_path: Path
) -> None:
    path = written(glb_bytes(mesh, texture=texture), tmp_path)
    other = trimesh.load(path, force="mesh", process=False)
    np.testing.assert_allclose(other.vertices, mesh.vertices[texture.atlas.vertices] / 1000, atol=1e-7)
    np.testing.assert_array_equal(other.faces, texture.atlas.triangles)
    seen = other.visual.to_color().vertex_colors[:, :2].astype(float)
    np.testing.assert_allclose(seen, colours_at(mesh, texture), atol=5)
    assert "COLOR_0" not in description(path.read_bytes())["meshes"][0]["primitives"][0]["attributes"]
    back = read_glb(path)
    np.testing.assert_allclose(back.colours[:, :2] * 255, colours_at(mesh, texture), atol=5)


def test_a_textured_obj_keeps_the_vertices_and_brings_its_picture(
    mesh: Mesh, texture: Texture, tmp_path: Path
) -> None:
    files = [tmp_path / "a face.obj", tmp_path / "a face.mtl", tmp_path / "a face-texture.png"]
    write_textured_obj(mesh, texture, *files)
    back = read_obj(files[0])
    torch.testing.assert_close(back.vertices, mesh.vertices, atol=1e-4, rtol=0)
    assert torch.equal(back.triangles, mesh.triangles)
    expected = torch.zeros(len(mesh.vertices), 2)
    expected[texture.atlas.vertices] = colours_at(mesh, texture)
    np.testing.assert_allclose(back.colours[:, :2] * 255, expected, atol=5)
    other = trimesh.load(files[0], force="mesh", process=False)
    assert other.visual.material.image.size == (64, 64)


def test_a_vertex_without_a_triangle_has_a_normal_all_the_same(mesh: Mesh) -> None:
    alone = torch.cat([mesh.vertices, torch.zeros(1, 3)])
    normals = unit_normals(alone, mesh.triangles)
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(alone)))
    assert normals[-1].tolist() == [0, 0, 1]
