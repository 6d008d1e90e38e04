"""What a camera does to a stand-in photograph: blur, colour, noise, size, compression."""

import cv2
import numpy as np

from .ranges import StandInRanges

Chance = np.random.Generator


def photographed(chance: Chance, picture: np.ndarray, ranges: StandInRanges) -> tuple[np.ndarray, int]:
    """A picture [H, W, 3] in [0, 1] as a camera gives it, in 8 bits, and the JPEG quality of its file."""
    picture = _blurred(chance, picture, ranges)
    side = round(chance.uniform(*ranges.side_pixels))
    picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    picture = _developed(chance, picture, ranges)
    # Shot noise grows with the light, read noise does not; neighbours share a part, as after demosaicing.
    noise = chance.normal(0, 1, picture.shape)
    noise = noise + cv2.GaussianBlur(chance.normal(0, 1.5, picture.shape), (0, 0), 0.8)
    strength = chance.uniform(*ranges.noise_levels) / 255 * np.sqrt(0.3 + 1.4 * picture)
    levels = (255 * (picture + strength * noise / noise.std())).round().clip(0, 255)
    return levels.astype(np.uint8), round(chance.uniform(*ranges.jpeg_quality))


def _blurred(chance: Chance, picture: np.ndarray, ranges: StandInRanges) -> np.ndarray:
    """Out of focus, and at times moved."""
    picture = cv2.GaussianBlur(picture, (0, 0), max(chance.uniform(*ranges.defocus_pixels), 0.05))
    if chance.uniform() >= ranges.motion_share:
        return picture
    length, angle = chance.uniform(*ranges.motion_pixels), chance.uniform(0, np.pi)
    # A line through the middle of the kernel, drawn by its ends.
    size = 2 * int(np.ceil(length / 2)) + 1
    along, middle = length / 2 * np.array([np.cos(angle), np.sin(angle)]), size // 2
    kernel = np.zeros((size, size), np.uint8)
    start, end = (np.round(middle + sign * along).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 255, 1, cv2.LINE_AA)
    return cv2.filter2D(
        picture, -1, kernel.astype(np.float32) / kernel.sum(), borderType=cv2.BORDER_REPLICATE
    )


def _developed(chance: Chance, picture: np.ndarray, ranges: StandInRanges) -> np.ndarray:
    """With gamma, brightness, colour cast and darker corners."""
    picture = picture ** chance.uniform(*ranges.gamma) * chance.uniform(*ranges.brightness)
    picture = picture * np.exp(chance.uniform(*ranges.colour_cast, 3))
    across = np.linspace(-1, 1, len(picture))
    corners = (across[:, None] ** 2 + across**2) / 2
    return (picture * (1 - chance.uniform(*ranges.vignette) * corners[..., None])).clip(0, 1)
