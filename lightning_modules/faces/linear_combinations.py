"""Sums of a mean and weighted components, for a few faces, on every core of the CPU.

For eight faces a matrix product takes six times as long as reading two bases of 36 MB, and on one core
however many there are: libraries share out the faces' side, which is short. This shares out the long one.
Both kernels owe their speed to three things: a loop over components takes two rows of the basis for four
faces, whose sums or factors fill the registers; it ends with a whole vector, for which it reads what follows
the rows in the basis; and the two rows lie far apart, so that each is one of a stream that the processor
reads ahead.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.plain.precision import without_autocast
from lightning_modules.rendering import compilation
from lightning_modules.rendering.compilation import for_each

compiled = partial(compilation.compiled, contract=True, reorder=True)

TASKS = 8  # into which the rows of a basis are shared out, however many threads there are
FACES_AT_ONCE = 4  # as many as the kernels below write out
MOST_FACES = 8  # with more, a matrix product is as quick
VECTOR = 8  # numbers of float32 in a vector register
LINE = 16  # in a line of the cache


def linear_combinations(mean: Tensor, coefficients: Tensor, basis: Tensor) -> Tensor:
    """B sums [B, R], mean + coefficients @ basis.T; compiled for few faces on the CPU.

    Args:
        mean: [R], or [B, R].
        coefficients: [B, K], of the first K components.
        basis: [R, at least K], whose precision is kept under autocast. Finite: a row's sum may add zero times
            the next rows' first entries.
    """
    if torch.amp.is_autocast_available(basis.device.type) and torch.is_autocast_enabled(basis.device.type):
        # A product in 16 bits would move vertices by tenths of a mm.
        with without_autocast(basis.device):
            return linear_combinations(mean, coefficients.to(basis.dtype), basis)
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
        # Not `pad`, which refuses an empty tensor before PyTorch 2.8.
        weights = coefficients.new_zeros(
            ctx.faces + -ctx.faces % FACES_AT_ONCE, ctx.count + -ctx.count % VECTOR
        )
        weights[: ctx.faces, : ctx.count] = coefficients
        sums = mean.new_empty(len(weights), len(basis))
        arrays = [tensor.detach().contiguous().numpy() for tensor in (mean, weights, basis, sums)]
        for_each(lambda task: _combine(*arrays, ctx.count, task), TASKS)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # noqa: ANN401, torch has no type
        (basis,) = ctx.saved_tensors
        # Rows that begin with a line of the cache are written a quarter faster.
        width = ctx.count + -ctx.count % LINE
        parts = gradient.new_zeros(TASKS, len(gradient), width)
        arrays = [tensor.contiguous().numpy() for tensor in (gradient, basis, parts)]
        for_each(lambda task: _project(*arrays, ctx.count, task), TASKS)
        return None, parts.sum(0)[: ctx.faces, : ctx.count], None


@compiled
def _task_rows(task: int, basis: np.ndarray) -> tuple[int, int]:
    """The first row of a task and the one behind its last."""
    size = (len(basis) + TASKS - 1) // TASKS
    return min(task * size, len(basis)), min((task + 1) * size, len(basis))


@compiled
def _entries(row: int, basis: np.ndarray, count: int) -> int:
    """How many entries to take of rows up to this one: whole vectors, but not beyond the basis's end."""
    whole = count + -count % VECTOR
    return whole if row * basis.shape[1] + whole <= basis.size else count


@compiled
def _combine(
    mean: np.ndarray, weights: np.ndarray, basis: np.ndarray, sums: np.ndarray, count: int, task: int
) -> None:
    """Fill the columns of `sums` that are a task's rows of the basis.

    Args:
        mean: [R].
        weights: coefficients [B, K], zeros behind them to the next multiple of VECTOR.
        basis: [R, at least K].
        sums: [B, R].
        count: K.
        task: the how manieth of TASKS.
    """
    first, end = _task_rows(task, basis)
    half, flat = (end - first + 1) // 2, basis.ravel()
    for row in range(first, first + half):
        other = min(row + half, end - 1)  # once too often where their number is odd
        entries = _entries(other, basis, count)
        begin, begin_below = np.uintp(row * basis.shape[1]), np.uintp(other * basis.shape[1])
        for face in range(0, len(weights), FACES_AT_ONCE):
            a = b = c = d = e = f = g = h = basis.dtype.type(0)
            for k in range(np.uintp(entries)):
                entry, below = flat[begin + k], flat[begin_below + k]
                a += entry * weights[face, k]
                b += entry * weights[face + 1, k]
                c += entry * weights[face + 2, k]
                d += entry * weights[face + 3, k]
                e += below * weights[face, k]
                f += below * weights[face + 1, k]
                g += below * weights[face + 2, k]
                h += below * weights[face + 3, k]
            sums[face, row], sums[face + 1, row] = mean[row] + a, mean[row] + b
            sums[face + 2, row], sums[face + 3, row] = mean[row] + c, mean[row] + d
            sums[face, other], sums[face + 1, other] = mean[other] + e, mean[other] + f
            sums[face + 2, other], sums[face + 3, other] = mean[other] + g, mean[other] + h


@compiled
def _rows_with_gradient(gradient: np.ndarray, first: int, end: int) -> np.ndarray:
    """The rows from `first` to `end` where the gradient [B, R] is not zero; a quarter of a face is hidden."""
    rows, found = np.empty(end - first, np.uintp), np.uintp(0)
    for row in range(first, end):
        any_face = False
        for face in range(len(gradient)):
            any_face |= gradient[face, row] != 0
        rows[found] = row
        found += np.uintp(any_face)
    return rows[:found]


@compiled
def _project(gradient: np.ndarray, basis: np.ndarray, parts: np.ndarray, count: int, task: int) -> None:
    """Fill a task's part of the gradient of the coefficients: its rows of the basis times theirs.

    Args:
        gradient: [B, R] of the sums.
        basis: [R, at least K].
        parts: [tasks, B, at least K to the next multiple of VECTOR], zero.
        count: K.
        task: as for `_combine`.
    """
    rows, part = _rows_with_gradient(gradient, *_task_rows(task, basis)), parts[task]
    half, flat = (rows.size + 1) // 2, basis.ravel()
    for m in range(half):
        i, j = rows[m], rows[min(m + half, rows.size - 1)]
        entries = _entries(j, basis, count)
        begin, begin_below = i * np.uintp(basis.shape[1]), j * np.uintp(basis.shape[1])
        present = basis.dtype.type(m + half < rows.size)  # 0 for the one without a partner
        for face in range(0, len(gradient), FACES_AT_ONCE):
            a, b, c, d = (
                gradient[face, i], gradient[face + 1, i], gradient[face + 2, i], gradient[face + 3, i]
            )  # fmt: skip
            e, f = present * gradient[face, j], present * gradient[face + 1, j]
            g, h = present * gradient[face + 2, j], present * gradient[face + 3, j]
            for k in range(np.uintp(entries)):
                entry, below = flat[begin + k], flat[begin_below + k]
                part[face, k] += a * entry + e * below
                part[face + 1, k] += b * entry + f * below
                part[face + 2, k] += c * entry + g * below
                part[face + 3, k] += d * entry + h * below
