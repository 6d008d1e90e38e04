import codecs
import hashlib
import os
from pathlib import Path

import pytest

from lightning_modules.plain.files import (
    read_text,
    require_file,
    sha256_of_file,
    sha256_of_files,
    write_whole,
    written_atomically,
)


def test_a_write_replaces_the_file_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.txt"
    with written_atomically(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with written_atomically(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_text_and_bytes_are_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.txt"
    assert write_whole(path, "für") == path
    assert path.read_bytes() == "für".encode()
    assert write_whole(path, b"\x00\x01").read_bytes() == b"\x00\x01"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_written_file_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        with written_atomically(tmp_path / "file") as temporary:
            temporary.write_text("")
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_hashes_are_sha256_and_depend_on_names_but_not_on_the_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("abc")
    two.write_text("")
    assert sha256_of_file(one) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_files([one, two]) == sha256_of_files([two, one])
    lines = f"one {sha256_of_file(one)}\ntwo {sha256_of_file(two)}\n"
    assert sha256_of_files([one, two]) == hashlib.sha256(lines.encode()).hexdigest()


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none does not exist; expected a scan"):
        require_file(tmp_path / "none", "a scan")
    with pytest.raises(FileNotFoundError, match="is a folder; expected a scan"):
        require_file(tmp_path, "a scan")


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\n",
        b"a\r\nb\r\n",
        b"a\rb\r",
        codecs.BOM_UTF8 + b"a\nb\n",
        "a\r\nb\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "a\nb\n".encode("utf-16-be"),
        "a\nb\n".encode("utf-32"),
    ],
)
def test_text_is_read_without_byte_order_mark_and_with_one_kind_of_line_end(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt") == "a\nb\n"


def test_bytes_that_are_no_text_are_refused_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("José".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.txt is no text in utf-8 \(byte 3 is 0xe9\); save it as UTF-8"):
        read_text(tmp_path / "a.txt")
