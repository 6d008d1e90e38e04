"""The sampling prior of albedo: a procedural skin, brows, beard, lips and eyes, painted per vertex.

Absorption follows Beer-Lambert in linear RGB: skin = base * exp(-melanin * a - haemoglobin * b). The
constants were chosen by looking at renderings; they are not measurements. Everything is drawn independently
of shape.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.faces.open_model.regions import Regions, smooth_step
from lightning_modules.rendering.colour import encode_srgb

SKIN_BASE = np.array([0.92, 0.80, 0.64])  # linear RGB without pigment
MELANIN_ABSORPTION = np.array([1.95, 2.6, 3.0])
HAEMOGLOBIN_ABSORPTION = np.array([0.16, 0.80, 0.58])
# The tone distribution. Broad on purpose: half of the samples are dark. Photograph collections are better
# matched by Beta(3.8, 10.6); narrowing this prior instead made dark-skinned people light.
MELANIN_OFFSET, MELANIN_SCALE, MELANIN_SHAPE = 0.11, 0.80, (1.5, 1.7)
HAEMOGLOBIN_MEAN, HAEMOGLOBIN_DEVIATION = 0.25, 0.08
FIELD_DEVIATION, FIELD_LENGTH_MM, FIELDS, FIELD_SEED = 0.05, 24.0, 48, 1806_06098

HAIR_DARK, HAIR_BROWN = np.array([0.010, 0.007, 0.005]), np.array([0.085, 0.042, 0.020])
HAIR_BLOND, HAIR_GREY = np.array([0.33, 0.20, 0.085]), np.array([0.34, 0.33, 0.31])
IRIS_COLOURS = np.array(
    [
        [0.030, 0.012, 0.006],
        [0.075, 0.032, 0.012],
        [0.110, 0.080, 0.030],
        [0.090, 0.150, 0.210],
        [0.160, 0.200, 0.220],
    ]
)  # dark brown, brown, hazel, blue, grey
SCLERA, MOUTH = np.array([0.66, 0.61, 0.57]), np.array([0.130, 0.035, 0.030])
# An iris of 12.3 mm on the mean face: the upper lid covers 2.4 mm of it, as of an eye at rest.
PUPIL_ANGLE, IRIS_ANGLE, SOFTNESS = 0.18, 0.46, 0.06  # radians on the eyeball
LASH_SHADE = 0.3  # lashes are darker than brows
BROW_FADE_MM = 5.0  # beyond the ends of the brow's centre line
BEARDED_SHARE = 0.4
OCCLUSION_STRENGTH, LEAST_SKY, LEAST_SKY_INSIDE = 0.75, 0.08, 0.5


class Appearances(NamedTuple):
    """What N people look like, apart from shape.

    Attributes:
        melanin, haemoglobin: [N] amounts.
        fields: [N, 2, W], weights of the smooth fields that modulate melanin and haemoglobin over the face.
        flush: [N, 5] extra haemoglobin at lips, cheeks, nose, ears and under the eyes.
        lip_melanin: [N].
        hair: [N, 3] linear colour of brows, lashes and beard.
        brow: [N, 5] height mm, half thickness mm, arch mm, density, length as a share.
        beard: [N] density, zero for most.
        lashes: [N] density.
        iris: [N, 3] linear colour.
    """

    melanin: NDArray[np.float64]
    haemoglobin: NDArray[np.float64]
    fields: NDArray[np.float64]
    flush: NDArray[np.float64]
    lip_melanin: NDArray[np.float64]
    hair: NDArray[np.float64]
    brow: NDArray[np.float64]
    beard: NDArray[np.float64]
    lashes: NDArray[np.float64]
    iris: NDArray[np.float64]


def draw_appearances(count: int, generator: np.random.Generator) -> Appearances:
    """Appearances of `count` people from the recipe's distributions."""
    tone = generator.beta(*MELANIN_SHAPE, size=count)
    normal = generator.normal
    flush_mean, flush_deviation = (
        np.array([0.62, 0.11, 0.03, 0.06, 0.10]),
        np.array([0.20, 0.08, 0.05, 0.06, 0.07]),
    )
    brow_mean, brow_deviation = np.array([-0.6, 3.6, 0.0, 0.84, 1.0]), np.array([1.3, 0.7, 0.9, 0.13, 0.05])
    brow = brow_mean + brow_deviation * normal(size=(count, 5))
    brow[:, 1], brow[:, 3] = np.clip(brow[:, 1], 1.6, 5.0), np.clip(brow[:, 3], 0.2, 0.97)
    bearded = generator.uniform(size=count) < BEARDED_SHARE
    return Appearances(
        melanin=MELANIN_OFFSET + MELANIN_SCALE * tone,
        haemoglobin=np.clip(normal(HAEMOGLOBIN_MEAN, HAEMOGLOBIN_DEVIATION, count), 0.05, None),
        fields=normal(0, FIELD_DEVIATION, (count, 2, FIELDS)),
        flush=np.clip(flush_mean + flush_deviation * normal(size=(count, 5)), 0, None),
        lip_melanin=np.clip(normal(0.05, 0.06, count), 0, None),
        hair=_hair_colours(tone, generator),
        brow=brow,
        beard=np.where(bearded, generator.uniform(0.1, 0.7, count), 0.0),
        lashes=generator.uniform(0.6, 1.0, count),
        iris=_iris_colours(tone, generator),
    )


