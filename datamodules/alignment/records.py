"""What is known of each photograph, keyed by its content: its faces, or why it has none."""

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from errno import EILSEQ
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from .crops import Quality

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, digest BLOB);
CREATE TABLE IF NOT EXISTS photographs (digest BLOB PRIMARY KEY, width INTEGER, height INTEGER, reason TEXT);
CREATE TABLE IF NOT EXISTS faces
    (digest BLOB, face INTEGER, points BLOB, quality BLOB, PRIMARY KEY (digest, face));
"""
COLUMNS = {
    "path, size, modified, digest": "files",
    "digest, width, height, reason": "photographs",
    "digest, face, points, quality": "faces",
}


class FaceRecord(NamedTuple):
    """One face of a photograph.

    Attributes:
        points: [5, 2] in pixels of the photograph as read (images.WORKING_SIDE).
        quality: see alignment.Quality.
    """

    points: np.ndarray
    quality: Quality


class PhotographRecord(NamedTuple):
    """What alignment found in a photograph.

    Attributes:
        digest: SHA-256 of the file's content, 32 bytes.
        width: in pixels, 0 where the file could not be read.
        height: likewise.
        reason: why there is no face to use, or None.
        faces: the selected ones, largest first.
    """

    digest: bytes
    width: int
    height: int
    reason: str | None
    faces: list[FaceRecord]


class HashedFile(NamedTuple):
    """A file as it was when it was hashed: unless size or time changed, it need not be read again."""

    path: str
    size: int
    modified: int
    digest: bytes


class FaceRecords:
    """The records of one cache folder, in an SQLite file: every commit survives a killed process.

    A file that shows on opening to be damaged is put aside and made anew; where damage within shows later,
    the methods raise an OSError that says what to do.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._file = file
        if read_only:
            with self._in_one_sentence():
                place = f"{file.absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(place, uri=True, timeout=60)
        else:
            try:
                self._connection = _opened(file)
            except sqlite3.OperationalError as error:
                if not _is_of_another_schema(error):
                    raise _not_usable(file, error) from error
                self._connection = _made_anew(file, error)
            except sqlite3.DatabaseError as error:
                self._connection = _made_anew(file, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def digest_of(self, path: Path) -> bytes | None:
        """The digest of a file that did not change since it was hashed, or None.

        Raises:
            OSError: if the file is not there, or its name is of no characters.
        """
        state = path.stat()
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError as error:
            raise OSError(EILSEQ, "its name is not UTF-8; rename it") from error
        row = self._one("SELECT size, modified, digest FROM files WHERE path = ?", str(path.absolute()))
        return row[2] if row is not None and row[:2] == (state.st_size, state.st_mtime_ns) else None

    def knows(self, digest: bytes) -> bool:
        """Whether this content was looked at before."""
        return self._one("SELECT 1 FROM photographs WHERE digest = ?", digest) is not None

    def add(self, files: Iterable[HashedFile], photographs: Iterable[PhotographRecord]) -> None:
        """Store, in one transaction."""
        photographs = list(photographs)
        with self._in_one_sentence(), self._connection as connection:
            connection.executemany("REPLACE INTO files VALUES (?, ?, ?, ?)", files)
            connection.executemany(
                "REPLACE INTO photographs VALUES (?, ?, ?, ?)", (tuple(record[:4]) for record in photographs)
            )
            connection.executemany(
                "REPLACE INTO faces VALUES (?, ?, ?, ?)",
                (
                    (record.digest, index, _bytes(face.points), _bytes(face.quality))
                    for record in photographs
                    for index, face in enumerate(record.faces)
                ),
            )

    def absorb(self, file: Path) -> None:
        """Take over all that another file of records holds, in one transaction."""
        # Opened first: a damaged file is put aside, as everywhere.
        with FaceRecords(file):
            pass
        with self._in_one_sentence():
            self._connection.execute("ATTACH DATABASE ? AS other", (str(file),))
            try:
                with self._connection as connection:
                    for columns, table in COLUMNS.items():
                        connection.execute(f"REPLACE INTO {table} SELECT {columns} FROM other.{table}")
            finally:
                self._connection.execute("DETACH DATABASE other")

    def reason(self, digest: bytes) -> str | None:
        """Why this photograph has no face to use, or None."""
        row = self._one("SELECT reason FROM photographs WHERE digest = ?", digest)
        return None if row is None else row[0]

    def faces(self, digest: bytes) -> Iterator[FaceRecord]:
        """The faces of a photograph, largest first."""
        query = "SELECT points, quality FROM faces WHERE digest = ? ORDER BY face"
        with self._in_one_sentence(), closing(self._connection.execute(query, (digest,))) as rows:
            found = [
                FaceRecord(np.frombuffer(points).reshape(5, 2), Quality(*np.frombuffer(quality).tolist()))
                for points, quality in rows
            ]
        yield from found

    def qualities(self, digest: bytes) -> list[bytes]:
        """The quality of each face of a photograph, packed as float64, largest first."""
        query = "SELECT quality FROM faces WHERE digest = ? ORDER BY face"
        with self._in_one_sentence(), closing(self._connection.execute(query, (digest,))) as rows:
            return [row[0] for row in rows]

    def _one(self, query: str, value: object) -> tuple | None:
        with self._in_one_sentence(), closing(self._connection.execute(query, (value,))) as rows:
            return rows.fetchone()

    @contextmanager
    def _in_one_sentence(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            of_the_disk = isinstance(error, sqlite3.OperationalError) and "no such" not in str(error)
            if of_the_disk:
                raise _not_usable(self._file, error) from error
            raise OSError(
                f"{self._file} is damaged ({error}); delete it, and start the same command again: what it "
                "held is found anew"
            ) from error


def _not_usable(file: Path, error: Exception) -> OSError:
    return OSError(
        f"{file} cannot be used ({error}); end the program that holds it, free some space, or name another "
        "--cache-folder"
    )


def _opened(file: Path) -> sqlite3.Connection:
    """A connection to the records, made where there are none, once their columns are found to be there."""
    connection = sqlite3.connect(file, timeout=60)
    try:
        with connection:
            connection.executescript(SCHEMA)
        for columns, table in COLUMNS.items():
            connection.execute(f"SELECT {columns} FROM {table} LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _is_of_another_schema(error: sqlite3.OperationalError) -> bool:
    return "no such column" in str(error)


def _made_anew(file: Path, error: sqlite3.Error) -> sqlite3.Connection:
    """New records in place of damaged ones, which are put aside: a cache is only a cache."""
    aside = file.with_name(f"{file.name}.damaged")
    file.replace(aside)
    print(f"{file} is damaged ({error}): kept as {aside.name}, and made anew", file=sys.stderr)
    return _opened(file)


def _bytes(values: object) -> bytes:
    return np.asarray(values, np.float64).tobytes()
