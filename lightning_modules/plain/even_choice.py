"""Which of many items are taken where only some are needed."""

import numpy as np
from numpy.typing import NDArray


def evenly_chosen(total: int, most: int | None, *, from_the_middle: bool = False) -> NDArray[np.int64]:
    """Numbers of at most `most` of `total` items, in order and evenly spread; a pure function of both.

    Args:
        total: how many items there are; 0 gives none.
        most: how many are taken; all where there are fewer, or None.
        from_the_middle: whether each is the middle of an equal part instead of its first.
    """
    if most is None or most >= total:
        return np.arange(total)
    return (2 * np.arange(most) + from_the_middle) * total // (2 * most)
