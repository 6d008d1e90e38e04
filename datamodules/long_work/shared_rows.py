"""Row files that several processes fill: each makes its share of the blocks, and one appends them in order.

A row's last bits depend on which others a network saw with it. So whoever makes rows makes the same blocks of
them, and what comes together is, bit for bit, what one process would have made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from filelock import FileLock, Timeout

from .row_files import RowFiles, places_of
from .shares import FOLDER, Share

KEYS = "keys"
Rows = Mapping[str, np.ndarray]
# Makes the rows of some blocks, each a range of places among the keys, one after the other.
Make = Callable[[Sequence[range]], Iterator[Rows]]


class SharedRows:
    """What is missing of some row files, in blocks, and what shares have made of it.

    Args:
        files: that lack the rows.
        keys: [N], which rows are missing, in the order in which they will be appended. They name rows.
        blocks: which of them are made together, in order: ranges of their places.
        make: makes the rows of some blocks.
    """

    def __init__(self, files: RowFiles, keys: np.ndarray, blocks: Sequence[range], make: Make) -> None:
        self.files, self.keys, self.blocks, self.make = files, keys, list(blocks), make
        folders = sorted((files.folder / FOLDER).glob("*-of-*"))
        self._pieces = [self._piece(folder.name) for folder in folders]
        self._places = self._find()

    @property
    def is_complete(self) -> bool:
        """Whether shares have made everything that is missing."""
        return bool((self._places >= 0).all())

    @property
    def not_made(self) -> list[range]:
        """The blocks that no share has made."""
        return [block for block in self.blocks if (self._places[block.start : block.stop] < 0).any()]

    def make_share(self, share: Share, advance: Callable[[int], None]) -> None:
        """Make what belongs to a share and was not made, into files of its own."""
        whose = {block.start: number for number, block in enumerate(self.blocks)}
        own = [block for block in self.not_made if share.takes(whose[block.start])]
        if not own:
            return
        with self._piece(share.name).appending() as append:
            for block, rows in zip(own, self.make(own), strict=True):
                append(**{**rows, KEYS: self.keys[block.start : block.stop]})
                advance(len(block))

    def append(self, append: Callable[..., None], advance: Callable[[int], None]) -> None:
        """Append all that is missing, in order: as shares have made it, and else made now.

        What shares have made and was damaged since is made anew.
        """
        self._pieces = [piece for piece in self._pieces if len(piece) and not piece.damage()]
        self._places = self._find()
        missing = self.not_made
        made, starts = self.make(missing), {block.start for block in missing}
        for block in self.blocks:
            append(**(next(made) if block.start in starts else self._taken(block)))
            advance(len(block))

    def forget(self, has: Callable[[np.ndarray], bool]) -> None:
        """Delete what shares have made and is in the files by now; not of a share that is at work.

        Args:
            has: whether all rows of some keys are in the files.
        """
        for piece in self._pieces:
            try:
                with FileLock(piece.folder / "lock", timeout=0):
                    piece.refresh()
                    if has(np.array(piece.column(KEYS))):
                        for file in piece.folder.glob("*.*"):
                            file.unlink()
            except Timeout:
                continue

    def _piece(self, name: str) -> RowFiles:
        columns = self.files.columns | {KEYS: self.keys.dtype}
        return RowFiles(self.files.folder / FOLDER / name, columns, numbers=self.files.numbers)

    def _find(self) -> np.ndarray:
        """[N], the place of each key among the rows of all shares, -1 where none has it."""
        known = np.concatenate([self.keys[:0], *(piece.column(KEYS) for piece in self._pieces)])
        return places_of(self.keys, known)

    def _taken(self, block: range) -> Rows:
        ends = np.cumsum([len(piece) for piece in self._pieces])
        places = self._places[block.start : block.stop]
        which = np.searchsorted(ends, places, side="right")
        starts = np.concatenate([[0], ends[:-1]])[which]
        rows: dict[str, np.ndarray] = {}
        for name, dtype in self.files.columns.items():
            rows[name] = np.empty((len(block), *dtype.shape), dtype.base)
            for piece in np.unique(which):
                of_piece = which == piece
                rows[name][of_piece] = self._pieces[piece].column(name)[(places - starts)[of_piece]]
        return rows


def blocks_of(count: int, size: int, *, first: int = 0) -> list[range]:
    """Ranges of at most `size` places that cover `count` places from `first` on."""
    last = first + count
    return [range(start, min(start + size, last)) for start in range(first, last, size)]
