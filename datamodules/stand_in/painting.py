"""What is painted behind and before the head of a stand-in photograph."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from .ranges import StandInRanges

Chance = np.random.Generator
SUBPIXEL_BITS = 4  # cv2 takes coordinates in sixteenths of a pixel
# Of a background, at least: the level's step between neighbouring pixels. Training's noise has 0.02 at most.
CLEAREST_EDGE = 0.03
WHITE = 255  # cv2 smooths the edges of what it draws in 8 bits only


class Anchors(NamedTuple):
    """Points of a head in a picture, each [2], x and y in pixels; right and left are the person's."""

    right_eye: np.ndarray
    left_eye: np.ndarray
    bridge: np.ndarray
    mouth: np.ndarray
    chin: np.ndarray
    right_temple: np.ndarray
    left_temple: np.ndarray
    crown: np.ndarray


def muted_colour(chance: Chance) -> np.ndarray:
    """A colour [3] of the things around people: of any hue and lightness, seldom a pure one."""
    grey = chance.uniform(0.04, 0.9)
    hue = 2 * np.pi * (chance.uniform() + np.arange(3) / 3)
    return (grey * (1 + chance.beta(1, 3.5) * np.cos(hue))).clip(0, 1)


# ---------------------------------------------------------------------- behind the head


def paint_background(
    chance: Chance, side: int, anchors: Anchors, skin: np.ndarray, long_hair: np.ndarray | None
) -> np.ndarray:
    """A structured background with shoulders and neck, and hair behind the neck, [side, side, 3] in [0, 1].

    Args:
        chance: to draw from.
        side: in pixels.
        anchors: of the head that will be drawn before it.
        skin: [3], colour of the neck.
        long_hair: [3], its colour, where there is any.
    """
    picture = paint_place(chance, side)
    if long_hair is not None:
        picture = _paint_long_hair(chance, picture, anchors, long_hair)
    return _paint_shoulders(chance, picture, anchors, skin)


def paint_place(chance: Chance, side: int) -> np.ndarray:
    """A place out of focus, [side, side, 3] in [0, 1]: shapes on a gradient, never without an edge."""
    picture = _gradient(chance, side)
    for _ in range(chance.integers(1, 3)):
        picture = _something(chance, picture)
    while True:
        place = cv2.GaussianBlur(picture, (0, 0), chance.uniform(0.6, 2.0))
        if steepest_step(place) >= CLEAREST_EDGE:
            return place
        picture = _something(chance, picture)


def steepest_step(picture: np.ndarray) -> float:
    """The largest difference of neighbouring pixels' levels."""
    return float(max(np.abs(np.diff(picture, axis=axis)).max() for axis in (0, 1)))


def _something(chance: Chance, picture: np.ndarray) -> np.ndarray:
    return (_soft_boxes, _lines, _bokeh)[chance.integers(3)](chance, picture)


def _gradient(chance: Chance, side: int) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    angle = chance.uniform(0, 2 * np.pi)
    share = 0.5 + (rows * np.sin(angle) + columns * np.cos(angle)) / 1.42
    first, second = muted_colour(chance), muted_colour(chance)
    return (first + share[..., None] * (second - first)).astype(np.float32)


def _soft_boxes(chance: Chance, picture: np.ndarray) -> np.ndarray:
    """Windows, shelves, signs."""
    side = len(picture)
    for _ in range(chance.integers(3, 12)):
        corner = chance.uniform(-0.1, 1.0, 2) * side
        size = chance.uniform(0.06, 0.5, 2) * side
        colour, opacity = muted_colour(chance), chance.uniform(0.3, 0.9)

        def box(mask: np.ndarray, corner: np.ndarray = corner, size: np.ndarray = size) -> None:
            cv2.rectangle(mask, _fixed(corner), _fixed(corner + size), WHITE, -1, cv2.LINE_AA, SUBPIXEL_BITS)

        picture = _laid_over(picture, box, colour, opacity, blur=chance.uniform(0.4, 3))
    return picture


