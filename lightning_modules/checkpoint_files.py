"""Checkpoints as files: sealed by a digest at their end, read only where no byte was changed."""

import hashlib
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

# What a sealed file ends in, as its zip archive's comment: this and the SHA-256 of all bytes before it.
SEAL = b"sha256:"
SEAL_LENGTH = len(SEAL) + 64
ZIP_BEGINS = b"PK\x03\x04"
# What else comes under a checkpoint's name, by how it begins.
OTHERS = {
    b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself: `git lfs pull` gets that",
    b"<": "it is a web page, as some downloads save in place of the file",
    b"{": "it is JSON text",
    b"\x89HDF": "it is an HDF5 file",
    b"\x1f\x8b": "it is a compressed file; unpack it",
    b"\x80": "it is a pickle, which may run code and is not read",
}


def write_sealed(checkpoint: dict[str, Any], file: Path) -> None:
    """Write what `torch.load` reads, and append the digest of all that was written."""
    torch.save(checkpoint, file)
    with file.open("rb+") as stream:
        # A zip archive ends with its comment's length and the comment; torch writes an empty one.
        stream.seek(-2, os.SEEK_END)
        stream.write(struct.pack("<H", SEAL_LENGTH))
        size = stream.tell()
        digest = _digest(stream, size)
        stream.seek(size)
        stream.write(SEAL + digest)


def read_sealed(file: Path) -> Any:  # noqa: ANN401 - whatever a file holds
    """What lies in a file that `torch.save` or `write_sealed` wrote; nothing in it is executed.

    Of a file without a digest, as older versions and others wrote it, the archive's own check sums are
    compared.

    Raises:
        ValueError: if any byte was changed, or the file is something else; the message is the reason alone.
    """
    reason = _reason_not_to_read(file)
    if reason:
        raise ValueError(reason)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file leads to
        # torch's own text advises to execute what the file holds.
        raise ValueError("it holds something else than tensors, numbers and text") from error


def _reason_not_to_read(file: Path) -> str:
    size = file.stat().st_size
    with file.open("rb") as stream:
        begins = stream.read(64)
        if not begins.startswith(ZIP_BEGINS):
            known = (what for start, what in OTHERS.items() if begins.lstrip().startswith(start))
            return next(known, "it is no file of PyTorch's") if size else "it is empty"
        stream.seek(max(0, size - SEAL_LENGTH))
        seal = stream.read()
        sealed = seal.startswith(SEAL)
        if sealed and seal[len(SEAL) :] != _digest(stream, size - SEAL_LENGTH):
            return "its content is not what its own digest says"
    try:
        with ZipFile(file) as archive:
            members = archive.infolist()
            if any(member.compress_type != ZIP_STORED for member in members):
                return "parts of it are compressed, which PyTorch never does"
            if sum(member.file_size for member in members) > size:
                return "its parts claim to be larger than the file"
            if not sealed and (archive.comment or archive.testzip() is not None):
                return "its content is not what its own check sums say"
    except (BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return "it was cut off, or its end was overwritten"
    return ""


def _digest(stream: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first bytes of a file, in hexadecimal."""
    digest = hashlib.sha256()
    stream.seek(0)
    while size > 0 and (part := stream.read(min(size, 2**20))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()
