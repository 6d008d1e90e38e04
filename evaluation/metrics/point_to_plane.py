"""One step of point-to-plane registration with seven parameters, and how much each pair weighs in it.

Open3D scales only from point to point, so this step is worked out here.
"""

import numpy as np
from numpy.typing import NDArray

from .similarity_transform import Similarity, similarity

LARGEST_ROTATION, LARGEST_SCALING = 0.3, 0.1  # of one step, in radians and in the logarithm


def point_to_plane_step(
    points: NDArray,
    targets: NDArray,
    normals: NDArray,
    weights: NDArray,
    *,
    scaled: bool,
    share: float = 1.0,
) -> tuple[Similarity, float]:
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
        share: of the step that is taken.

    Returns:
        The step, and how far it moves points at distance L, in the points' unit.
    """
    centre = np.average(points, axis=0, weights=weights)
    arms = points - centre
    length = np.sqrt(np.average((arms**2).sum(1), weights=weights))
    columns = [np.cross(arms, normals) / length, normals]
    if scaled:
        columns.append(np.einsum("na,na->n", arms, normals)[:, None] / length)
    derivative = np.concatenate(columns, 1)
    residual = np.einsum("na,na->n", normals, points - targets)
    matrix = (derivative * weights[:, None]).T @ derivative
    solved = np.linalg.lstsq(matrix, -(derivative * weights[:, None]).T @ residual, rcond=1e-9)[0]
    turn, shift = solved[:3] / length, solved[3:6]
    growth = solved[6] / length if scaled else 0.0
    held = share * min(
        1.0,
        LARGEST_ROTATION / max(float(np.linalg.norm(turn)), 1e-300),
        LARGEST_SCALING / max(abs(float(growth)), 1e-300),
    )
    about = similarity(scale=float(np.exp(held * growth)), rotation_vector=held * turn)
    translation = centre + held * shift - about.scale * about.rotation @ centre
    return about._replace(translation=translation), float(held * np.linalg.norm(solved))


def geman_mcclure_weights(residuals: NDArray, width: float) -> NDArray[np.float64]:
    """The weights [N] by which least squares of residuals r come to minimise sum r^2 / (1 + (r / width)^2).

    Geman and McClure, Statistical methods for tomographic image reconstruction, 1987: quadratic near zero,
    and no residual costs more than width^2.
    """
    return 1 / (1 + (residuals / width) ** 2) ** 2