def _lines(chance: Chance, picture: np.ndarray) -> np.ndarray:
    """Blinds, panels, poles: parallel lines with a spacing."""
    side = len(picture)
    angle = chance.choice([0, np.pi / 2]) + chance.normal(0, 0.15)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    spacing, width = chance.uniform(0.05, 0.25) * side, int(chance.integers(1, 10))
    colour, opacity = muted_colour(chance), chance.uniform(0.3, 0.8)

    def draw(mask: np.ndarray) -> None:
        for number in range(-20, 21):
            middle = side / 2 + number * spacing * across
            ends = _fixed(middle - 2 * side * along), _fixed(middle + 2 * side * along)
            cv2.line(mask, *ends, WHITE, width, cv2.LINE_AA, SUBPIXEL_BITS)

    return _laid_over(picture, draw, colour, opacity, blur=chance.uniform(0.4, 2))


def _bokeh(chance: Chance, picture: np.ndarray) -> np.ndarray:
    """Lights out of focus."""
    side = len(picture)
    tint = 0.4 + 0.6 * muted_colour(chance)
    for _ in range(chance.integers(8, 40)):
        centre, radius = chance.uniform(0, side, 2), chance.uniform(0.015, 0.07) * side
        colour = (tint * chance.uniform(0.6, 1.2, 3)).clip(0, 1)

        def disc(mask: np.ndarray, centre: np.ndarray = centre, radius: float = radius) -> None:
            radius_fixed = round(radius * 2**SUBPIXEL_BITS)
            cv2.circle(mask, _fixed(centre), radius_fixed, WHITE, -1, cv2.LINE_AA, SUBPIXEL_BITS)

        picture = _laid_over(picture, disc, colour, chance.uniform(0.2, 0.7), blur=0.8)
    return picture


def _paint_long_hair(chance: Chance, picture: np.ndarray, anchors: Anchors, colour: np.ndarray) -> np.ndarray:
    """A dark shape from the head down to the shoulders."""
    axes = _Axes(anchors)
    low = chance.uniform(1.1, 2.2)
    wide = chance.uniform(1.15, 1.5)
    outline = [
        (-0.75 * wide, -0.9), (-1.0 * wide, 0.0), (-1.05 * wide, 0.8), (-0.9 * wide, low), (0.9 * wide, low),
        (1.05 * wide, 0.8), (1.0 * wide, 0.0), (0.75 * wide, -0.9), (0.0, -1.3),
    ]  # fmt: skip
    points = axes.at(np.array(outline) + chance.normal(0, 0.04, (len(outline), 2)))
    strands = 1 + 0.08 * np.sin(np.arange(picture.shape[1]) * chance.uniform(0.3, 0.9))
    shade = np.broadcast_to(0.6 * colour * strands[None, :, None], picture.shape)
    return _laid_over(picture, _polygon(points), shade, 1.0, blur=1.2)


def _paint_shoulders(chance: Chance, picture: np.ndarray, anchors: Anchors, skin: np.ndarray) -> np.ndarray:
    """A neck and clothes of one or two colours."""
    axes = _Axes(anchors, upright=0.7)
    neck = [(-0.75, 0.6), (-0.75, 1.6), (-1.1, 2.3), (1.1, 2.3), (0.75, 1.6), (0.75, 0.6)]
    # Lies in the head's shadow.
    picture = _laid_over(picture, _polygon(axes.at(neck)), 0.55 * skin, 1.0, blur=1.5)
    collar = chance.uniform(1.6, 2.0)
    clothes = [
        (-0.7, collar), (-1.3, 2.0), (-2.3, 2.3), (-2.7, 2.8), (-3.0, 9.0), (3.0, 9.0), (2.7, 2.8),
        (2.3, 2.3), (1.3, 2.0), (0.7, collar), (0.0, collar + chance.uniform(0, 0.7)),
    ]  # fmt: skip
    first, second = muted_colour(chance), muted_colour(chance)
    rows, columns = np.mgrid[0 : len(picture), 0 : len(picture)]
    stripes = np.sin((rows * chance.normal() + columns * chance.normal()) * chance.uniform(0.1, 0.6)) > 0
    cloth = np.where(stripes[..., None] & (chance.uniform() < 0.4), second, first)
    cloth = cloth * (0.8 + 0.2 * np.sin(columns / chance.uniform(9, 25)))[..., None]
    return _laid_over(picture, _polygon(axes.at(clothes)), cloth, 1.0, blur=0.7)


