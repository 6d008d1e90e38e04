"""Reading and writing files safely: content hashes and writes that are whole or absent."""

import codecs
import errno
import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What a disk says when it takes nothing more, and which of it freeing space mends.
FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
FORBIDDEN = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))
TAKES_NOTHING = FULL | FORBIDDEN | {errno.EIO, errno.ENAMETOOLONG, errno.EFBIG}
FULL_DISK = "No space left on device"  # in the words of libraries that keep no number
# A name has at most 255 bytes; a temporary one holds so many characters of the file's own.
KEPT_OF_STEM = 40
# Byte order marks and what follows them; UTF-32's little-endian one begins with UTF-16's.
ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@contextmanager
def written_atomically(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path in the same folder, which takes the place of `path` when the block succeeds.

    A block that raises leaves neither the temporary file nor a changed `path`. Two processes that write the
    same path each replace it with a whole file. The temporary name keeps the suffix.

    Args:
        path: of the file; its folder is made.
        durable: whether the content is on the disk before it takes its place, so that not even a power cut
            leaves a part. It costs some milliseconds a file.

    Raises:
        OSError: naming the file, the reason and what to do, where the disk takes nothing more.
    """
    path = Path(path)
    try:
        with _written(path, durable=durable) as temporary:
            yield temporary
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        full = number in FULL or FULL_DISK in str(error)
        if not full and number not in TAKES_NOTHING:
            raise
        reason = FULL_DISK if full else os.strerror(number)  # type: ignore[arg-type]  # of TAKES_NOTHING
        advice = "free some space" if full else "make its folder writable, or name another"
        raise OSError(
            f"{path} could not be written ({reason}); what was written before is kept: {advice}, and start "
            "the same command again"
        ) from error


@contextmanager
def _written(path: Path, *, durable: bool) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files that only their owner may read; a finished file follows the user's umask.
        temporary.chmod(0o666 & ~_umask())
        if durable:
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> Path:
    """The path, with text (UTF-8) or bytes; a reader sees the old file or the new one, never a part.

    What is no character, as in names of files that are not UTF-8, is written as its escape, which JSON reads
    back as it was.
    """
    with written_atomically(path, durable=True) as temporary:
        temporary.write_bytes(as_bytes(content) if isinstance(content, str) else content)
    return path


def as_bytes(text: str) -> bytes:
    """A text in UTF-8; what is no character, as names of files may have it, as its escape."""
    return text.encode("utf-8", "backslashreplace")


def as_characters(text: str) -> str:
    """A text to draw, see `as_bytes`."""
    return as_bytes(text).decode()


def is_text(path: Path) -> bool:
    """Whether a path's name, with its folders, is UTF-8: OpenCV ends the process at one that is not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def delete_leftovers(path: Path) -> None:
    """Delete what killed processes left of writing a file; no other may be writing it."""
    if not path.parent.is_dir():
        return
    begins, ends = _temporary_prefix(path), path.suffix
    length = len(begins) + TEMPORARY + len(ends)
    for other in path.parent.iterdir():
        name = other.name
        if len(name) == length and name.startswith(begins) and name.endswith(ends) and not other.is_dir():
            other.unlink()


def put_aside(path: Path) -> Path | None:
    """Rename a damaged file of a cache, so that it can be made again; its new name, None of none."""
    if not path.exists():
        return None
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


TEMPORARY = 8  # characters that `tempfile` puts between a name's ends


def _temporary_prefix(path: Path) -> str:
    return f".{path.stem[:KEPT_OF_STEM]}-"


def read_text(path: Path) -> str:
    """A text file's content: UTF-8, or what its byte order mark says, lines ended by a line feed alone.

    The mark itself is left out: editors on Windows write one, and Python would take it for a letter.

    Raises:
        ValueError: if the bytes are no text in that encoding, or never end, as those of a pipe may.
        OSError: if the file cannot be read.
    """
    if _waits(Path(path)):
        raise ValueError(f"{path} is a pipe or a device; give a file")
    content = Path(path).read_bytes()
    encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in {error.encoding} (byte {error.start} is {content[error.start]:#04x}); "
            "save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _waits(path: Path) -> bool:
    """Whether a path is something that a reader may wait at for ever."""
    return path.is_fifo() or path.is_char_device() or path.is_socket()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over several files: over the lines "name, file's SHA-256" in the names' order."""
    lines = sorted(f"{path.name} {sha256_of_file(path)}\n" for path in paths)
    return hashlib.sha256(as_bytes("".join(lines))).hexdigest()


def require_file(path: Path, what: str) -> None:
    """Refuses a path that is no file.

    Args:
        path: where the file should be.
        what: what it should be, and where to get it, to stand in the message.

    Raises:
        FileNotFoundError: if there is nothing, a folder, or a pipe.
    """
    if not path.is_file():
        missing = "is a link whose target is missing" if path.is_symlink() else "does not exist"
        found = "is a folder" if path.is_dir() else missing
        found = "is a pipe or a device" if _waits(path) else found
        raise FileNotFoundError(f"{path} {found}; expected {what}")
