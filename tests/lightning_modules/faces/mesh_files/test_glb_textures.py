import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.rendering.colour import decode_srgb, encode_srgb

from .glb_corpus import Builder, glb_of

# Four pixels, and where their centres lie with v downwards.
PIXELS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [102, 153, 204]]], np.uint8)
CENTRES = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
EXPECTED = torch.from_numpy(PIXELS.reshape(4, 3) / 255).float()
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]) / 8
BASE: dict[str, Any] = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


def textured(
    places: np.ndarray | None = CENTRES,
    *,
    material: dict[str, Any] | None = None,
    image: dict[str, Any] | None = None,
    texture: dict[str, Any] | None = None,
    colours: np.ndarray | None = None,
    code: str = "f",
    **more: Any,  # noqa: ANN401 - JSON
) -> tuple[dict[str, Any], Builder]:
    """A square of two triangles with a texture of four pixels."""
    built = Builder()
    attributes = {"POSITION": built.array(CORNERS, "f")}
    if places is not None:
        scaled = {} if code == "f" else {"normalized": True}
        attributes["TEXCOORD_0"] = built.array(places, code, **scaled)
    if colours is not None:
        attributes["COLOR_0"] = built.array(colours, "f")
    indices = built.array(np.array([0, 1, 2, 2, 1, 3]), "B")
    content = {
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}],
        "materials": [BASE if material is None else material],
        "textures": [{"source": 0} if texture is None else texture],
        "images": [{"bufferView": built.view(png()), "mimeType": "image/png"} if image is None else image],
        "accessors": built.accessors, "bufferViews": built.views, "buffers": [{}], **more,
    }  # fmt: skip
    return content, built


def colours_read(folder: Path, content: dict[str, Any], built: Builder) -> Tensor | None:
    (folder / "a.glb").write_bytes(glb_of(content, built.binary))
    return read_mesh(folder / "a.glb").colours


@pytest.mark.parametrize(
    "material",
    [BASE, {"extensions": {"KHR_materials_pbrSpecularGlossiness": {"diffuseTexture": {"index": 0}}}}],
)
def test_vertices_take_the_textures_colours(tmp_path: Path, material: dict[str, Any]) -> None:
    torch.testing.assert_close(colours_read(tmp_path, *textured(material=material)), EXPECTED)


@pytest.mark.parametrize("texture", [{"extensions": {"EXT_texture_webp": {"source": 0}}}, {"source": 0}])
@pytest.mark.parametrize("name", ["skin of her.png", "skin%20of%20her.png", "data", "textures/skin.png"])
def test_a_picture_may_lie_beside_the_file_or_in_its_description(
    tmp_path: Path, name: str, texture: dict[str, Any]
) -> None:
    (tmp_path / "skin of her.png").write_bytes(png())
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures/skin.png").write_bytes(png())
    address = f"data:image/png;base64,{base64.b64encode(png()).decode()}" if name == "data" else name
    read = colours_read(tmp_path, *textured(image={"uri": address}, texture=texture))
    torch.testing.assert_close(read, EXPECTED)


@pytest.mark.parametrize(("code", "largest"), [("B", 255), ("H", 65535)])
def test_places_may_be_quantised(tmp_path: Path, code: str, largest: int) -> None:
    read = colours_read(tmp_path, *textured(np.round(CENTRES * largest).astype(int), code=code))
    torch.testing.assert_close(read, EXPECTED, atol=0.01, rtol=0)


def test_texture_factor_and_own_colours_are_multiplied_as_light(tmp_path: Path) -> None:
    own, factor = np.linspace(0.1, 1, 12).reshape(4, 3), [0.5, 1, 0.25, 1]
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": factor}}
    read = colours_read(tmp_path, *textured(material=material, colours=own))
    light = decode_srgb(EXPECTED) * torch.tensor(factor[:3]) * torch.from_numpy(own).float()
    torch.testing.assert_close(read, encode_srgb(light), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [(10497, [0, 1, 0, 1]), (33071, [1, 1, 0, 1]), (33648, [1, 0, 0, 1])],
    ids=["repeated", "clamped", "mirrored"],
)
def test_beyond_its_border_a_picture_goes_on_as_its_sampler_says(
    tmp_path: Path, wrap: int, expected: list[int]
) -> None:
    places = np.array([[1.25, 0.25], [1.75, 0.25], [0.25, 0.25], [0.75, 0.25]])
    content, built = textured(places, texture={"source": 0, "sampler": 0}, samplers=[{"wrapS": wrap}])
    torch.testing.assert_close(colours_read(tmp_path, content, built), EXPECTED[expected])