# ---------------------------------------------------------------------- before the head


def paint_occluders(
    chance: Chance, picture: np.ndarray, anchors: Anchors, skin: np.ndarray, ranges: StandInRanges
) -> np.ndarray:
    """The picture with what covers a part of the face, each by its probability."""
    # Shaded about as the face is.
    light = picture[tuple(anchors.bridge.round().astype(int).clip(0, len(picture) - 1)[::-1])].mean()
    if chance.uniform() < ranges.glasses_share:
        picture = _paint_glasses(chance, picture, anchors)
    if chance.uniform() < ranges.scarf_share:
        picture = _paint_scarf(chance, picture, anchors)
    if chance.uniform() < ranges.hand_share:
        picture = _paint_hand(chance, picture, anchors, skin * light / max(float(skin.mean()), 0.05))
    return picture


def _paint_glasses(chance: Chance, picture: np.ndarray, anchors: Anchors) -> np.ndarray:
    axes = _Axes(anchors)
    apart = float(np.linalg.norm(anchors.left_eye - anchors.right_eye))
    half_width, half_height = apart * chance.uniform(0.33, 0.42), apart * chance.uniform(0.22, 0.36)
    thickness = max(1, round(apart * chance.uniform(0.025, 0.09)))
    colour, tint = chance.uniform(0, 1, 3) * chance.uniform(0, 0.7), chance.uniform(0, 0.35)
    box_like = chance.uniform() < 0.5
    angle = float(np.degrees(np.arctan2(axes.right[1], axes.right[0])))

    def lens(eye: np.ndarray, width: int) -> Callable[[np.ndarray], None]:
        def draw(mask: np.ndarray) -> None:
            if box_like:
                corners = cv2.boxPoints((eye.tolist(), (2 * half_width, 2 * half_height), angle))
                if width < 0:
                    cv2.fillConvexPoly(mask, _fixed_all(corners), WHITE, cv2.LINE_AA, SUBPIXEL_BITS)
                else:
                    cv2.polylines(mask, [_fixed_all(corners)], True, WHITE, width, cv2.LINE_AA, SUBPIXEL_BITS)
            else:
                size = _fixed((half_width, half_height))
                cv2.ellipse(mask, _fixed(eye), size, angle, 0, 360, WHITE, width, cv2.LINE_AA, SUBPIXEL_BITS)

        return draw

    def arms(mask: np.ndarray) -> None:
        inner = half_width * axes.right
        # The eye on the picture's left is the person's right one.
        ends = [
            (anchors.right_eye + inner, anchors.left_eye - inner),
            (anchors.right_eye - inner, anchors.right_temple),
            (anchors.left_eye + inner, anchors.left_temple),
        ]
        for first, second in ends:
            cv2.line(mask, _fixed(first), _fixed(second), WHITE, thickness, cv2.LINE_AA, SUBPIXEL_BITS)

    for eye in (anchors.right_eye, anchors.left_eye):
        picture = _laid_over(picture, lens(eye, -1), 0.5 * colour, tint)
        picture = _laid_over(picture, lens(eye, thickness), colour, 0.95)
    return _laid_over(picture, arms, colour, 0.95)


def _paint_scarf(chance: Chance, picture: np.ndarray, anchors: Anchors) -> np.ndarray:
    """A striped band with a wavy upper edge, below the mouth."""
    axes = _Axes(anchors)
    across = np.linspace(-1.15, 1.15, 13)
    top = chance.uniform(1.22, 1.42) - 0.08 * across**2 + chance.normal(0, 0.03, len(across))
    outline = np.concatenate([np.stack([across, top], 1), [(1.5, 2.3), (-1.5, 2.3)]])
    first, second = muted_colour(chance), muted_colour(chance)
    rows, columns = np.mgrid[0 : len(picture), 0 : len(picture)]
    stripes = 0.5 + 0.5 * np.sin(rows * chance.uniform(0.2, 0.7) + columns * chance.normal(0, 0.2))
    return _laid_over(
        picture, _polygon(axes.at(outline)), first + stripes[..., None] * (second - first), 1.0, blur=0.6
    )


