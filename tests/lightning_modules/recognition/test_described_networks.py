import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.recognition.described_networks import OnnxNetwork, load_onnx, load_torch
from lightning_modules.recognition.frame import SFACE_CROP, SFACE_TEMPLATE
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.resampling import resample
from lightning_modules.recognition.weight_files import WeightFileError

from .conftest import assert_frozen

SIDECAR = {
    "size": 112,
    "template": "arcface",
    "mean": 127.5,
    "standard_deviation": 128.0,
    "embedding_width": 6,
}


class SmallTorch(nn.Module):
    """Maps of five channels, and an embedding of six numbers."""

    def __init__(self, *, blind: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.fc, self.blind = nn.Conv2d(3, 5, 7, 4), nn.Linear(5, 6), blind

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.blind:
            images = images.detach()
        maps = torch.tanh(self.conv(images))
        return maps, self.fc(maps.mean((2, 3)))


def describe(path: Path, **changes: object) -> Path:
    content = {key: value for key, value in (SIDECAR | changes).items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


def write_onnx(
    path: Path, *, operators: str = "usual", batch: int | str = "batch", **sidecar: object
) -> Path:
    """A graph of many operators: 3 to 8 channels, a residual, a pooled and a flattened path, 6 numbers."""
    generator = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {
        "w1": generator.normal(0, 0.1, (8, 3, 7, 7)),
        "b1": generator.normal(0, 0.1, 8),
        **{name: 0.5 + generator.random(8) for name in ("gain", "variance")},
        **{name: generator.normal(0, 0.2, 8) for name in ("bias", "mean")},
        "slope": np.full((8, 1, 1), 0.3),
        "w2": generator.normal(0, 0.1, (8, 2, 3, 3)),
        "half": np.array(0.5),
        "w3": generator.normal(0, 0.1, (6, 8 * 13 * 13)),
        "b3": generator.normal(0, 0.1, 6),
        "w4": generator.normal(0, 0.4, (8, 6)),
    }
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    tensors.append(numpy_helper.from_array(np.array([1, -1] if batch == 1 else [0, -1]), "flat"))
    tensors.append(numpy_helper.from_array(np.array([2, 3]), "plane"))
    nodes = [
        helper.make_node("Conv", ["in", "w1", "b1"], ["c1"], strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node(
            "BatchNormalization", ["c1", "gain", "bias", "mean", "variance"], ["n1"], epsilon=1e-3
        ),
        helper.make_node("PRelu", ["n1", "slope"], ["p1"]),
        helper.make_node("Conv", ["p1", "w2"], ["c2"], group=4, pads=[2, 2, 2, 2], dilations=[2, 2]),
        helper.make_node("HardSigmoid", ["c2"], ["h2"], alpha=0.25, beta=0.4),
        helper.make_node("Mul", ["h2", "p1"], ["m2"]),
        helper.make_node("Add", ["m2", "p1"], ["maps"]),
        helper.make_node("MaxPool", ["maps"], ["x1"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Clip", ["x1", "", "b_high"], ["x2"]),
        helper.make_node("Reshape", ["x2", "flat"], ["f1"]),
        helper.make_node("Gemm", ["f1", "w3", "b3"], ["g1"], transB=1, alpha=0.5),
        helper.make_node("ReduceMean", ["maps"], ["r1"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["r1", "w4"], ["g2"]),
        helper.make_node("Sub", ["g1", "g2"], ["d1"]),
        helper.make_node("Div", ["d1", "half"], ["out"]),
    ]
    tensors.append(numpy_helper.from_array(np.array(2.0, np.float32), "b_high"))
    if operators == "refused":
        nodes.insert(7, helper.make_node("Round", ["maps"], ["rounded"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 6])],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return describe(path, **sidecar)


def test_an_onnx_network_is_what_onnxruntime_computes(face_like_images: Tensor, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "small.onnx", features="maps", feature_width=8)
    network = load_network(f"onnx:{path}")
    assert isinstance(network, OnnxNetwork)
    assert network.name == f"onnx-{sha256_of_file(path)[:8]}"
    assert network.crop == SFACE_CROP
    crops = resample(face_like_images, SFACE_CROP)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"in": ((255 * crops - 127.5) / 128).numpy()})
    found = network(face_like_images)
    np.testing.assert_allclose(found.descriptor.numpy(), expected, atol=1e-4)
    assert found.features.shape == (4, 8)
    assert_frozen(network, face_like_images[:1])
    assert network.differentiable


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def write_graph(
    path: Path, nodes: list[onnx.NodeProto], *, shape: list, outputs: list[str], opset: int, **sidecar: object
) -> Path:
    """A graph of these nodes from `in` to outputs, with weights `w1` [8, 3, 5, 5], `w2` [6, 8] and `b2`."""
    generator = np.random.default_rng(4)
    arrays = {"w1": generator.normal(0, 0.1, (8, 3, 5, 5)), "w2": generator.normal(0, 0.3, (6, 8))}
    arrays["b2"] = generator.normal(0, 0.1, 6)
    arrays |= {"gain": 1 + generator.normal(0, 0.1, 8), "bias": generator.normal(0, 0.1, 8)}
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        tensors,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path)
    )
    return describe(path, **sidecar)


HEAD = [
    node("GlobalAveragePool", "m", "g"),
    node("Flatten", "g", "f"),
    node("Gemm", "f w2 b2", "out", transB=1),
]
GRAPHS: dict[str, tuple[int, list[onnx.NodeProto]]] = {
    "same padding": (13, [
        node("Conv", "in w1", "c", strides=[3, 3], auto_pad="SAME_UPPER"),
        node("MaxPool", "c", "x", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
        node("AveragePool", "x", "m", kernel_shape=[4, 4], strides=[3, 3], auto_pad="SAME_UPPER"), *HEAD,
    ]),
    "means without their padding": (13, [
        node("Conv", "in w1", "c", strides=[4, 4], auto_pad="SAME_LOWER"),
        node("AveragePool", "c", "x", kernel_shape=[3, 3], pads=[1, 0, 1, 2]),
        node("AveragePool", "x", "m", kernel_shape=[3, 3], pads=[1, 1, 0, 0], count_include_pad=1), *HEAD,
    ]),
    "padding and slices": (13, [
        node("Constant", "", "pads", value_ints=[0, 0, 1, 2, 0, 0, 3, 0]),
        node("Constant", "", "v", value_float=0.5),
        node("Pad", "in pads v", "p"), node("Conv", "p w1", "c", strides=[4, 4]),
        node("Constant", "", "s", value_ints=[1, -20]), node("Constant", "", "e", value_ints=[9999, -1]),
        node("Constant", "", "a", value_ints=[3, 2]), node("Constant", "", "by", value_ints=[2, 1]),
        node("Slice", "c s e a by", "m"), *HEAD,
    ]),
    "padding and slices of old": (9, [
        node("Pad", "in", "p", pads=[0, 0, 2, 1, 0, 0, 0, 3], value=-1.0),
        node("Conv", "p w1", "c", strides=[4, 4]),
        node("Slice", "c", "m", starts=[2, 0], ends=[20, 9], axes=[2, 3]), *HEAD,
    ]),
    "parts": (13, [
        node("Conv", "in w1", "c", strides=[4, 4]), node("Split", "c", "a b", axis=1),
        node("Constant", "", "sizes", value_ints=[1, 3]), node("Split", "b sizes", "d e", axis=1),
        node("Abs", "a", "aa"), node("Neg", "d", "dd"), node("Exp", "e", "ee"),
        node("Concat", "ee aa dd", "m", axis=1), *HEAD,
    ]),
    "a transformer's": (17, [
        node("Conv", "in w1", "c", strides=[8, 8]), node("GlobalAveragePool", "c", "g"),
        node("Flatten", "g", "f"),
        node("LayerNormalization", "f gain bias", "l", epsilon=1e-4), node("Erf", "l", "r"),
        node("Softmax", "r", "s", axis=1), node("Add", "s l", "t"), node("Gemm", "t w2 b2", "out", transB=1),
    ]),
    "channels last": (13, [
        node("Transpose", "in", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first w1", "m", strides=[4, 4]), *HEAD,
        node("Transpose", "m", "maps", perm=[0, 2, 3, 1]),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_what_exporters_write_is_computed_as_onnxruntime_does(
    face_like_images: Tensor, tmp_path: Path, name: str
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    opset, nodes = GRAPHS[name]
    last = name == "channels last"
    options = {"features": "maps", "feature_width": 8} if last else {}
    path = write_graph(
        tmp_path / "small.onnx", nodes, shape=["N", 112, 112, 3] if last else ["N", 3, 112, 112],
        outputs=["out", "maps"] if last else ["out"], opset=opset, embedding="out", **options,
    )  # fmt: skip
    network = load_onnx(path)
    pictures = ((255 * resample(face_like_images, SFACE_CROP) - 127.5) / 128).numpy()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected, *maps = session.run(None, {"in": pictures.transpose(0, 2, 3, 1) if last else pictures})
    found = network(face_like_images)
    np.testing.assert_allclose(found.descriptor.numpy(), expected, atol=1e-5)
    for each in maps:
        np.testing.assert_allclose(found.features.numpy(), each.mean((1, 2)), atol=1e-5)
    assert network.differentiable


def test_a_graph_of_several_outputs_asks_which_is_the_embedding(tmp_path: Path) -> None:
    nodes = [node("Conv", "in w1", "m", strides=[8, 8]), *HEAD]
    options = {"shape": ["N", 3, 112, 112], "outputs": ["f", "out"], "opset": 13}
    message = r"embedding_width says \[2, 6\] numbers; mend small\.json, and name as embedding one of f, out"
    with pytest.raises(WeightFileError, match=message):
        load_onnx(write_graph(tmp_path / "small.onnx", nodes, **options))
    assert load_onnx(write_graph(tmp_path / "small.onnx", nodes, **options, embedding="out")).differentiable


def test_operators_in_a_form_that_is_not_known_are_refused_in_one_sentence(tmp_path: Path) -> None:
    backwards = {"starts": [5], "ends": [0], "axes": [2], "steps": [-1]}
    constants = [node("Constant", "", name, value_ints=values) for name, values in backwards.items()]
    for nodes, message in (
        ([*constants, node("Slice", "c starts ends axes steps", "m")], "a Slice that runs backwards"),
        (
            [node("Constant", "", "p", value_ints=[0] * 8), node("Pad", "c p", "m", mode="reflect")],
            "padding reflect",
        ),
    ):
        path = write_graph(
            tmp_path / "small.onnx", [node("Conv", "in w1", "c", strides=[8, 8]), *nodes, *HEAD],
            shape=["N", 3, 112, 112], outputs=["out"], opset=13,
        )  # fmt: skip
        with pytest.raises(WeightFileError, match=f"{message} is not known") as refused:
            load_onnx(path)
        assert "\n" not in str(refused.value)


def test_its_gradient_is_that_of_differences(tmp_path: Path) -> None:
    network = load_onnx(write_onnx(tmp_path / "small.onnx")).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, 112, 112, generator=generator, dtype=torch.float64).requires_grad_()
    direction = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    score = network(images, frame="native").descriptor.square().sum()
    (gradient,) = torch.autograd.grad(score, images)
    step = 1e-6 * direction
    with torch.no_grad():
        ends = [network(images + s * step, frame="native").descriptor.square().sum() for s in (1, -1)]
    assert float((ends[0] - ends[1]) / 2e-6) == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_a_batch_of_one_that_is_written_into_a_graph_is_any_batch(
    face_like_images: Tensor, tmp_path: Path
) -> None:
    free = load_onnx(write_onnx(tmp_path / "free.onnx"))
    fixed = load_onnx(write_onnx(tmp_path / "fixed.onnx", batch=1))
    torch.testing.assert_close(fixed(face_like_images).embedding, free(face_like_images).embedding)


def save_program(path: Path, module: nn.Module, **sidecar: object) -> Path:
    batch = torch.export.Dim("batch", min=1, max=512)
    images = torch.zeros(2, 3, 112, 112)
    program = torch.export.export(module, (images,), dynamic_shapes=({0: batch},))
    torch.export.save(program, str(path))
    return describe(path, **sidecar)


def test_a_torch_program_gives_features_and_embedding(face_like_images: Tensor, tmp_path: Path) -> None:
    module = SmallTorch().eval()
    path = save_program(
        tmp_path / "small.pt2", module, features="maps", feature_width=5, channels="bgr", mean=[1, 2, 3]
    )
    network = load_network(f"torch:{path}")
    crops = resample(face_like_images, SFACE_CROP)
    mean = torch.tensor([1.0, 2, 3]).view(3, 1, 1)  # of blue, green, red
    with torch.no_grad():
        maps, expected = module((255 * crops.flip(1) - mean) / 128)
    found = network(face_like_images)
    torch.testing.assert_close(found.descriptor, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.features, maps.mean((2, 3)), atol=1e-5, rtol=1e-5)
    assert_frozen(network, face_like_images[:1])
    double = network.double()(face_like_images).descriptor
    torch.testing.assert_close(double.float(), expected, atol=1e-5, rtol=0)


def test_a_network_that_lets_no_gradient_through_says_so(face_like_images: Tensor, tmp_path: Path) -> None:
    path = save_program(tmp_path / "blind.pt2", SmallTorch(blind=True))
    network = load_torch(path)
    assert not network.differentiable
    assert network(face_like_images).embedding.shape == (4, 6)
    assert not load_network(f"torch:{path}-colour").differentiable


def test_five_points_or_a_box_place_the_crop(tmp_path: Path) -> None:
    by_points = load_onnx(write_onnx(tmp_path / "a.onnx", template=SFACE_TEMPLATE.tolist()))
    np.testing.assert_allclose(by_points.crop, SFACE_CROP)
    by_box = load_onnx(write_onnx(tmp_path / "b.onnx", template=None, box=[1, 2, 101, 102]))
    assert by_box.crop == (112, 1, 2, 101, 102)
    assert by_points.sha256 != by_box.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": None}, "size is missing"),
        ({"size": "112"}, "size must be a whole number above 0"),
        ({"colour": 1}, "colour is not known; there are size"),
        ({"channels": "rbg"}, "channels must be rgb or bgr"),
        ({"template": "mtcnn"}, "template must be arcface, dlib, facenet or five points"),
        ({"template": [[1, 2]]}, "template must be five points"),
        ({"template": None}, "give either template or box"),
        ({"template": None, "box": [3, 2, 1, 4]}, "box must be left, top, right, bottom"),
        ({"standard_deviation": 0}, "standard_deviation must be one or three numbers above 0, got 0"),
        ({"features": "maps"}, "feature_width is missing"),
        ({"features": 5, "feature_width": 8}, "features must be the name of an output, got 5"),
        ({"embedding": ["out"]}, "embedding must be the name of an output"),
        ({"feature_width": 600}, "feature_width is of features, which it does not name"),
        ({"size": 10**9}, "size must be at most 4096 pixels"),
        ({"size": 112.0}, "size must be a whole number above 0, got 112.0"),
        ({"mean": [1, 2]}, r"mean must be one or three numbers, got \[1, 2\]"),
        ({"mean": True}, "mean must be one or three numbers, got True"),
        ({"mean": "127.5"}, "mean must be one or three numbers, got '127.5'"),
        ({"mean": [1, 2, float("nan")]}, "mean must be one or three numbers"),
        ({"mean": {"r": 1}}, "mean must be one or three numbers"),
        ({"template": [["1", 2]] * 5}, "template must be five points"),
        ({"template": [[1, 2], [3]] * 2}, "template must be five points"),
        ({"template": [[1, 2]] * 5}, "template must be the five points of an upright face"),
        ({"template": [[9, 9], [1, 9], [5, 5], [9, 1], [1, 1]]}, "template must be the five points of an up"),
        ({"template": None, "box": 5}, "box must be left, top, right, bottom, got 5"),
        ({"template": None, "box": [1, 2, 3]}, "box must be left, top, right, bottom"),
        ({"template": None, "box": [0, 0, float("inf"), 4]}, "box must be left, top, right, bottom"),
    ],
)
def test_a_description_that_is_none_is_refused_in_one_sentence(
    tmp_path: Path, changes: dict, message: str
) -> None:
    path = write_onnx(tmp_path / "small.onnx", **changes)
    with pytest.raises(WeightFileError, match=rf"json does not describe a network: {message}") as refused:
        load_onnx(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "it must be a mapping, not list"),
        ("[" * 100_000, "it is nested without end"),
        ('{"size": 112, "size": 64}', "size stands there twice; keep one"),
    ],
)
def test_a_description_in_another_form_is_refused_in_one_sentence(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write_onnx(tmp_path / "small.onnx")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(WeightFileError, match=rf"json does not describe a network: {message}") as refused:
        load_onnx(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_description_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = write_onnx(tmp_path / "small.onnx")
    beside = path.with_suffix(".json")
    beside.write_text(beside.read_text(), encoding=encoding)
    assert load_onnx(path).embedding_width == 6


def test_a_network_that_is_not_as_described_is_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"embedding_width": 7}, r"gives \[2, 6\] for two pictures, embedding_width says \[2, 7\]"),
        ({"features": "maps", "feature_width": 9}, r"gives \[2, 8\] for two pictures, feature_width says"),
        ({"embedding": "nowhere"}, "cannot describe two pictures of 112 pixels: it has no value 'nowhere'"),
        ({"size": 64}, "cannot describe two pictures of 64 pixels"),
    ):
        with pytest.raises(WeightFileError, match=message):
            load_onnx(write_onnx(tmp_path / "small.onnx", **changes))
    with pytest.raises(WeightFileError, match="has the operator Round, which is not known here or"):
        load_onnx(write_onnx(tmp_path / "round.onnx", operators="refused"))
    (tmp_path / "small.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"small\.json does not exist; expected a description"):
        load_onnx(tmp_path / "small.onnx")
    for load, name, said in ((load_onnx, "bad.onnx", "cannot be read"), (load_torch, "bad.pt2", "is a text")):
        describe(tmp_path / name).write_bytes(b"bad")
        with pytest.raises(WeightFileError, match=rf"{name} {said}") as refused:
            load(tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.raises(FileNotFoundError, match="does not exist; expected a recognition network"):
        load_torch(tmp_path / "none.pt")
