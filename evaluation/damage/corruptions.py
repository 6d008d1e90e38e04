"""Controlled damage to photographs of faces, in kinds of five strengths each.

Genova et al. 2018, section 4.5, shows such photographs and states no number. All kinds work on a face in its
context: upright, 54 pixels between the eyes, with a margin around the canonical frame, so that damage means
the same for every photograph and a turned face stays inside. What a kind draws at random is the same for all
its strengths: a stronger one covers what a weaker one covers.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch

from lightning_modules.recognition.frame import CANONICAL_POINTS, CHEEKS, WHOLE_FRAME
from lightning_modules.rendering.colour import decode_srgb, encode_srgb

Group = Literal["occlusion", "image quality", "light and colour", "turned", "filtered"]
Chance = np.random.Generator
STRENGTHS = 5
# Pixels around the canonical frame: 320 in all, YuNet's smaller size, and half the frame's diagonal fits.
MARGIN = 48.0
CONTEXT = WHOLE_FRAME._replace(
    size=int(WHOLE_FRAME.size + 2 * MARGIN),
    left=WHOLE_FRAME.left - MARGIN,
    top=WHOLE_FRAME.top - MARGIN,
    right=WHOLE_FRAME.right + MARGIN,
    bottom=WHOLE_FRAME.bottom + MARGIN,
)
POINTS = CONTEXT.to_crop(CANONICAL_POINTS)
CENTRE = POINTS.mean(0)
EYES, EYE_DISTANCE = POINTS[:2].mean(0), float(np.hypot(*(POINTS[1] - POINTS[0])))
# The face without hair, about: left, top, right, bottom. The chin lies at its lower edge.
FACE_BOX = (CENTRE[0] - 58, EYES[1] - 45, CENTRE[0] + 58, EYES[1] + 102)
PATCH_COLUMNS, PATCH_ROWS = 8, 10


class Corruption(NamedTuple):
    """A kind of damage.

    Attributes:
        name: for tables.
        group: what is shown together.
        levels: [5], by strength.
        unit: what a level means.
        apply: image [S, S, 3] in 8 bits, level, chance -> image.
        mixed: whether a level is a share of the way to what `apply` makes at level 1.
    """

    name: str
    group: Group
    levels: tuple[float, ...]
    unit: str
    apply: Callable[[np.ndarray, float, Chance], np.ndarray]
    mixed: bool = False

    def at_all_strengths(self, image: np.ndarray, seed: Sequence[int]) -> list[np.ndarray]:
        """The image damaged at strengths 1 to 5; the seed draws the same for each."""
        if not self.mixed:
            return [self.apply(image, level, np.random.default_rng(seed)) for level in self.levels]
        towards = self.apply(image, 1.0, np.random.default_rng(seed)).astype(np.float32) - image
        return [_in_8_bits(image + level * towards) for level in self.levels]

    def written(self, strength: int) -> str:
        """Kind, strength and what it means."""
        return f"{self.name} {strength} ({self.levels[strength - 1]:g} {self.unit})"


# ---------------------------------------------------------------------- occlusion


def cover_by_patches(image: np.ndarray, share: float, chance: Chance) -> np.ndarray:
    """A share of the cells of a grid over the face in random colours."""
    order = chance.permutation(PATCH_COLUMNS * PATCH_ROWS)
    colours = chance.integers(0, 256, (len(order), 3))
    left, top, right, bottom = FACE_BOX
    xs, ys = np.linspace(left, right, PATCH_COLUMNS + 1), np.linspace(top, bottom, PATCH_ROWS + 1)
    covered = image.copy()
    for cell in order[: round(share * len(order))]:
        row, column = divmod(int(cell), PATCH_COLUMNS)
        x, y = (edges[place : place + 2].round().astype(int) for edges, place in ((xs, column), (ys, row)))
        covered[y[0] : y[1], x[0] : x[1]] = colours[cell]
    return covered


def cover_by_a_hand(image: np.ndarray, reach: float, chance: Chance) -> np.ndarray:
    """A hand-like blob in the skin's colour that reaches up from below the chin, in eye distances."""
    tilt, aside = np.radians(chance.uniform(-25, 25)), chance.uniform(-0.4, 0.4)
    tip = np.array([CENTRE[0] + aside * EYE_DISTANCE, FACE_BOX[3] - reach * EYE_DISTANCE])
    down, across = np.array([np.sin(tilt), np.cos(tilt)]), np.array([np.cos(tilt), -np.sin(tilt)])

    def at(x: float, y: float) -> tuple[int, int]:
        place = tip + EYE_DISTANCE * (x * across + y * down)
        return tuple(place.round().astype(int).tolist())

    def line(start: tuple[int, int], end: tuple[int, int], width: float) -> np.ndarray:
        mask = np.zeros(image.shape[:2], np.uint8)
        return cv2.line(mask, start, end, 255, round(width * EYE_DISTANCE), cv2.LINE_AA)

    skin, covered = _cheek_colour(image), image.copy()
    covered = _blend(covered, line(at(0, 2.4), at(0, 9.0), 0.95), 0.75 * skin)  # the arm
    for number, (x, start) in enumerate(((-0.6, 0.4), (-0.2, 0.2), (0.2, 0.16), (0.6, 0.3))):
        covered = _blend(covered, line(at(x, start), at(0.75 * x, 1.8), 0.32), skin * (0.72 + 0.07 * number))
    palm = np.zeros(image.shape[:2], np.uint8)
    axes = (round(0.66 * EYE_DISTANCE), round(0.8 * EYE_DISTANCE))
    cv2.ellipse(palm, at(0, 2.1), axes, -np.degrees(tilt), 0, 360, 255, -1, cv2.LINE_AA)
    return _blend(covered, palm, 0.82 * skin)


