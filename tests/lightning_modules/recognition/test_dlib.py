from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.recognition import dlib
from lightning_modules.recognition.dlib import SHA256, load_dlib
from lightning_modules.recognition.dlib_file import read_dlib_file
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.weight_files import WeightFileError, file_in_package


@pytest.fixture
def published() -> Path:
    return file_in_package(
        "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat", dlib.REQUIREMENT
    )


def test_it_agrees_with_dlib_itself(face_like_images: Tensor, published: Path) -> None:
    judge = pytest.importorskip("dlib").face_recognition_model_v1(str(published))
    network = load_dlib()
    # dlib takes 8-bit images; the port gets the same rounded values.
    chips = (255 * resample(face_like_images, network.crop)).round().clamp(0, 255)
    images = [np.ascontiguousarray(chip.permute(1, 2, 0).byte().numpy()) for chip in chips]
    expected = torch.tensor(np.array([judge.compute_face_descriptor(image) for image in images])).float()
    torch.testing.assert_close(network(chips / 255, frame="native").descriptor, expected, atol=1e-5, rtol=0)
    swapped = network(chips.flip(1) / 255, frame="native").descriptor
    assert (swapped - expected).abs().amax(1).min() > 1e-3


def test_the_network_carries_the_hash_of_its_file() -> None:
    assert load_dlib().sha256 == SHA256


def test_another_file_is_refused_with_both_hashes(tmp_path: Path) -> None:
    (tmp_path / "other.dat").write_bytes(b"other")
    with pytest.raises(
        WeightFileError, match=rf"other\.dat has SHA-256 .*, expected {SHA256}: it is .*; pip install"
    ):
        load_dlib(tmp_path / "other.dat")


def test_a_file_of_another_network_is_refused(tmp_path: Path, published: Path) -> None:
    (tmp_path / "empty.dat").write_bytes(b"nothing of dlib")
    with pytest.raises(WeightFileError, match=r"holds \(0, 0, 0\) convolutions.* expected \(29, 29, 1\)"):
        read_dlib_file(tmp_path / "empty.dat")
    (tmp_path / "cut.dat").write_bytes(published.read_bytes()[:100_000])
    with pytest.raises(WeightFileError, match=r"cut\.dat cannot be read as dlib's recognition network"):
        read_dlib_file(tmp_path / "cut.dat")
