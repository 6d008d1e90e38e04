"""Colours that the textures of a binary glTF file give to its vertices."""

import io
import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.faces.mesh_files.gltf_arrays import (
    Gltf,
    array_of,
    bytes_of_view,
    entry_of,
    written_out,
)
from lightning_modules.faces.mesh_files.material_files import named_texture
from lightning_modules.faces.mesh_files.texture_pictures import TexturePicture, read_picture, sampled
from lightning_modules.rendering.colour import decode_srgb

_SPECULAR = "KHR_materials_pbrSpecularGlossiness"  # of older files
_TRANSFORM = "KHR_texture_transform"
_CLAMPED, _MIRRORED, _REPEATED = 33071, 33648, 10497  # what a sampler does beyond a picture's border
# Pictures for GPUs, which no reader of photographs knows.
_FOR_GPUS = ("image/ktx2", ".ktx2", ".basis")


class _Look(NamedTuple):
    """What a material says of colour: a texture, if it has one, and the factor [3] of linear colours."""

    texture: dict[str, Any] | None
    factor: NDArray


class GlbTextures:
    """The textures of one file; each picture is opened once, and what cannot be used is warned of once.

    Args:
        gltf: the file.
    """

    def __init__(self, gltf: Gltf) -> None:
        self.gltf = gltf
        self._pictures: dict[int, TexturePicture | None] = {}
        self._warned: set[str] = set()

    def colours(self, primitive: dict[str, Any], count: int) -> NDArray | None:
        """Linear colours [V, 3] of a primitive's vertices, NaN where one has no place in the texture.

        The texture times the material's factor: base colour, or the diffuse colour of older files.

        Args:
            primitive: as the file describes it.
            count: V.

        Returns:
            None if it has no texture, or one that cannot be used.

        Raises:
            ValueError: naming the file, if its picture is damaged or its places are none.
        """
        look = self._look(primitive)
        if look.texture is None:
            return None
        texture = entry_of(self.gltf, "textures", look.texture["index"])
        picture = self._picture(texture)
        if picture is None:
            return None
        places = self._places(look.texture, primitive["attributes"], count)
        if places is None:
            self._warn("has a texture, but for no corner a place in it: no colours of it")
            return None
        colours = np.full((count, 3), np.nan, np.float32)
        usable = np.isfinite(places).all(1)
        sampler = texture.get("sampler")
        wrapping = {} if sampler is None else entry_of(self.gltf, "samplers", sampler)
        height, width, _ = picture.pixels.shape
        within = np.stack(
            [
                _wrapped(places[usable, 0], width, wrapping.get("wrapS", _REPEATED)),
                _wrapped(places[usable, 1], height, wrapping.get("wrapT", _REPEATED)),
            ],
            axis=1,
        )
        upwards = within * (1, -1) + (0, 1)
        encoded = torch.from_numpy(sampled(picture, upwards).astype(np.float32))
        colours[usable] = decode_srgb(encoded).numpy() * look.factor
        return colours

    def _look(self, primitive: dict[str, Any]) -> _Look:
        """What the primitive's material says; nothing where it has none."""
        number = primitive.get("material")
        material = {} if number is None else entry_of(self.gltf, "materials", number)
        surface = material.get("pbrMetallicRoughness") or {}
        older = (material.get("extensions") or {}).get(_SPECULAR) or {}
        texture, factor = surface.get("baseColorTexture"), surface.get("baseColorFactor")
        if texture is None:
            texture, factor = older.get("diffuseTexture"), older.get("diffuseFactor")
        return _Look(texture, self._numbers(factor, (1, 1, 1), "factor of its colours"))

    def _places(self, texture: dict[str, Any], attributes: dict[str, int], count: int) -> NDArray | None:
        """Where in the texture vertices lie, [V, 2] with v downwards; None if the file does not say."""
        moved = (texture.get("extensions") or {}).get(_TRANSFORM) or {}
        name = f"TEXCOORD_{moved.get('texCoord', texture.get('texCoord', 0))}"
        if name not in attributes:
            return None
        places = array_of(self.gltf, attributes[name]).astype(np.float64)
        if places.shape != (count, 2):
            raise ValueError(
                f"{self.gltf.path}: its texture coordinates are not u, v for each vertex; export it again"
            )
        # Counter-clockwise where v points downwards, as the extension's example has it.
        cosine, sine = math.cos(moved.get("rotation", 0)), math.sin(moved.get("rotation", 0))
        scale = self._numbers(moved.get("scale"), (1, 1), "scale of its texture")
        offset = self._numbers(moved.get("offset"), (0, 0), "offset of its texture")
        with np.errstate(all="ignore"):
            return places * scale @ np.array([[cosine, -sine], [sine, cosine]]) + offset

    def _numbers(self, given: object, usual: tuple[int, ...], what: str) -> NDArray:
        """As many numbers as usual; what a colour has beyond them is its opacity."""
        try:
            numbers = np.array(usual if given is None else given, np.float64)[: len(usual)]
            if np.isfinite(numbers).all() and numbers.shape == (len(usual),):
                return numbers
        except (TypeError, ValueError, IndexError):
            pass
        raise ValueError(f"{self.gltf.path}: the {what} is not {len(usual)} numbers; export it again")

    def _picture(self, texture: dict[str, Any]) -> TexturePicture | None:
        """A texture's picture; None where it is missing or of a kind that is not read."""
        others = [each.get("source") for each in (texture.get("extensions") or {}).values()]
        sources = [number for number in (texture.get("source"), *others) if number is not None]
        if not sources:
            self._warn("has a texture without a picture: no colours of it")
            return None
        if sources[0] not in self._pictures:
            self._pictures[sources[0]] = self._read(sources[0])
        return self._pictures[sources[0]]

    def _read(self, number: int) -> TexturePicture | None:
        """A picture of the file's list, or of a file that it names."""
        image = entry_of(self.gltf, "images", number)
        address, what = image.get("uri"), f"of {self.gltf.path} (image {number})"
        if str(image.get("mimeType", address)).lower().endswith(_FOR_GPUS):
            self._warn("has a texture for GPUs alone (KTX2), which is not read: no colours of it")
            return None
        if "bufferView" in image:
            return read_picture(io.BytesIO(bytes_of_view(self.gltf, image["bufferView"])), what)
        if address is None:
            raise KeyError("uri")
        if address.startswith("data:"):
            return read_picture(io.BytesIO(written_out(self.gltf, address)), what)
        file = named_texture(self.gltf.path.parent, address)
        if file is None:
            self._warn(f"names the texture {address}, which is missing: no colours of it")
            return None
        return read_picture(file)

    def _warn(self, what: str) -> None:
        """Warn of the file, once of each thing."""
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(f"{self.gltf.path} {what}", stacklevel=7)


def _wrapped(places: NDArray, pixels: int, how: int) -> NDArray:
    """Places [N] along one side of a picture, by what lies beyond it; repeated ones stay as they are."""
    if how == _MIRRORED:
        places = 1 - np.abs(places % 2 - 1)
    elif how != _CLAMPED:
        return places
    half = 0.5 / pixels
    return places.clip(half, 1 - half)
