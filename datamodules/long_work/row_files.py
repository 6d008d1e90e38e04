"""Arrays that grow row by row, in memory-mapped files: one file a column, rows only ever appended."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock


class RowFiles:
    """Some columns of one length in a folder.

    A row counts once every column has it, so a process that is stopped leaves nothing that is wrong: the next
    one that appends cuts what is half-written. Reading maps the files, so memory stays flat however many
    rows there are.

    Args:
        folder: made if need be.
        columns: the type of one row of each column, such as `np.dtype((np.float32, 256))`.
    """

    def __init__(self, folder: Path, columns: Mapping[str, np.dtype]) -> None:
        self.folder, self.columns = folder, dict(columns)
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def refresh(self) -> None:
        """Look again how many rows there are; another process may have appended."""
        self._count = min(self._size(name) // dtype.itemsize for name, dtype in self.columns.items())

    def __len__(self) -> int:
        return self._count

    def column(self, name: str) -> np.ndarray:
        """All rows of a column, mapped from its file."""
        base, shape = self.columns[name].base, self.columns[name].shape
        if self._count == 0:
            return np.empty((0, *shape), base)
        return np.memmap(self._file(name), base, "r", shape=(self._count, *shape))

    @contextmanager
    def appending(self) -> Iterator[Callable[..., None]]:
        """A function that appends rows, given by column; only one process at a time gets it.

        It raises a ValueError, and appends nothing, if a column's rows are of another shape or number.
        """
        with FileLock(self.folder / "lock"), ExitStack() as stack:
            self.refresh()
            files = {name: stack.enter_context(self._file(name).open("ab")) for name in self.columns}
            for name, dtype in self.columns.items():
                files[name].truncate(self._count * dtype.itemsize)

            def append(**rows: np.ndarray) -> None:
                count = len(next(iter(rows.values())))
                for name, dtype in self.columns.items():
                    expected = (count, *dtype.shape)
                    if rows[name].shape != expected:
                        raise ValueError(
                            f"rows of {name} must be {list(expected)}, got {list(rows[name].shape)}"
                        )
                for name, dtype in self.columns.items():
                    files[name].write(np.ascontiguousarray(rows[name], dtype.base).tobytes())
                    files[name].flush()
                self._count += count

            yield append

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    def _size(self, name: str) -> int:
        return self._file(name).stat().st_size if self._file(name).exists() else 0
