"""One step of point-to-plane registration with seven parameters, and how much each pair weighs in it.

Open3D scales only from point to point, so this step is worked out here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .similarity_transform import Similarity, similarity

LARGEST_ROTATION, LARGEST_SCALING = 0.3, 0.1  # of one step, in radians and in the logarithm
SAME_WAY = 0.9  # the least cosine between two steps, for the second to be lengthened
LARGEST_LENGTHENING = 5.0


class Step(NamedTuple):
    """A Gauss-Newton step of rotation, translation and scale, about a centre.

    Attributes:
        centre: [3], of the points.
        length: root mean square distance of the points from there.
        lengths: [7], by how much points at that distance move: three for the turn about each axis, three for
            the shift, one for the growth.
    """

    centre: NDArray[np.float64]
    length: float
    lengths: NDArray[np.float64]

    def similarity(self, share: float = 1.0) -> Similarity:
        """The step, or a share of it; no turn and no growth is larger than the largest of one step."""
        held = self._held(share)
        turn, shift, growth = np.split(held * self.lengths, (3, 6))
        about = similarity(scale=float(np.exp(growth[0] / self.length)), rotation_vector=turn / self.length)
        return about._replace(translation=self.centre + shift - about.scale * about.rotation @ self.centre)

    def moved(self, share: float = 1.0) -> float:
        """How far it moves points at that distance, in the points' unit."""
        return float(self._held(share) * np.linalg.norm(self.lengths))

    def _held(self, share: float) -> float:
        bound = min(
            LARGEST_ROTATION / max(float(np.linalg.norm(self.lengths[:3])) / self.length, 1e-300),
            LARGEST_SCALING / max(abs(float(self.lengths[6])) / self.length, 1e-300),
        )
        # A smaller share is one of the bounded step; a larger one is bounded itself.
        return share * min(1.0, bound) if share <= 1 else min(share, bound)


def point_to_plane_step(
    points: NDArray, targets: NDArray, normals: NDArray, weights: NDArray, *, scaled: bool
) -> Step:
    """The Gauss-Newton step of sum w (n . (x - y))^2 over rotation, translation and scale of the points.

    With x' = x + r * (x - c) + t + g (x - c) about the centre c, each residual's derivative is
    [(x - c) * n, n, n . (x - c)], * the cross product. Lengths are divided by the points' root mean square
    distance L from c, so that all seven parameters weigh alike; what the pairs leave open (the turns of a
    sphere) stays as it is.

    Args:
        points: [N, 3], x.
        targets: [N, 3], y.
        normals: [N, 3], n.
        weights: [N], w.
        scaled: whether the scale is a parameter.
    """
    centre = np.average(points, axis=0, weights=weights)
    arms = points - centre
    length = float(np.sqrt(np.average((arms**2).sum(1), weights=weights)))
    columns = [np.cross(arms, normals) / length, normals]
    if scaled:
        columns.append(np.einsum("na,na->n", arms, normals)[:, None] / length)
    derivative = np.concatenate(columns, 1)
    residual = np.einsum("na,na->n", normals, points - targets)
    matrix = (derivative * weights[:, None]).T @ derivative
    solved = np.linalg.lstsq(matrix, -(derivative * weights[:, None]).T @ residual, rcond=1e-9)[0]
    return Step(centre, length, solved if scaled else np.append(solved, 0.0))


def lengthening(step: Step, previous: Step) -> float:
    """By how much to lengthen a step that goes on where the one before it led, and is shorter.

    Closest points slide along a surface in ever shorter steps. If each is r times the one before, they end
    1 / (1 - r) steps ahead (Aitken's extrapolation; Besl and McKay 1992 accelerate this iteration likewise).
    """
    along = float(step.lengths @ previous.lengths)
    before, now = (float(np.linalg.norm(one.lengths)) for one in (previous, step))
    if along <= SAME_WAY * before * now or along >= before**2:
        return 1.0
    return min(1 / (1 - along / before**2), LARGEST_LENGTHENING)


def geman_mcclure_weights(residuals: NDArray, width: float) -> NDArray[np.float64]:
    """The weights [N] by which least squares of residuals r come to minimise sum r^2 / (1 + (r / width)^2).

    Geman and McClure, Statistical methods for tomographic image reconstruction, 1987: quadratic near zero,
    and no residual costs more than width^2.
    """
    return 1 / (1 + (residuals / width) ** 2) ** 2
