"""Principal components of samples, and rigid alignment."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg, sparse

from lightning_modules.faces.morphable_model import PrincipalComponents


def principal_components(
    samples: NDArray[np.float64], count: int, matrix: sparse.csr_array | None = None
) -> PrincipalComponents:
    """PCA of per-vertex samples by the N x N Gram matrix (a full SVD takes minutes).

    Args:
        samples: [N, n, 3]; N must exceed `count`.
        count: components to keep.
        matrix: [V, n]; where given, the statistics are those of `matrix @ sample`, without making these.

    Returns:
        Components over V (or n) vertices. Signs are fixed: each column's cubes sum to a positive number.
    """
    mean, last = samples.mean(0), len(samples) - 1
    centred = (samples - mean).reshape(len(samples), -1)  # [N, 3n]
    gram = centred @ _weighted(centred, matrix).T
    values, vectors = linalg.eigh(gram, subset_by_index=(last - count + 1, last))
    values, vectors = values[::-1], vectors[:, ::-1]  # falling
    basis = (vectors / np.sqrt(values)).T @ centred  # [K, 3n]
    basis = basis.T.reshape(-1, 3 * count)  # [n, 3K]
    if matrix is not None:
        basis, mean = matrix @ basis, matrix @ mean
    basis = _orthonormal(basis.reshape(-1, count))
    basis *= np.sign((basis**3).sum(0))
    return PrincipalComponents(
        torch.from_numpy(mean.ravel().astype(np.float32)),
        torch.from_numpy(np.ascontiguousarray(basis, dtype=np.float32)),
        torch.from_numpy((values / last).astype(np.float32)),
        float(np.trace(gram) / last),
    )


def _weighted(flat: NDArray[np.float64], matrix: sparse.csr_array | None) -> NDArray[np.float64]:
    """Samples [N, 3n] times matrix.T @ matrix in each coordinate."""
    if matrix is None:
        return flat
    columns = np.ascontiguousarray(flat.reshape(len(flat), -1, 3).transpose(1, 0, 2))  # [n, N, 3]
    columns = (matrix.T @ matrix) @ columns.reshape(len(columns), -1)
    return columns.reshape(-1, len(flat), 3).transpose(1, 0, 2).reshape(len(flat), -1)


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nearly orthonormal columns made exactly so, by one Cholesky QR step.

    The Gram matrix of the samples squared the condition number, so the weakest columns need it.
    """
    factor = linalg.cholesky(columns.T @ columns)
    return linalg.solve_triangular(factor, columns.T, trans="T").T


def rigidly_aligned(
    meshes: NDArray[np.float64], reference: NDArray[np.float64], region: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Meshes [N, n, 3] turned and moved, never scaled, to lie on a reference [n, 3] inside a region [n].

    Kabsch's least squares, over all meshes at once; a reflection never wins. Not by `rotation_and_scale`: the
    open model's hash, which checkpoints hold, depends on the last bit of this product.
    """
    source, target = meshes[:, region], reference[region]
    source_mean, target_mean = source.mean(1, keepdims=True), target.mean(0)
    covariance = (source - source_mean).transpose(0, 2, 1) @ (target - target_mean)
    left, _, right = np.linalg.svd(covariance)
    handedness = np.linalg.det(left) * np.linalg.det(right)
    left[:, :, -1] *= np.sign(handedness)[:, None]
    return (meshes - source_mean) @ (left @ right) + target_mean
