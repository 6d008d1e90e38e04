"""What a file is that cannot be read as what was expected, by its first bytes."""

import zipfile
from pathlib import Path

HEAD = 512
TEXT_FILE = "is a text file"
_KINDS = {
    b"version https://git-lfs": "is a Git LFS pointer; fetch the file itself by `git lfs pull`",
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file, as Keras and h5py write",
    b"\x1f\x8b": "is compressed by gzip; unpack it",
    b"BZh": "is compressed by bzip2; unpack it",
    b"\xfd7zXZ\0": "is compressed by xz; unpack it",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; unpack it",
    b"\x93NUMPY": "is a NumPy array",
    b"%PDF": "is a PDF",
    b"\x89PNG": "is a picture",
    b"\xff\xd8\xff": "is a picture",
}


def what_it_is(path: Path) -> str:
    """What a file is, as the end of a sentence that begins with its name; empty where nothing is known.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as stream:
        head = stream.read(HEAD)
    if not head:
        return "is empty, as a copy or download that failed leaves it; get it again"
    for beginning, meaning in _KINDS.items():
        if head.startswith(beginning):
            return meaning
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<head")):
        return "is a web page, as a download that failed leaves it; get the file itself"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 2**32:
        return "is a safetensors file"
    if head.startswith(b"PK\3\4"):
        return _what_archive_it_is(path)
    if not head.strip(b"\0"):
        return "begins with zeros, as a copy that broke off leaves it; get it again"
    if _is_text(head):
        return TEXT_FILE
    return ""


def damaged_part(path: Path) -> str | None:
    """The first entry of a ZIP archive whose bytes are not those of its checksum; None if all are.

    Raises:
        zipfile.BadZipFile: if it is no whole archive.
        OSError: if it cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _what_archive_it_is(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RecursionError):
        return f"is cut off or damaged ({path.stat().st_size:,} bytes are left); get it again"
    if any(name.endswith("/data.pkl") for name in names):
        return "is a TorchScript program" if any(name.endswith("/constants.pkl") for name in names) else ""
    if names and all(name.endswith(".npy") for name in names):
        return "is an archive of NumPy arrays"
    return "is a ZIP archive of another program; unpack it if what is wanted lies in it"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < HEAD else "ignore")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\n\r\t" for letter in text)