def transformed(**moved: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    info = {"index": 0, "extensions": {"KHR_texture_transform": moved}}
    return {"pbrMetallicRoughness": {"baseColorTexture": info}}


def test_the_extensions_example_shows_the_lower_left_quarter_turned(tmp_path: Path) -> None:
    # Its own: offset (0, 1), a quarter turn, half the size. Of the lower left pixel alone all is one colour.
    material = transformed(offset=[0, 1], rotation=math.pi / 2, scale=[0.5, 0.5])
    read = colours_read(tmp_path, *textured(np.full((4, 2), 0.5), material=material))
    torch.testing.assert_close(read, EXPECTED[[2, 2, 2, 2]])
    # A point on its right edge comes from the quarter's upper edge: half blue, half red above it.
    read = colours_read(tmp_path, *textured(np.full((4, 2), [1.0, 0.5]), material=material))
    torch.testing.assert_close(read, torch.tensor([0.5, 0, 0.5]).repeat(4, 1), atol=1e-5, rtol=0)


def test_a_transform_may_name_other_places(tmp_path: Path) -> None:
    content, built = textured(np.zeros((4, 2)), material=transformed(texCoord=1))
    other = built.array(CENTRES, "f")
    content["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_1"] = other
    torch.testing.assert_close(colours_read(tmp_path, content, built), EXPECTED)


def test_primitives_that_share_vertices_colour_their_own_and_the_shared_by_the_mean(tmp_path: Path) -> None:
    plain = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [0, 0, 0, 1]}}
    content, built = textured(materials=[BASE, plain])
    first = content["meshes"][0]["primitives"][0]
    upper, lower = built.array(np.array([0, 1, 2]), "B"), built.array(np.array([2, 1, 3]), "B")
    content["meshes"][0]["primitives"] = [
        first | {"indices": upper}, first | {"indices": lower, "material": 1},
    ]  # fmt: skip
    light = decode_srgb(EXPECTED) * torch.tensor([1, 0.5, 0.5, 0])[:, None]
    read = colours_read(tmp_path, content, built)
    torch.testing.assert_close(read, encode_srgb(light), atol=1e-5, rtol=0)


def test_a_vertex_without_a_place_is_grey_and_without_a_texture_keeps_its_own(tmp_path: Path) -> None:
    places = CENTRES.copy()
    places[1] = np.nan
    read = colours_read(tmp_path, *textured(places))
    expected = EXPECTED.clone()
    expected[1] = 0.5
    torch.testing.assert_close(read, expected)
    read = colours_read(tmp_path, *textured(material={}, colours=np.full((4, 3), 0.25)))
    torch.testing.assert_close(read, encode_srgb(torch.full((4, 3), 0.25)))
    assert colours_read(tmp_path, *textured(material={})) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": {"uri": "lost.png"}}, r"a\.glb names the texture lost\.png, which is missing: no colours"),
        ({"image": {"uri": "skin.ktx2"}}, r"a\.glb has a texture for GPUs alone \(KTX2\), which is not read"),
        ({"image": {"bufferView": 0, "mimeType": "image/ktx2"}}, r"a\.glb has a texture for GPUs alone"),
        ({"texture": {}}, r"a\.glb has a texture without a picture: no colours of it"),
        ({"places": None}, r"a\.glb has a texture, but for no corner a place in it: no colours of it"),
    ],
    ids=["missing", "KTX2 by name", "KTX2 by type", "no picture", "no places"],
)
def test_a_texture_that_cannot_be_used_is_said_once_and_the_mesh_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    content, built = textured(**changes)
    content["meshes"][0]["primitives"] *= 2
    with pytest.warns(UserWarning, match=said) as warned:
        assert colours_read(tmp_path, content, built) is None
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": {"bufferView": 0}}, r"the texture of .*a\.glb \(image 0\) cannot be read as a picture"),
        ({"image": {"bufferView": 99}}, r"a\.glb cannot be read as GLB: its description lacks or misstates"),
        ({"image": {}}, r"a\.glb cannot be read as GLB: its description lacks or misstates"),
        ({"image": {"uri": "data:image/png;base64,A"}}, r"a\.glb .* holds as data: is no base 64"),
        ({"texture": {"source": -1}}, r"a\.glb cannot be read as GLB: its description lacks or misstates"),
        ({"places": CENTRES[:3]}, r"a\.glb: its texture coordinates are not u, v for each vertex"),
        ({"material": transformed(scale=[1])}, r"a\.glb: the scale of its texture is not 2 numbers"),
        ({"material": transformed(offset=["a", 1])}, r"a\.glb: the offset of its texture is not 2 numbers"),
        (
            {"material": {"pbrMetallicRoughness": {**BASE["pbrMetallicRoughness"], "baseColorFactor": 1}}},
            r"a\.glb: the factor of its colours is not 3 numbers",
        ),
    ],
)  # fmt: skip
def test_a_damaged_texture_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        colours_read(tmp_path, *textured(**changes))
