import os
from pathlib import Path

import pytest
import torch

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.recognition.converted_weights import network_of_conversion


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "published.bin"
    path.write_bytes(b"weights")
    return path


def convert(path: Path) -> dict[str, torch.Tensor]:
    return {"length": torch.tensor(float(len(path.read_bytes())))}


def refuse(path: Path) -> dict[str, torch.Tensor]:
    raise AssertionError("converted again")


class Length(torch.nn.Module):
    """Holds one number."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.register_buffer("length", torch.zeros(()))
        self.load_state_dict(weights)


def test_a_conversion_is_read_from_the_cache_the_second_time(source: Path, tmp_path: Path) -> None:
    first = network_of_conversion(source, "net", convert, Length, tmp_path / "cache")
    again = network_of_conversion(source, "net", refuse, Length, tmp_path / "cache")
    assert float(first.length) == float(again.length) == 7


@pytest.mark.parametrize("digest_fits", [False, True])
@pytest.mark.parametrize(
    "content",
    [None, b"", {"other": torch.zeros(3)}, [1, 2], {"length": torch.zeros(3)}, {"length": Path("pickled")}],
)
def test_a_damaged_cache_is_converted_anew(
    source: Path, tmp_path: Path, content: object, digest_fits: bool
) -> None:
    network_of_conversion(source, "net", convert, Length, tmp_path)
    (cached,) = tmp_path.glob("net-*.pt")
    if content is None:
        cached.write_bytes(cached.read_bytes()[:-20])
    elif isinstance(content, bytes):
        cached.write_bytes(content)
    else:
        torch.save(content, cached)
    if digest_fits:
        cached.with_suffix(".sha256").write_text(sha256_of_file(cached))
    assert float(network_of_conversion(source, "net", convert, Length, tmp_path).length) == 7
    assert float(network_of_conversion(source, "net", refuse, Length, tmp_path).length) == 7


def test_an_unwritable_cache_folder_only_costs_the_conversion(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert float(network_of_conversion(source, "net", convert, Length, tmp_path / "file").length) == 7


def test_an_interrupted_write_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(weights: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network_of_conversion(source, "net", convert, Length, tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []
