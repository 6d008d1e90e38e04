"""One stand-in photograph: a person of the morphable model in a scene that training never draws."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from lightning_modules.faces.morphable_model import Coefficients, Faces, MorphableModel
from lightning_modules.rendering.camera import Cameras, project
from lightning_modules.rendering.colour_temperature import luminance, source_colour
from lightning_modules.rendering.illumination import seen_exposure
from lightning_modules.rendering.pose import Poses, cameras_from_poses, head_rotations
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.shading import Lights, Material

from .camera import photographed
from .painting import Anchors, paint_background, paint_occluders
from .ranges import StandInRanges

DRAWN_PIXELS = 288  # side of what is rendered, before the camera reduces it
# Hair, sRGB; a person's is one of these, made darker or lighter.
HAIR_COLOURS = (
    (0.08, 0.06, 0.05),
    (0.2, 0.13, 0.09),
    (0.35, 0.22, 0.13),
    (0.68, 0.53, 0.33),
    (0.6, 0.6, 0.58),
)
# Where the anchors lie in a mean face without landmarks, as parts of its extent in x (from the middle), y and
# z (from the front): as in the open model.
PARTS_OF_EXTENT = {
    "eye": (0.19, 0.6, 0.22),
    "bridge": (0.0, 0.6, 0.13),
    "mouth": (0.0, 0.22, 0.12),
    "chin": (0.0, 0.08, 0.25),
    "temple": (0.41, 0.6, 0.55),
}


class Person(NamedTuple):
    """Who is photographed.

    Attributes:
        coefficients: of the neutral face; its expression is not used.
        hair: `bald`, `short` or `long`, or `cap`.
        hair_colour: [3], sRGB.
    """

    coefficients: Coefficients
    hair: str
    hair_colour: np.ndarray


def draw_person(model: MorphableModel, seed: int, ranges: StandInRanges) -> Person:
    """The person of this seed, whose face comes from the model's prior."""
    chance = np.random.default_rng(seed)
    face = model.sample(1, torch.Generator().manual_seed(seed))
    choice = chance.uniform()
    if choice < ranges.hair_share:
        hair = "long" if chance.uniform() < 0.5 else "short"
        colour = np.array(HAIR_COLOURS[chance.integers(len(HAIR_COLOURS))]) * chance.uniform(0.7, 1.2)
    else:
        hair = "cap" if choice < ranges.hair_share + ranges.cap_share else "bald"
        colour = chance.uniform(0.05, 0.8, 3)
    return Person(face, hair, colour)


class RenderedPhotograph(NamedTuple):
    """What a camera gives.

    Attributes:
        pixels: [H, W, 3], RGB, 8 bits.
        jpeg_quality: to write it with.
    """

    pixels: np.ndarray
    jpeg_quality: int


@torch.no_grad()
def draw_photographs(
    model: MorphableModel,
    people: Sequence[Person],
    seeds: Sequence[int],
    ranges: StandInRanges,
    *,
    backend: str | None = None,
) -> list[RenderedPhotograph]:
    """One photograph of each person, everything but the person drawn from its seed."""
    chances = [np.random.default_rng(seed) for seed in seeds]
    expressions = torch.cat([draw_expression(model, chance, ranges) for chance in chances])
    faces = model(
        torch.cat([person.coefficients.shape for person in people]),
        torch.cat([person.coefficients.albedo for person in people]),
        expressions,
    )
    return photographs_of_faces(model, faces, people, chances, ranges, backend=backend)


@torch.no_grad()
def photographs_of_faces(
    model: MorphableModel,
    faces: Faces,
    people: Sequence[Person],
    chances: Sequence[np.random.Generator],
    ranges: StandInRanges,
    *,
    backend: str | None = None,
) -> list[RenderedPhotograph]:
    """One photograph of each of these faces [B, V, 3], which need not be the model's, only of its topology.

    Args:
        model: gives topology and landmarks.
        faces: with their expressions.
        people: whose hair is drawn; their coefficients are not used.
        chances: to draw everything else from, one for each face.
        ranges: what is drawn from.
        backend: of the rasterizer.
    """
    points = anchor_points(model, faces.vertices)
    normals = model.normals(faces.vertices)
    heads = [
        dressed(Faces(*(part[i] for part in faces)), normals[i], points[i], people[i], chances[i])
        for i in range(len(people))
    ]
    faces = Faces(*(torch.stack(part) for part in zip(*heads, strict=True)))
    normals = model.normals(faces.vertices)
    return [
        _photograph(
            model, Faces(*(part[i : i + 1] for part in faces)), normals[i : i + 1], points[i : i + 1],
            people[i], chances[i], ranges, backend,
        )
        for i in range(len(people))
    ]  # fmt: skip


def _photograph(
    model: MorphableModel, face: Faces, normals: Tensor, points: Tensor, person: Person,
    chance: np.random.Generator, ranges: StandInRanges, backend: str | None,
) -> RenderedPhotograph:  # fmt: skip
    target = 0.7 * points[:, None, :3].mean(2) + 0.3 * points[:, None, 4]  # the middle of the face
    poses = draw_poses(chance, ranges, like=target)
    size = (DRAWN_PIXELS, DRAWN_PIXELS)
    cameras = placed(cameras_from_poses(poses, size, target=target), chance, ranges)
    anchors = Anchors(*project(cameras, points)[0, 0, :, :2].double().cpu().numpy())
    skin = face.albedo[0].mean(0).clamp(0, 1).cpu().numpy()
    background = paint_background(
        chance, DRAWN_PIXELS, anchors, skin, person.hair_colour if person.hair == "long" else None
    )
    image = render(
        face.vertices,
        model.triangles,
        normals,
        face.albedo,
        cameras,
        draw_lights(chance, poses, ranges, target=target),
        size,
        material=Material(chance.uniform(*ranges.specular_constant), chance.uniform(*ranges.shininess)),
        background=torch.from_numpy(background).permute(2, 0, 1).to(face.vertices),
        samples_per_axis=2,
        backend=backend,
    )
    picture = image[0, 0].permute(1, 2, 0).float().cpu().numpy()
    picture = paint_occluders(chance, picture, anchors, skin, ranges)
    return RenderedPhotograph(*photographed(chance, picture, ranges))


def draw_expression(model: MorphableModel, chance: np.random.Generator, ranges: StandInRanges) -> Tensor:
    """Expression coefficients [1, Ke], most of them zero."""
    count = model.expression_variance.numel()
    active = chance.uniform(size=(1, count)) < ranges.expression_share
    values = np.where(active, chance.normal(0, ranges.expression_deviations, (1, count)), 0)
    return torch.from_numpy(values).to(model.shape_mean)


def anchor_points(model: MorphableModel, vertices: Tensor) -> Tensor:
    """Points [B, 8, 3] of heads, in the order of `Anchors`; rough ones where the model has no landmarks."""
    mean = model.neutral_mean.view(-1, 3)
    low, high = mean.amin(0), mean.amax(0)
    if model.no_landmarks:
        points = torch.stack([_in_extent(low, high, name, side) for name, side in _PLACES])
        points = points.expand(len(vertices), -1, -1)
    else:
        marks = model.landmarks.on(vertices)
        eyes = [marks[:, 36:42].mean(1), marks[:, 42:48].mean(1)]
        points = torch.stack(
            [*eyes, marks[:, 27], marks[:, [48, 54]].mean(1), marks[:, 8], marks[:, 0], marks[:, 16]], 1
        )
    crown = vertices.gather(1, vertices[..., 1].argmax(1)[:, None, None].expand(-1, 1, 3))
    return torch.cat([points, crown], 1)


_PLACES = (
    *(("eye", -1), ("eye", 1), ("bridge", 0), ("mouth", 0), ("chin", 0)),
    *(("temple", -1), ("temple", 1)),
)


def _in_extent(low: Tensor, high: Tensor, name: str, side: int) -> Tensor:
    across, up, back = PARTS_OF_EXTENT[name]
    parts = low.new_tensor([0.5 + side * across, up, 1 - back])
    return low + parts * (high - low)


def dressed(
    face: Faces, normals: Tensor, points: Tensor, person: Person, chance: np.random.Generator
) -> Faces:
    """A head with its hair or cap: the scalp raised and coloured.

    Args:
        face: vertices and albedo, [V, 3].
        normals: [V, 3].
        points: [8, 3], the head's anchors.
        person: whose hair it is.
        chance: to draw from.
    """
    if person.hair == "bald":
        return face
    device, is_cap = face.vertices.device, person.hair == "cap"
    across, up, front = face.vertices.double().cpu().numpy().T
    bridge, crown = points[2].tolist(), points[7].tolist()
    height = (up - bridge[1]) / max(crown[1] - bridge[1], 1)
    depth = ((bridge[2] - front) / max(bridge[2] - front.min(), 1)).clip(0)
    # The line runs down to the neck behind; a cap's stays level.
    height = height + (0.1 if is_cap else 0.9) * depth
    for _ in range(3):
        height = height + chance.uniform(0, 0.03) * np.sin(
            across / chance.uniform(8, 30) + chance.uniform(0, 6)
        )
    covered = expit((height - chance.uniform(0.62, 0.8)) / 0.02)
    thickness = chance.uniform(4, 8) if is_cap else chance.uniform(5, 18)
    grain = chance.normal(1, 0.03 if is_cap else 0.15, len(up))
    colour = torch.from_numpy(grain[:, None] * person.hair_colour).to(face.albedo)
    covered = torch.from_numpy(covered[:, None]).to(device, face.vertices.dtype)
    return Faces(
        face.vertices + thickness * covered * normals, face.albedo + covered * (colour - face.albedo)
    )


def draw_poses(chance: np.random.Generator, ranges: StandInRanges, *, like: Tensor) -> Poses:
    """A pose of shape [1, 1], normal around the frontal one."""
    near = chance.uniform() < ranges.near_share
    angles = (
        deviation * float(np.clip(chance.normal(), -2.5, 2.5))
        for deviation in (
            ranges.yaw_deviation_degrees,
            ranges.pitch_deviation_degrees,
            ranges.roll_deviation_degrees,
        )
    )
    distance = chance.uniform(*(ranges.near_distance_mm if near else ranges.far_distance_mm))
    numbers = (*angles, distance, chance.uniform(*ranges.frame_height_mm))
    return Poses(*(like.new_full((1, 1), number) for number in numbers))


def placed(cameras: Cameras, chance: np.random.Generator, ranges: StandInRanges) -> Cameras:
    """The cameras with the face away from the picture's middle."""
    shift = DRAWN_PIXELS * chance.uniform(*ranges.placement, 2)
    centres = cameras.principal_points
    return cameras._replace(principal_points=centres + torch.from_numpy(shift).to(centres))


def draw_lights(
    chance: np.random.Generator, poses: Poses, ranges: StandInRanges, *, target: Tensor
) -> Lights:
    """Lights [1, 1, L] of several colours near the face, the first of them before it."""
    count = int(chance.integers(ranges.light_count[0], ranges.light_count[1] + 1))
    azimuth = chance.uniform(*ranges.light_azimuth_degrees, count)
    azimuth[0] *= 0.4  # the key light: without one before it the face would be a silhouette
    elevation = np.radians(chance.uniform(*ranges.light_elevation_degrees, count))
    azimuth = np.radians(azimuth)
    unit = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    directions = torch.from_numpy(np.stack(unit, -1)).to(target)
    intensities = torch.from_numpy(chance.uniform(*ranges.light_intensity, count)).to(target)
    intensities[0] = ranges.light_intensity[1]
    distances = torch.from_numpy(chance.uniform(*ranges.light_distance_mm, count)).to(target)
    exposure = chance.uniform(*ranges.exposure)
    ambient = exposure * chance.uniform(*ranges.ambient_share)
    intensities = intensities * ((exposure - ambient) / seen_exposure(directions, intensities))
    colours = _light_colours(chance, count, ranges).to(target)
    positions = distances[:, None] * (directions @ head_rotations(poses)[0, 0]) + target[0, 0]
    around = ambient * (colours * intensities[:, None]).sum(0) / intensities.sum()
    return Lights(
        positions[None, None],
        colours[None, None],
        intensities[None, None],
        around[None, None],
        distances[None, None],
    )


def _light_colours(chance: np.random.Generator, count: int, ranges: StandInRanges) -> Tensor:
    """Linear sRGB [L, 3] at luminance 1."""
    low, high = (1e6 / kelvin for kelvin in ranges.kelvin)
    kelvin = torch.from_numpy(1e6 / chance.uniform(high, low, count))
    colour = source_colour(kelvin, is_daylight=kelvin > 5000)
    colour = colour ** (1 - chance.uniform(*ranges.white_balance))
    return colour / luminance(colour)[..., None]
