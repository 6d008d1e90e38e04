import codecs
import hashlib
import json
import os
from pathlib import Path

import pytest

from lightning_modules.plain.files import (
    delete_leftovers,
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


def test_a_name_that_is_no_utf_8_is_written_as_json_reads_it_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    written = write_whole(tmp_path / "some.json", json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads(written.read_text(encoding="utf-8")) == {"name": name}
    assert write_whole(tmp_path / name, name).read_bytes() == b"caf\\udce9.jpg"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(28, "No space left on device"),
            r"\(No space left on device\); .* kept: free some space, and s",
        ),
        (OSError("errno = 28, error message = 'No space left on device'"), r"\(No space left on device\); "),
        (
            RuntimeError("writer failed: No space left on device"),
            r"\(No space left on device\); what was wri",
        ),
        (OSError(30, "Read-only file system"), r"\(Read-only file system\); .* kept: make its folder writab"),
    ],
)
def test_a_disk_that_takes_nothing_more_is_one_sentence(
    tmp_path: Path, error: Exception, sentence: str
) -> None:
    with (
        pytest.raises(OSError, match=rf"file.txt could not be written {sentence}"),
        written_atomically(tmp_path / "file.txt"),
    ):
        raise error
    assert os.listdir(tmp_path) == []


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), written_atomically(tmp_path / "file.txt"):
        (tmp_path / "absent").read_text()


def test_the_longest_names_are_written(tmp_path: Path) -> None:
    name = 251 * "n" + ".txt"
    assert write_whole(tmp_path / name, "whole").read_text() == "whole"
    with pytest.raises(OSError, match=r"could not be written \(File name too long\)"):
        write_whole(tmp_path / f"n{name}", "whole")


def test_what_a_killed_process_left_of_a_file_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    writing = written_atomically(tmp_path / "last.ckpt")
    left = writing.__enter__()  # and never leaves
    others = (
        "last.ckpt",
        ".last-mine.ckpt",
        ".last-abcdefgh.txt",
        "last-abcdefgh.ckpt",
        ".past-abcdefgh.ckpt",
    )
    for name in others:
        (tmp_path / name).touch()
    delete_leftovers(tmp_path / "last.ckpt")
    assert not left.exists()
    assert sorted(os.listdir(tmp_path)) == sorted(others)
    delete_leftovers(tmp_path / "none" / "last.ckpt")


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


def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.txt")
    for path in (tmp_path / "list.txt", Path("/dev/zero")):
        with pytest.raises(ValueError, match=rf"{path} is a pipe or a device; give a file"):
            read_text(path)
        with pytest.raises(FileNotFoundError, match=rf"{path} is a pipe or a device; expected a list"):
            require_file(path, "a list")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none does not exist; expected a scan"):
        require_file(tmp_path / "none", "a scan")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="link is a link whose target is missing; expected a scan"):
        require_file(tmp_path / "link", "a scan")
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
