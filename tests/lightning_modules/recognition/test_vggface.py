import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.vggface import (
    FILE,
    GROUPS,
    MEAN_BGR,
    TEN_CROPS_SIZE,
    VGGFace,
    load_vggface,
    ten_crops,
)
from lightning_modules.recognition.weight_files import WeightFileError

from .conftest import assert_frozen


def random_layers() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases in Keras' layout, scaled so that activations neither vanish nor explode."""
    generator = np.random.default_rng(0)
    shapes, channels_in = {}, 3
    for group, widths in enumerate(GROUPS, 1):
        for layer, channels in enumerate(widths, 1):
            shapes[f"conv{group}_{layer}"] = (3, 3, channels_in, channels)
            channels_in = channels
    shapes |= {"fc6": (512 * 7 * 7, 4096), "fc7": (4096, 4096)}
    layers = {}
    for name, shape in shapes.items():
        kernel = generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        layers[name] = kernel, generator.standard_normal(shape[-1], np.float32) * np.float32(0.1)
    return layers


def write_published_layout(path: Path, layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """As keras-vggface's file: a group per layer; the ReLU layer `fc6/relu` nests inside the group `fc6`."""
    with h5py.File(path, "w") as file:
        for name, (kernel, bias) in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"], group[f"{name}/bias:0"] = kernel, bias
        for name in ("fc6", "fc7"):
            file.create_group(f"{name}/relu").attrs["weight_names"] = np.zeros(0, "S1")


def vgg16_of_keras_vggface(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """The function that builds VGG-16 in keras-vggface 0.6, made importable on Keras 3.

    It asks for modules that Keras dropped, and names layers with a slash, which Keras 3 refuses. With these
    four stand-ins the network that it builds is its own.
    """
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if find_spec("keras_vggface") is None:
        pytest.skip("keras-vggface is not installed")

    def stand_in(name: str, **content: object) -> None:
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    stand_in("keras_applications")
    stand_in("keras_applications.imagenet_utils", _obtain_input_shape=lambda *_, **__: (224, 224, 3))
    stand_in("keras.utils.data_utils", get_file=keras.utils.get_file)
    stand_in("keras.engine")
    stand_in("keras.engine.topology", get_source_inputs=None)
    monkeypatch.setattr(keras.utils, "layer_utils", None, raising=False)
    models = importlib.import_module("keras_vggface.models")

    def activation(kind: str, name: str) -> object:
        return keras.layers.Activation(kind, name=name.replace("/", "_"))

    monkeypatch.setattr(models, "Activation", activation)
    return models.VGG16


def keras_judge(
    layers: dict[str, tuple[np.ndarray, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[np.ndarray], list]:
    """keras-vggface's own network with these weights: pixels -> fc6, fc7 and fc7 after ReLU."""
    model = vgg16_of_keras_vggface(monkeypatch)(weights=None)
    for name, weights in layers.items():
        model.get_layer(name).set_weights(weights)
    outputs = [model.get_layer(name).output for name in ("fc6", "fc7", "fc7_relu")]
    return importlib.import_module("keras").Model(model.inputs[0], outputs)


@pytest.mark.slow
def test_it_agrees_with_keras_vggfaces_own_network(
    face_like_images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = random_layers()
    write_published_layout(tmp_path / FILE, layers)
    network = load_vggface(tmp_path / FILE, "fc7")
    images = resample(face_like_images, network.crop)
    # keras_vggface.utils.preprocess_input, version 1: reverse to BGR, subtract the means.
    pixels = (255 * images).permute(0, 2, 3, 1).numpy()[..., ::-1] - np.array(MEAN_BGR, np.float32)
    with torch.no_grad():
        outputs = keras_judge(layers, monkeypatch)(np.ascontiguousarray(pixels))
    fc6, fc7, fc7_relu = map(torch.as_tensor, outputs)
    scale = fc7.abs().max()
    features, embedding, descriptor = network(face_like_images)
    torch.testing.assert_close(descriptor / scale, fc7 / scale, atol=1e-4, rtol=0)
    torch.testing.assert_close(features / scale, fc7_relu / scale, atol=1e-4, rtol=0)
    torch.testing.assert_close(embedding, torch.nn.functional.normalize(fc7, dim=1), atol=1e-4, rtol=0)
    swapped = network(images.flip(1), frame="native").embedding
    assert (swapped - embedding).abs().max() > 1e-3
    network.layer = "fc6-relu"
    torch.testing.assert_close(
        network(face_like_images).descriptor / scale, fc6.relu() / scale, atol=1e-4, rtol=0
    )
    assert_frozen(network, face_like_images[:1])
    network.descriptor_crops, network.crop = 10, network.crop._replace(size=TEN_CROPS_SIZE)
    one = ten_crops(resample(face_like_images[:1], network.crop))
    by_hand = torch.stack([network._describe_one(crop[None])[1] for crop in one]).mean(0)
    found = network(face_like_images[:1]).descriptor
    torch.testing.assert_close(found / scale, by_hand / scale, atol=1e-4, rtol=0)


def test_ten_crops_are_corners_and_middle_and_their_mirror_images() -> None:
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    images = torch.stack([x, y, 0 * x])[None]
    crops = ten_crops(images)
    assert crops.shape == (10, 3, 224, 224)
    corners = [tuple(crop[:2, 0, 0].tolist()) for crop in crops[:5]]
    assert corners == [(0, 0), (32, 0), (0, 32), (32, 32), (16, 16)]
    assert [crop[0, 0, 0].item() for crop in crops[5:]] == [223, 255, 223, 255, 239]


def test_another_number_of_crops_is_refused() -> None:
    with pytest.raises(ValueError, match="descriptor crops must be 1 or 10, got 5"):
        VGGFace({}, "ab" * 32, descriptor_crops=5)


def test_missing_weights_explain_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("VGGFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightFileError, match=r"models/vggface/rcmalli.*release v2\.0.*VGGFACE_WEIGHTS"):
        load_vggface()


def test_a_corrupt_file_is_refused_with_its_hash(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"not HDF5")
    with pytest.raises(
        WeightFileError, match=rf"{sha256_of_file(path)}\) does not hold keras-vggface's VGG-16: it is a text"
    ):
        load_vggface(path)


def test_a_file_without_a_layer_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / FILE, "w") as file:
        file.create_group("conv1_1").attrs["weight_names"] = [b"kernel", b"bias"]
    with pytest.raises(WeightFileError, match="does not hold keras-vggface's VGG-16"):
        load_vggface(tmp_path / FILE)


def test_a_layer_of_another_shape_is_refused(tmp_path: Path) -> None:
    layers = {
        f"conv{group}_{layer}": (np.zeros((3, 3, 1, 1), np.float32), np.zeros(1, np.float32))
        for group, widths in enumerate(GROUPS, 1)
        for layer in range(1, len(widths) + 1)
    }
    layers |= {
        "fc6": (np.zeros((512 * 7 * 7, 1), np.float32), np.zeros(1, np.float32)),
        "fc7": (np.zeros((1, 1), np.float32), np.zeros(1, np.float32)),
    }
    write_published_layout(tmp_path / FILE, layers)
    with pytest.raises(WeightFileError, match="does not hold keras-vggface's VGG-16: Error"):
        load_vggface(tmp_path / FILE)