def _hair_colours(tone: NDArray, generator: np.random.Generator) -> NDArray:
    """Darker with the skin; some of the light-skinned are blond, some of everyone are greying."""
    count = len(tone)
    lightness = np.clip(generator.beta(1.2, 2.4, count) * (1.15 - 1.3 * tone), 0, 1)[:, None]
    brown = HAIR_DARK + (HAIR_BROWN - HAIR_DARK) * np.minimum(2 * lightness, 1)
    colour = brown + (HAIR_BLOND - HAIR_BROWN) * np.maximum(2 * lightness - 1, 0)
    greying = np.where(generator.uniform(size=count) < 0.15, generator.uniform(0.2, 0.8, count), 0)[:, None]
    return colour + greying * (HAIR_GREY - colour)


def _iris_colours(tone: NDArray, generator: np.random.Generator) -> NDArray:
    """Weakly tied to tone: blue, grey and hazel grow rarer as the skin grows darker."""
    light_eyed = generator.uniform(size=len(tone)) < np.clip(0.95 - 1.5 * tone, 0.02, 1)
    dark_choice, light_choice = generator.integers(0, 2, len(tone)), generator.integers(2, 5, len(tone))
    colour = IRIS_COLOURS[np.where(light_eyed, light_choice, dark_choice)]
    return colour * generator.lognormal(0, 0.2, (len(tone), 1))


class Painter:
    """Paints people on the mean face: what they share is worked out once.

    Args:
        regions: of the mean face.
    """

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._skin_areas = np.stack(
            [regions.lips, regions.cheeks, regions.nose, regions.ears, regions.under_eyes], 1
        )
        self._always_red = regions.caruncle + 0.5 * regions.eye_cavity
        self._fields = _smooth_fields(regions.positions)
        # What is hidden on the mean face may show on others, and black would shine (see `specular_colour`).
        inside = regions.eyeball | regions.mouth_cavity | (regions.lips > 0)
        least = np.where(inside, LEAST_SKY_INSIDE, LEAST_SKY)
        self._occlusion = (np.maximum(regions.sky, least)[:, None] ** OCCLUSION_STRENGTH).astype(np.float32)
        lash = smooth_step(-regions.lash_distance, -2.6, -0.8) * (0.35 + 0.65 * regions.upper_lid)
        self._lash = _Patch.where(lash > 0, lash)
        self._beard = _Patch.where(regions.beard > 0, 0.8 * regions.beard)
        near_brow = regions.skin & (regions.brow_distance < BROW_FADE_MM) & (np.abs(regions.brow_across) < 20)
        self._brow = _Patch.where(
            near_brow, np.stack([regions.brow_along, regions.brow_across, regions.brow_distance], 1)
        )
        self._eyes = _Patch.where(regions.eyeball, regions.gaze_angle)

    def paint(self, people: Appearances) -> NDArray[np.float32]:
        """Albedo of N people, [N, V, 3] sRGB-encoded in [0, 1]."""
        albedo = np.empty((len(people.melanin), len(self._regions.positions), 3), dtype=np.float32)
        for index, values in enumerate(zip(*people, strict=True)):
            albedo[index] = self._linear(Appearances(*values)) * self._occlusion
        return encode_srgb(torch.from_numpy(albedo)).numpy()

    def _linear(self, person: Appearances) -> NDArray[np.float32]:
        colour = self._skin(person)
        self._lash.blend(colour, LASH_SHADE * person.hair, person.lashes * self._lash.values)
        self._brow.blend(colour, person.hair, _brow_cover(person.brow, *self._brow.values.T))
        if person.beard > 0:
            self._beard.blend(colour, person.hair, person.beard * self._beard.values)
        colour[self._eyes.vertices] = _eye_colours(person.iris, self._eyes.values)
        colour[self._regions.mouth_cavity] = MOUTH
        return colour

    def _skin(self, person: Appearances) -> NDArray[np.float32]:
        melanin_field, haemoglobin_field = (self._fields @ person.fields.T).T
        melanin = person.melanin * (1 + melanin_field) + person.lip_melanin * self._regions.lips
        haemoglobin = person.haemoglobin * (1 + 2 * haemoglobin_field) + self._always_red
        haemoglobin = haemoglobin + self._skin_areas @ person.flush
        absorbed = np.outer(melanin, MELANIN_ABSORPTION) + np.outer(haemoglobin, HAEMOGLOBIN_ABSORPTION)
        return np.exp(-absorbed.astype(np.float32)) * SKIN_BASE.astype(np.float32)