def _paint_hand(chance: Chance, picture: np.ndarray, anchors: Anchors, colour: np.ndarray) -> np.ndarray:
    """A palm at one cheek with four fingers on it."""
    axes = _Axes(anchors)
    side = chance.choice([-1.0, 1.0])
    thickness = round(axes.unit * chance.uniform(0.2, 0.26))
    base = np.array([side * chance.uniform(1.0, 1.2), chance.uniform(1.0, 1.3)])
    for number in range(4):
        start = base + np.array([side * 0.02 * number, -0.24 * number])
        end = start + np.array([-side * chance.uniform(0.35, 0.5), -0.2])

        def finger(mask: np.ndarray, start: np.ndarray = start, end: np.ndarray = end) -> None:
            first, second = axes.at([start, end])
            cv2.line(mask, _fixed(first), _fixed(second), WHITE, thickness, cv2.LINE_AA, SUBPIXEL_BITS)

        picture = _laid_over(picture, finger, colour * (0.75 + 0.1 * number), 1.0, blur=0.8)

    def palm(mask: np.ndarray) -> None:
        centre, size = axes.at([base + np.array([side * 0.3, 0.0])])[0], axes.unit * np.array([0.45, 0.75])
        cv2.ellipse(
            mask, _fixed(centre), _fixed(size), -20 * side, 0, 360, WHITE, -1, cv2.LINE_AA, SUBPIXEL_BITS
        )

    return _laid_over(picture, palm, 0.8 * colour, 1.0, blur=1.2)


# ---------------------------------------------------------------------- brushes


class _Axes:
    """The head's own coordinates in the picture: origin at the bridge, unit from there to the mouth.

    `upright` takes out that part of the head's tilt: bodies stand straighter than heads.
    """

    def __init__(self, anchors: Anchors, *, upright: float = 0.0) -> None:
        down = anchors.mouth - anchors.bridge
        self.origin, self.unit = anchors.bridge, max(float(np.linalg.norm(down)), 1.0)
        down = (1 - upright) * down / self.unit + upright * np.array([0.0, 1.0])
        self.down = down / np.linalg.norm(down)
        self.right = np.array([self.down[1], -self.down[0]])  # the picture's right

    def at(self, places: np.ndarray | list) -> np.ndarray:
        """Pixels [N, 2] of places [N, 2], to the picture's right and down the face, in units."""
        places = np.asarray(places, float) * self.unit
        return self.origin + places[:, :1] * self.right + places[:, 1:] * self.down


def _laid_over(
    picture: np.ndarray,
    draw: Callable[[np.ndarray], None],
    colour: np.ndarray,
    opacity: float,
    *,
    blur: float = 0.0,
) -> np.ndarray:
    """The picture under a shape of a colour, [3] or one for each pixel, with edges as soft as `blur`."""
    levels = np.zeros(picture.shape[:2], np.uint8)
    draw(levels)
    left, top, width, height = cv2.boundingRect(levels)
    if width == 0:
        return picture
    border = int(np.ceil(3 * blur))
    rows, columns = (
        slice(max(first - border, 0), first + length + border)
        for first, length in ((top, height), (left, width))
    )
    mask: np.ndarray = levels[rows, columns].astype(np.float32) * (opacity / WHITE)
    if blur > 0:
        mask = cv2.GaussianBlur(mask, (0, 0), blur)
    colour = np.asarray(colour, np.float32)
    if colour.ndim == 3:
        colour = colour[rows, columns]
    result = picture.copy()
    under = picture[rows, columns]
    result[rows, columns] = under + mask[..., None] * (colour - under)
    return result


def _polygon(points: np.ndarray) -> Callable[[np.ndarray], None]:
    def draw(mask: np.ndarray) -> None:
        cv2.fillPoly(mask, [_fixed_all(points)], WHITE, cv2.LINE_AA, SUBPIXEL_BITS)

    return draw


def _fixed(point: np.ndarray | tuple[float, float]) -> tuple[int, int]:
    x, y = np.round(np.asarray(point) * 2**SUBPIXEL_BITS).astype(int).tolist()
    return x, y


def _fixed_all(points: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(points) * 2**SUBPIXEL_BITS).astype(np.int32)
