"""Reading and writing files safely: content hashes and writes that are whole or absent."""

import codecs
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
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
    """The path, with text (UTF-8) or bytes; a reader sees the old file or the new one, never a part."""
    with written_atomically(path, durable=True) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_text(path: Path) -> str:
    """A text file's content: UTF-8, or what its byte order mark says, lines ended by a line feed alone.

    The mark itself is left out: editors on Windows write one, and Python would take it for a letter.

    Raises:
        ValueError: if the bytes are no text in that encoding.
        OSError: if the file cannot be read.
    """
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
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def require_file(path: Path, what: str) -> None:
    """Refuses a path that is no file.

    Args:
        path: where the file should be.
        what: what it should be, and where to get it, to stand in the message.

    Raises:
        FileNotFoundError: if there is nothing, or a folder.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {found}; expected {what}")
