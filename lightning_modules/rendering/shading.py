"""Phong reflection of point lights, in linear light.

Genova et al. 2018, section 3.2.2, after Phong 1975. The renderer that the paper published normalises
highlights across an image; this one follows the equation.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .colour import clamp_with_gradient, decode_srgb

# The paper's c in: specular = c - c * diffuse, "hand-picked", value not stated; skin looks right here.
SPECULAR_CONSTANT = 0.15
SHININESS = 12.0


class Lights(NamedTuple):
    """Point lights and ambient light of each view; leading dimensions are the caller's, usually [B, N]."""

    positions: Tensor  # [..., L, 3] world, mm
    colours: Tensor  # [..., L, 3] linear RGB
    intensities: Tensor  # [..., L], of a white surface that faces the light: 1 gives white
    ambient: Tensor  # [..., 3] linear RGB, light from everywhere
    # [..., L] mm, at which the intensity holds, falling off with the inverse square; None: no fall-off.
    reference_distances: Tensor | None = None

    def changed(self, change: Callable[[Tensor], Tensor]) -> "Lights":
        """The lights with every part changed alike."""
        distances = self.reference_distances
        return Lights(
            change(self.positions),
            change(self.colours),
            change(self.intensities),
            change(self.ambient),
            None if distances is None else change(distances),
        )


class Material(NamedTuple):
    """What the mesh is made of, besides its albedo."""

    specular_constant: float = SPECULAR_CONSTANT  # 0 to 1
    shininess: float = SHININESS  # Phong's exponent, above zero


def specular_colour(diffuse: Tensor, constant: float) -> Tensor:
    """Specular colour from diffuse colour, the heuristic for a model without one: c - c * diffuse."""
    return constant - constant * diffuse


def phong(
    positions: Tensor, normals: Tensor, albedo: Tensor, eyes: Tensor, lights: Lights, material: Material
) -> Tensor:
    """Linear light that reaches the eye from each surface point, [P, 3], not clamped.

    ambient * diffuse + sum over lights of irradiance * (diffuse * n.l + specular * (r.v)^shininess), the
    products n.l and r.v cut at zero and a light behind the surface giving nothing; r is l mirrored in n.

    Args:
        positions: [P, 3] world, mm.
        normals: [P, 3] world, of any length.
        albedo: [P, 3] sRGB-encoded, clamped to [0, 1] here with the gradient passed through.
        eyes: [P, 3] the camera's position, world, mm.
        lights: of shape [P].
        material: specular constant and shininess.
    """
    diffuse = decode_srgb(clamp_with_gradient(albedo))
    normals = torch.nn.functional.normalize(normals, dim=-1)
    to_eye = torch.nn.functional.normalize(eyes - positions, dim=-1)
    to_light = lights.positions - positions[:, None]  # [P, L, 3]
    distances = to_light.norm(dim=-1)
    to_light = to_light / distances[..., None]
    irradiance = lights.colours * lights.intensities[..., None]
    if lights.reference_distances is not None:
        irradiance = irradiance * (lights.reference_distances / distances).square()[..., None]
    facing = (normals[:, None] * to_light).sum(dim=-1)  # n.l, [P, L]
    mirrored = 2 * facing * (normals * to_eye).sum(dim=-1)[:, None] - (to_light * to_eye[:, None]).sum(dim=-1)
    lit = facing > 0
    glossy = lit & (mirrored > 0)
    highlight = torch.where(glossy, mirrored.where(glossy, 1.0) ** material.shininess, 0.0)
    diffuse_light = lights.ambient + (irradiance * facing.where(lit, 0.0)[..., None]).sum(dim=1)
    specular_light = (irradiance * highlight[..., None]).sum(dim=1)
    return diffuse * diffuse_light + specular_colour(diffuse, material.specular_constant) * specular_light
