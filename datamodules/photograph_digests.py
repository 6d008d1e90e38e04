"""Which photographs a checkpoint was trained on, so that a score on the same ones can say so."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .long_work.mapped_columns import pieces, taken

CONTENT = "training_photographs"  # its name in a checkpoint
KEPT = 65_536


class Overlap(NamedTuple):
    """How many of the photographs that are scored were trained on.

    Attributes:
        seen: of those that were looked up.
        looked_up: as many as are scored, unless more photographs were trained on than a checkpoint keeps.
        scored: different photographs.
    """

    seen: int
    looked_up: int
    scored: int

    def __str__(self) -> str:
        """As the end of a title; empty where none was seen."""
        if not self.seen:
            return ""
        if self.looked_up == self.scored:
            number = f"{self.seen:,}"
        else:
            number = f"about {max(1, round(self.seen / self.looked_up * self.scored)):,}"
        return f"; TRAINED ON {number} of these {self.scored:,} photographs"


def kept_digests(digests: np.ndarray) -> Tensor:
    """[N], at most `KEPT`, in ascending order: what a checkpoint keeps of its training photographs' contents.

    A content is told by the first eight bytes of its SHA-256. Of many photographs the smallest are kept, a
    bottom-k sketch (Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches"): they are a random
    sample of the photographs, and whether one of them is among others can be told for certain.

    Args:
        digests: [M] of 32 bytes each, the SHA-256 of files.
    """
    leading = np.unique(leading_bytes(digests))[:KEPT]
    return torch.from_numpy(_signed(leading))


def overlap_of(kept: Tensor, digests: np.ndarray) -> Overlap:
    """How many of the photographs with these digests [M] are among those of `kept_digests`."""
    leading = np.unique(leading_bytes(digests))
    mine = _unsigned(kept.numpy())
    looked_up = leading if len(mine) < KEPT else leading[leading <= mine[-1]]
    return Overlap(int(np.isin(looked_up, mine).sum()), len(looked_up), len(leading))


def trained_on(content: Mapping[str, Any] | None, digests: np.ndarray) -> str:
    """The end of a title of scores: how many of their photographs a checkpoint was trained on, if any.

    Args:
        content: of the checkpoint; none for other methods, and nothing is said.
        digests: [M] of 32 bytes each, of the photographs that are scored.
    """
    if content is None or CONTENT not in content:
        return ""
    return str(overlap_of(content[CONTENT], digests))


def leading_bytes(digests: np.ndarray) -> np.ndarray:
    """The first eight bytes [M] of digests [M] of 32, as numbers that sort as the digests do."""
    leading = np.empty(len(digests), np.uint64)
    for start, some in pieces(digests):
        first = some.view(np.uint8).reshape(-1, 32)[:, :8].copy()
        leading[start : start + len(some)] = first.view(">u8")[:, 0]
    return leading


def first_by_content(digests: np.ndarray, chosen: np.ndarray, count: int) -> np.ndarray:
    """The places of the first of those chosen, in the order of their digests; of copies in their own order.

    Args:
        digests: [M] of 32 bytes each.
        chosen: [M], whether each may be among them.
        count: how many are wanted; as many as there are if fewer.
    """
    leading, least = leading_bytes(digests), np.empty(0, np.uint64)
    for start, some in pieces(leading):
        least = np.sort(np.concatenate([least, some[chosen[start : start + len(some)]]]))[:count]
    if len(least) == 0:
        return np.empty(0, np.int64)
    places = np.flatnonzero(chosen & (leading <= least[-1]))  # more than `count` where the last has copies
    return places[np.argsort(taken(digests, places).view("S32"), kind="stable")][:count]


def _signed(values: np.ndarray) -> np.ndarray:
    """Torch has few operations on unsigned numbers: in the same order, moved below zero."""
    return (values ^ np.uint64(1 << 63)).view(np.int64)


def _unsigned(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint64) ^ np.uint64(1 << 63)
