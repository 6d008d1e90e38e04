"""Sums of a mean and weighted components, for a few faces, on every core of the CPU.

For eight faces a matrix product reads two bases of 36 MB at a third of what memory gives, and on one core
however many there are: libraries share out the faces' side, which is short. This shares out the long one.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.rendering import compilation
from lightning_modules.rendering.compilation import for_each

compiled = partial(compilation.compiled, contract=True, reorder=True)

ROWS_AT_ONCE = 8192  # of the basis, that one thread takes; an even number
FACES_AT_ONCE = 4  # as many as the kernels below write out
MOST_FACES = 8  # with more, a matrix product is as quick
LINE = 16  # numbers of float32 in a line of the cache


def linear_combinations(mean: Tensor, coefficients: Tensor, basis: Tensor) -> Tensor:
    """B sums [B, R], mean + coefficients @ basis.T; compiled for few faces on the CPU.

    Args:
        mean: [R], or [B, R].
        coefficients: [B, K], of the first K components.
        basis: [R, at least K].
    """
    tensors = (mean, coefficients, basis)
    if (
        len(coefficients) <= MOST_FACES
        and mean.shape == basis.shape[:1]
        and coefficients.shape[1] <= basis.shape[1]
        and all(tensor.device.type == "cpu" and tensor.dtype == basis.dtype for tensor in tensors)
        and basis.dtype in (torch.float32, torch.float64)
        and basis.is_contiguous()
        and not (mean.requires_grad or basis.requires_grad)
    ):
        sums = _Combinations.apply(*tensors)
        # Cut here: what a Function returns must not be a view, or it could not be changed in place.
        return sums if len(sums) == len(coefficients) else sums[: len(coefficients)]
    return torch.addmm(mean, coefficients, basis[:, : coefficients.shape[1]].T)


class _Combinations(torch.autograd.Function):
    """`linear_combinations` by compiled loops, some rows of the basis a task."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, coefficients: Tensor, basis: Tensor) -> Tensor:  # noqa: ANN401, torch has no type
        ctx.save_for_backward(basis)
        ctx.faces, ctx.count = coefficients.shape
        weights = _padded(coefficients)
        sums = mean.new_empty(len(weights), len(basis))
        arrays = [tensor.detach().contiguous().numpy() for tensor in (mean, weights, basis, sums)]
        for_each(lambda task: _combine(*arrays, task * ROWS_AT_ONCE), _task_count(basis))
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # noqa: ANN401, torch has no type
        (basis,) = ctx.saved_tensors
        # Rows that begin with a line of the cache are written a quarter faster.
        width = ctx.count + -ctx.count % LINE
        parts = gradient.new_zeros(_task_count(basis), len(gradient), width)
        arrays = [tensor.contiguous().numpy() for tensor in (gradient, basis, parts)]
        for_each(lambda task: _project(*arrays, ctx.count, task), len(parts))
        return None, parts.sum(0)[: ctx.faces, : ctx.count], None


def _padded(of_faces: Tensor) -> Tensor:
    """Faces [B, ...] with empty ones behind them, a multiple of FACES_AT_ONCE."""
    missing = -len(of_faces) % FACES_AT_ONCE
    return torch.nn.functional.pad(of_faces, (0, 0, 0, missing)) if missing else of_faces


def _task_count(basis: Tensor) -> int:
    return -(-len(basis) // ROWS_AT_ONCE)


@compiled
def _combine(
    mean: np.ndarray, coefficients: np.ndarray, basis: np.ndarray, sums: np.ndarray, first: int
) -> None:
    """Fill the columns of `sums` from the first row of a task on."""
    for row in range(first, min(first + ROWS_AT_ONCE, len(basis))):
        for face in range(0, len(coefficients), FACES_AT_ONCE):
            a = b = c = d = basis.dtype.type(0)
            for k in range(coefficients.shape[1]):
                entry = basis[row, k]
                a += entry * coefficients[face, k]
                b += entry * coefficients[face + 1, k]
                c += entry * coefficients[face + 2, k]
                d += entry * coefficients[face + 3, k]
            sums[face, row], sums[face + 1, row] = mean[row] + a, mean[row] + b
            sums[face + 2, row], sums[face + 3, row] = mean[row] + c, mean[row] + d


@compiled
def _project(gradient: np.ndarray, basis: np.ndarray, parts: np.ndarray, count: int, task: int) -> None:
    """Fill a task's part of the gradient of `count` coefficients: its rows of the basis times theirs."""
    first, part = task * ROWS_AT_ONCE, parts[task]
    for row in range(first, min(first + ROWS_AT_ONCE, len(basis)), 2):
        other = min(row + 1, len(basis) - 1)
        present = basis.dtype.type(other > row)  # 0 where the last row has no other
        for face in range(0, len(gradient), FACES_AT_ONCE):
            a, b, c, d = (
                gradient[face, row], gradient[face + 1, row], gradient[face + 2, row], gradient[face + 3, row]
            )  # fmt: skip
            e, f = present * gradient[face, other], present * gradient[face + 1, other]
            g, h = present * gradient[face + 2, other], present * gradient[face + 3, other]
            if a == 0 and b == 0 and c == 0 and d == 0 and e == 0 and f == 0 and g == 0 and h == 0:
                continue  # of a vertex that no picture shows
            for k in range(count):
                entry, below = basis[row, k], basis[other, k]
                part[face, k] += a * entry + e * below
                part[face + 1, k] += b * entry + f * below
                part[face + 2, k] += c * entry + g * below
                part[face + 3, k] += d * entry + h * below