def cover_by_a_bar(image: np.ndarray, height: float, chance: Chance) -> np.ndarray:
    """A dark bar over both eyes, as sunglasses are; its height in eye distances."""
    mask = np.zeros(image.shape[:2], np.uint8)
    half = round(0.5 * height * EYE_DISTANCE)
    left, right = (round(EYES[0] + side * 0.98 * EYE_DISTANCE) for side in (-1, 1))
    top, bottom = (round(EYES[1]) + side * half for side in (-1, 1))
    cv2.rectangle(mask, (left, top), (right, bottom), 255, -1)
    return _blend(image, mask, np.full(3, 22.0))


# ---------------------------------------------------------------------- image quality


def blur(image: np.ndarray, sigma: float, chance: Chance) -> np.ndarray:
    """Gaussian, sigma in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def reduce_size(image: np.ndarray, eye_distance: float, chance: Chance) -> np.ndarray:
    """Reduced until so many pixels lie between the eyes, and enlarged again."""
    side = max(1, round(len(image) * eye_distance / EYE_DISTANCE))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def compress(image: np.ndarray, quality: float, chance: Chance) -> np.ndarray:
    """JPEG of this quality."""
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[:, :, ::-1])


def add_noise(image: np.ndarray, sigma: float, chance: Chance) -> np.ndarray:
    """Gaussian, independent in each pixel and channel, sigma in levels of 255."""
    return _in_8_bits(image + sigma * chance.normal(size=image.shape))


# ---------------------------------------------------------------------- light and colour


def cast_colour(image: np.ndarray, amount: float, chance: Chance) -> np.ndarray:
    """Channels times exp(amount * a random hue), in linear light; the mean of the exponents is zero."""
    hue = np.cos(2 * np.pi * (chance.uniform() + np.arange(3) / 3))
    return _relit(image, np.exp(amount * hue))


def light_from_one_side(image: np.ndarray, left_over: float, chance: Chance) -> np.ndarray:
    """Light that falls to this share from one side of the face to the other, in a random direction."""
    angle = chance.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0 : len(image), 0 : len(image)].astype(np.float32)
    along = (columns - CENTRE[0]) * np.cos(angle) + (rows - CENTRE[1]) * np.sin(angle)
    share = np.clip(0.5 + along / (2.2 * EYE_DISTANCE), 0, 1)
    smooth = share * share * (3 - 2 * share)
    return _relit(image, (1 - (1 - left_over) * smooth)[..., None])


def take_out_colour(image: np.ndarray, level: float, chance: Chance) -> np.ndarray:
    """Grey."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


