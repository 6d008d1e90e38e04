import os
from pathlib import Path

import pytest
import torch

from lightning_modules.recognition.converted_weights import cached_conversion


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "published.bin"
    path.write_bytes(b"weights")
    return path


def convert(path: Path) -> dict[str, torch.Tensor]:
    return {"length": torch.tensor(float(len(path.read_bytes())))}


def refuse(path: Path) -> dict[str, torch.Tensor]:
    raise AssertionError("converted again")


def test_a_conversion_is_read_from_the_cache_the_second_time(source: Path, tmp_path: Path) -> None:
    first = cached_conversion(source, "net", convert, tmp_path / "cache")
    assert (
        cached_conversion(source, "net", refuse, tmp_path / "cache") == first == {"length": torch.tensor(7.0)}
    )


def test_a_damaged_cache_is_converted_anew(source: Path, tmp_path: Path) -> None:
    cached_conversion(source, "net", convert, tmp_path)
    (cached,) = tmp_path.glob("net-*.pt")
    cached.write_bytes(cached.read_bytes()[:-20])
    assert cached_conversion(source, "net", convert, tmp_path) == {"length": torch.tensor(7.0)}
    assert cached_conversion(source, "net", refuse, tmp_path) == {"length": torch.tensor(7.0)}


def test_an_unwritable_cache_folder_only_costs_the_conversion(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert cached_conversion(source, "net", convert, tmp_path / "file") == {"length": torch.tensor(7.0)}


def test_an_interrupted_write_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(weights: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached_conversion(source, "net", convert, tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []
