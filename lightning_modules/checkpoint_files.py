"""Checkpoints as files: a digest at their end says whether any byte was changed."""

import hashlib
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import torch

# What a sealed file ends in, as its zip archive's comment: this and the SHA-256 of all bytes before it.
SEAL = b"sha256:"
SEAL_LENGTH = len(SEAL) + 64


def write_sealed(checkpoint: dict[str, Any], file: Path) -> None:
    """Write what `torch.load` reads, and append the digest of all that was written."""
    with file.open("wb") as stream:  # by its name alone, torch refuses a file without suffix
        torch.save(checkpoint, stream)
    with file.open("rb+") as stream:
        # A zip archive ends with its comment's length and the comment; torch writes an empty one.
        stream.seek(-2, os.SEEK_END)
        stream.write(struct.pack("<H", SEAL_LENGTH))
        size = stream.tell()
        digest = _digest(stream, size)
        stream.seek(size)
        stream.write(SEAL + digest)


def why_not_whole(file: Path) -> str:
    """Why a sealed file is not as it was written; empty if it is, or if it never had a digest."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - SEAL_LENGTH))
        seal = stream.read()
        if seal.startswith(SEAL):
            whole = seal[len(SEAL) :] == _digest(stream, size - SEAL_LENGTH)
            return "" if whole else "its content is not what its own digest says"
    try:
        with ZipFile(file) as archive:
            # torch writes no comment: here was a digest.
            return "the digest at its end was overwritten" if archive.comment else ""
    except (BadZipFile, OSError, ValueError):
        return ""


def _digest(stream: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first bytes of a file, in hexadecimal."""
    digest = hashlib.sha256()
    stream.seek(0)
    while size > 0 and (part := stream.read(min(size, 2**20))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()
