import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lightning_modules.plain.foreign_files import damaged_part, what_it_is


@pytest.mark.parametrize(
    ("content", "meaning"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a Git LFS pointer"),
        (b"  <!DOCTYPE HTML>\n<title>404</title>", "is a web page"),
        (b"<html><body>Quota exceeded</body>", "is a web page"),
        (b"\x1f\x8b\x08\0\0\0", "is compressed by gzip"),
        (b"PK\3\4 and no end", "is cut off or damaged"),
        (bytes(600), "begins with zeros"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"layer.weight":{"dtype":"F32"', "is a safetensors file"),
        (b"weights, perhaps\n", "is a text file"),
        ("é".encode() * 400, "is a text file"),
        (b"\x80\x02}q\0.", ""),
        (bytes(range(256)), ""),
    ],
)
def test_files_are_told_by_how_they_begin(tmp_path: Path, content: bytes, meaning: str) -> None:
    (tmp_path / "file").write_bytes(content)
    found = what_it_is(tmp_path / "file")
    assert found.startswith(meaning)
    assert bool(found) == bool(meaning)


def test_archives_and_arrays_of_other_programs_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    np.save(tmp_path / "array.npy", np.zeros(2))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("model.json", "{}")
    with h5py.File(tmp_path / "keras.h5", "w") as file:
        file["a"] = 1
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        for name in ("program/data.pkl", "program/constants.pkl", "program/code/a.py"):
            archive.writestr(name, "")
    torch.save({}, tmp_path / "ours.ckpt")
    found = {path.name: what_it_is(path) for path in tmp_path.iterdir()}
    assert found["arrays.npz"] == "is an archive of NumPy arrays"
    assert found["array.npy"] == "is a NumPy array"
    assert found["other.zip"].startswith("is a ZIP archive of another program")
    assert found["keras.h5"].startswith("is an HDF5 file")
    assert found["program.pt"] == "is a TorchScript program"
    assert found["ours.ckpt"] == ""


def test_a_changed_byte_of_an_archive_is_found(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(100)}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    assert damaged_part(tmp_path / "a.pt") is None
    place = whole.index(torch.arange(100).numpy().tobytes()) + 70
    (tmp_path / "a.pt").write_bytes(whole[:place] + b"\x99" + whole[place + 1 :])
    assert damaged_part(tmp_path / "a.pt") == "a/data/0"
