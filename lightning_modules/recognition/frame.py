"""The canonical aligned frame, and where each network's own crop lies in it.

Every photograph and every rendering is brought into one frame of 224 x 224 pixels: dlib's five-point
template with a padding of 0.6 on each side, wide enough to hold the crop of every network. A network sees
an axis-aligned box of that frame, resampled to its own size, so that a renderer can draw the box directly.

Coordinates are x, y in pixels, the centre of the first pixel at (0, 0), as OpenCV, dlib and this project's
renderer have them: the frame spans -0.5 to 223.5.
"""

from typing import NamedTuple

import numpy as np

from lightning_modules.plain.umeyama import rotation_and_scale

CANONICAL_SIZE = 224
CANONICAL_PADDING = 0.6
# dlib's face template, in units of the face square: the centres of the eyes, the tip of the nose and the
# corners of the mouth. Left and right are the picture's: the person's right eye comes first.
DLIB_TEMPLATE = np.array(
    [(0.2248, 0.2150), (0.7554, 0.2150), (0.4901, 0.5156), (0.2541, 0.7802), (0.7261, 0.7802)]
)
# The five points in SFace's 112-pixel crop, which OpenCV's FaceRecognizerSF aligns to.
SFACE_TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)


class Crop(NamedTuple):
    """A network's view: a box of the canonical frame, resampled to `size` x `size` pixels.

    The sides are outer edges: the whole frame goes from -0.5 to 223.5.
    """

    size: int
    left: float
    top: float
    right: float
    bottom: float

    def to_crop(self, canonical_points: np.ndarray) -> np.ndarray:
        """Points [..., 2] of the canonical frame in pixels of this crop."""
        scale = self.size / np.array([self.right - self.left, self.bottom - self.top])
        return (np.asarray(canonical_points) - (self.left, self.top)) * scale - 0.5


def chip_points(size: int, padding: float) -> np.ndarray:
    """The five points [5, 2] in the chip that dlib cuts at this size and padding."""
    return size * (padding + DLIB_TEMPLATE) / (1 + 2 * padding)


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity [2, 3] that brings source points onto target points in the least-squares sense.

    In two dimensions, see `rotation_and_scale`; never a reflection.

    Args:
        source: [N, 2].
        target: [N, 2].

    Returns:
        Matrix whose left 2 x 2 block is scale times rotation, and whose last column is the translation.

    Raises:
        ValueError: if the source points coincide.
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    spread = ((source - source_mean) ** 2).sum() / len(source)
    if not spread > 1e-12:
        raise ValueError("the points to align coincide; no similarity is defined")
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    rotation, scale, _ = rotation_and_scale(covariance, spread)
    linear = scale * rotation
    return np.hstack([linear, (target_mean - linear @ source_mean)[:, None]])


def box_from_template(template: np.ndarray, size: int) -> Crop:
    """The crop whose `size`-pixel image has its five points closest to the template, without rotation."""
    centred_template, centred_points = (
        template - template.mean(0),
        CANONICAL_POINTS - CANONICAL_POINTS.mean(0),
    )
    pixel = (centred_points * centred_template).sum() / (centred_template**2).sum()
    left, top = CANONICAL_POINTS.mean(0) - pixel * (template.mean(0) + 0.5)
    return Crop(size, float(left), float(top), float(left + pixel * size), float(top + pixel * size))


CANONICAL_POINTS = chip_points(CANONICAL_SIZE, CANONICAL_PADDING)
WHOLE_FRAME = Crop(CANONICAL_SIZE, -0.5, -0.5, CANONICAL_SIZE - 0.5, CANONICAL_SIZE - 0.5)
DLIB_CROP = box_from_template(chip_points(150, 0.25), 150)
SFACE_CROP = box_from_template(SFACE_TEMPLATE, 112)
# insightface aligns to the same five points (SFace took them over) at the same size.
ARCFACE_CROP = SFACE_CROP
# facenet-pytorch cuts MTCNN's box with a margin of 14 and stretches it to a square, as in its training.
# Measured: median box over 250 photographs of LFW's peopleDevTrain, 128 wide and 170 high around (112, 101).
FACENET_CROP = Crop(160, 47.5, 15.5, 175.5, 185.5)
# The published demonstration of VGG-Face cuts a square as wide as the mean of its detector's box plus 10 %.
# Its detector is not at hand: MTCNN's box stands in. Not verified, for want of the weights.
VGGFACE_CROP = Crop(224, 36.5, 25.5, 186.5, 175.5)
# The five points as weighted sums of the 68 iBUG landmarks: [5, 68]. Its left is the picture's left.
FIVE_OF_68 = np.zeros((5, 68))
FIVE_OF_68[0, 36:42] = FIVE_OF_68[1, 42:48] = 1 / 6
FIVE_OF_68[[2, 3, 4], [30, 48, 54]] = 1
# Where to draw the five points of the 68 landmarks so that YuNet, which aligns photographs, sees them on the
# canonical points. Measured: on three times 40 renderings of the open model within 15 degrees of yaw, drawn
# onto CANONICAL_POINTS, the similarity that aligns YuNet's points has scale 1.016 and moves the face 2.6 px
# down and 1.1 px right (standard errors 0.003, 0.1 and 0.1); drawn 2.6 px lower, it moves it 0.5 px up, and
# drawn 2.2 px lower, by less than 0.1 px. Only the move down is taken: sides are symmetric.
RENDERED_POINTS = CANONICAL_POINTS + np.array([0.0, 2.2])
# Boxes of the canonical frame on the two cheeks, left, top, right, bottom, in whole pixels, both ends
# included: below the eyes, beside the nose, above the corners of the mouth. Ours; of four places tried, tones
# read off halves of a person's photographs agree well here (rank correlation .57 over LFW's 217 people).
CHEEKS = ((70, 104, 90, 122), (132, 104, 152, 122))