# ---------------------------------------------------------------------- turned, filtered


def turn(image: np.ndarray, degrees: float, chance: Chance) -> np.ndarray:
    """Turned in its plane about the face's middle, to a random side."""
    side = chance.choice([-1.0, 1.0])
    matrix = cv2.getRotationMatrix2D(tuple(CENTRE.tolist()), side * degrees, 1.0)
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR)


def draw_in_pencil(image: np.ndarray, level: float, chance: Chance) -> np.ndarray:
    """OpenCV's coloured pencil sketch. A filtered photograph, no artwork."""
    return cv2.pencilSketch(image, sigma_s=60, sigma_r=0.07, shade_factor=0.04)[1]


def paint(image: np.ndarray, level: float, chance: Chance) -> np.ndarray:
    """OpenCV's stylisation, flat regions with outlines. No artwork either."""
    return cv2.stylization(image, sigma_s=50, sigma_r=0.4)


CORRUPTIONS = (
    Corruption("patches", "occlusion", (0.05, 0.1, 0.2, 0.35, 0.5), "of the face", cover_by_patches),
    Corruption("hand", "occlusion", (0.3, 0.7, 1.1, 1.5, 2.0), "eye distances high", cover_by_a_hand),
    Corruption("bar on the eyes", "occlusion", (0.2, 0.3, 0.45, 0.6, 0.8), "eye distances", cover_by_a_bar),
    Corruption("blur", "image quality", (1, 2, 3, 5, 8), "px", blur),
    Corruption("reduced size", "image quality", (24, 16, 12, 8, 6), "px between the eyes", reduce_size),
    Corruption("JPEG", "image quality", (40, 20, 10, 5, 2), "quality", compress),
    Corruption("noise", "image quality", (10, 20, 35, 50, 75), "of 255", add_noise),
    Corruption("colour cast", "light and colour", (0.2, 0.4, 0.6, 0.9, 1.3), "log gain", cast_colour),
    Corruption(
        "light from one side", "light and colour", (0.5, 0.25, 0.12, 0.06, 0.03), "left", light_from_one_side
    ),
    Corruption("less colour", "light and colour", (0.2, 0.4, 0.6, 0.8, 1.0), "grey", take_out_colour, True),
    Corruption("turned", "turned", (10, 20, 30, 45, 60), "degrees", turn),
    Corruption("paint filter", "filtered", (0.2, 0.4, 0.6, 0.8, 1.0), "of the way", paint, True),
    Corruption("pencil filter", "filtered", (0.2, 0.4, 0.6, 0.8, 1.0), "of the way", draw_in_pencil, True),
)


def _cheek_colour(image: np.ndarray) -> np.ndarray:
    """The median colour [3] of the cheeks."""
    shift = round(MARGIN)
    patches = [
        image[top + shift : bottom + shift + 1, left + shift : right + shift + 1].reshape(-1, 3)
        for left, top, right, bottom in CHEEKS
    ]
    return np.median(np.concatenate(patches), axis=0)


def _blend(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The image under a mask [S, S] of 255 levels in one colour, its edges softened."""
    share = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 0.8)[..., None]
    return _in_8_bits(image + share * (colour - image))


def _relit(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The image with its linear light multiplied."""
    linear = decode_srgb(torch.from_numpy(image).float() / 255) * torch.from_numpy(np.asarray(gain)).float()
    return _in_8_bits(255 * encode_srgb(linear.clamp(0, 1)).numpy())


def _in_8_bits(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)