class _Patch(NamedTuple):
    """Vertices [P] that a feature touches, and what is known of them there."""

    vertices: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def where(cls, mask: NDArray[np.bool_], values: NDArray[np.float64]) -> Self:
        return cls(np.flatnonzero(mask), values[mask])

    def blend(self, colour: NDArray, towards: NDArray, cover: NDArray) -> None:
        below = colour[self.vertices]
        colour[self.vertices] = below + cover[:, None] * (towards - below)


def _smooth_fields(positions: NDArray) -> NDArray[np.float64]:
    """[V, W] smooth functions of unit variance, the same for everyone, symmetric as f(x) + f(-x).

    Their normal mixtures approximate a Gaussian process; |x| instead would leave a seam on the midline.
    """
    generator = np.random.default_rng(FIELD_SEED)
    vectors = generator.normal(0, 1 / FIELD_LENGTH_MM, (FIELDS, 3))
    phases = generator.uniform(0, 2 * np.pi, FIELDS)
    in_plane, sideways = (
        positions[:, 1:] @ vectors[:, 1:].T + phases,
        np.outer(positions[:, 0], vectors[:, 0]),
    )
    return 2 * np.cos(in_plane) * np.cos(sideways) / np.sqrt(FIELDS)  # cos(p + s) + cos(p - s)


def _brow_cover(brow: NDArray, along: NDArray, across: NDArray, beyond: NDArray) -> NDArray:
    height, half_thickness, arch, density, length = brow
    along = along / length
    centre = height + arch * np.sin(np.pi * np.clip(along, 0, 1))
    tail = smooth_step(along, 0.45, 1.0)
    half = half_thickness * (1 - 0.65 * tail)
    inner = 0.45 + 0.55 * smooth_step(along, 0.0, 0.3)  # hairs stand thinner at the inner end
    soft = 1 - smooth_step(np.abs(across - centre) - half, -2.0, 2.0)
    return density * soft * inner * (1 - smooth_step(beyond, 0.0, BROW_FADE_MM))


def _eye_colours(iris: NDArray, angle: NDArray) -> NDArray:
    limbus = 1 - 0.5 * smooth_step(angle, IRIS_ANGLE - 0.14, IRIS_ANGLE)
    open_pupil = smooth_step(angle, PUPIL_ANGLE - SOFTNESS, PUPIL_ANGLE + SOFTNESS)
    white = smooth_step(angle, IRIS_ANGLE - SOFTNESS, IRIS_ANGLE + SOFTNESS)[:, None]
    coloured = np.outer(limbus * open_pupil, iris)
    return coloured + white * (SCLERA - coloured)
