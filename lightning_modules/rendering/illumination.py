"""Random light: two point lights some metres away, one colour temperature, even exposure."""

import math

import torch
from torch import Tensor

from .colour_temperature import INDOOR_KELVIN, OUTDOOR_KELVIN, luminance, source_colour
from .pose import Poses, between, head_rotations
from .ranges import SceneRanges
from .shading import Lights

LIGHT_COUNT = 2  # Genova et al. 2018, section 3.2.2
LIGHT_DRAWS = 4 * LIGHT_COUNT + 8  # uniform numbers that a scene's light takes


def _half_sphere(count: int) -> Tensor:
    """Unit vectors [count, 3] with z above 0, even over the disc that a viewer at +z sees of a sphere."""
    index = torch.arange(count, dtype=torch.float64)
    radius, angle = ((index + 0.5) / count).sqrt(), index * math.pi * (3 - math.sqrt(5))
    return torch.stack([radius * angle.cos(), radius * angle.sin(), (1 - radius.square()).sqrt()], dim=-1)


EXPOSURE_NORMALS = _half_sphere(64)


def lights_from_uniform(
    uniform: Tensor, poses: Poses, ranges: SceneRanges, *, target: Tensor | None = None
) -> Lights:
    """Lights within `ranges`, placed around the line from the head to the camera.

    Positions go with the camera and not with the head: a photographed face is lit on the side that is seen.
    All lights of an image have one colour, and intensities are scaled so that the seen half of a white sphere
    has the drawn exposure. No fall-off: at metres it is even over a face.

    Args:
        uniform: [..., LIGHT_DRAWS] in [0, 1].
        poses: of shape [...].
        ranges: to draw from.
        target: the point that the camera looks at, as in `pose.cameras_from_poses`.
    """
    placed, rest = uniform.split([4 * LIGHT_COUNT, LIGHT_DRAWS - 4 * LIGHT_COUNT], dim=-1)
    distance, azimuth, elevation, intensity = placed.unflatten(-1, (LIGHT_COUNT, 4)).unbind(dim=-1)
    azimuth = torch.deg2rad(between(ranges.light_azimuth_degrees, azimuth))
    elevation = torch.deg2rad(between(ranges.light_elevation_degrees, elevation))
    directions = torch.stack(
        [azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()], dim=-1
    )
    intensities = between(ranges.light_intensity, intensity)
    exposure = between(ranges.exposure, rest[..., 0])
    ambient = exposure * between(ranges.ambient_share, rest[..., 1])
    intensities = intensities * ((exposure - ambient) / seen_exposure(directions, intensities))[..., None]
    colour = colour_from_uniform(rest[..., 2:], ranges)
    positions = between(ranges.light_distance_mm, distance)[..., None] * (directions @ head_rotations(poses))
    if target is not None:
        positions = positions + target.to(positions)[..., None, :]
    return Lights(
        positions, colour[..., None, :].expand_as(positions), intensities, ambient[..., None] * colour
    )


def seen_exposure(directions: Tensor, intensities: Tensor) -> Tensor:
    """Mean light on the half of a white sphere that a viewer at +z sees, weighted by seen area, [...].

    Args:
        directions: [..., L, 3] to the lights, unit length.
        intensities: [..., L].
    """
    return ((directions @ EXPOSURE_NORMALS.to(directions).T).clamp(min=0).mean(dim=-1) * intensities).sum(
        dim=-1
    )


def colour_from_uniform(uniform: Tensor, ranges: SceneRanges) -> Tensor:
    """Linear sRGB at luminance 1 of one tabulated source, perturbed and white-balanced in part, [..., 3].

    Args:
        uniform: [..., 6] in [0, 1]: source, colour temperature, three tints, white balance.
        ranges: to draw from.
    """
    source, mired, *tints, balance = uniform.unbind(dim=-1)
    table = source.new_tensor([*INDOOR_KELVIN.values(), *OUTDOOR_KELVIN.values()])
    chosen = (source * len(table)).long().clamp(max=len(table) - 1)
    kelvin = 1e6 / (1e6 / table[chosen] + between(ranges.kelvin_perturbation_mired, mired))
    colour = source_colour(kelvin, is_daylight=chosen >= len(INDOOR_KELVIN))
    colour = colour ** (1 - between(ranges.white_balance, balance))[..., None]
    colour = colour * torch.exp(between(ranges.tint_perturbation, torch.stack(tints, dim=-1)))
    return colour / luminance(colour)[..., None]
