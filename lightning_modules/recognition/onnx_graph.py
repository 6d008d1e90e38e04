"""An ONNX graph as a torch module, so that gradients reach the image.

Computes the operators that exported recognition networks are made of; any other is refused by name, among
them those that let no gradient through. Semantics: ONNX's operator reference, opset 7 to 21.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .weight_files import WeightFileError


class GraphNode(NamedTuple):
    """One operation: its kind, attributes, and the names of what it reads and writes."""

    kind: str
    attributes: dict[str, Any]
    inputs: list[str]
    outputs: list[str]


class OnnxGraph(nn.Module):
    """Runs the nodes in their order; constants of floating point are buffers, whole numbers are not.

    Args:
        path: the .onnx file, whose weights lie in it.

    Raises:
        WeightFileError: if it is no such file, or has an operator that is not known.

    Attributes:
        output_names: what the graph gives, in its order.
        channels_last: whether it takes pictures [B, H, W, 3], as graphs from TensorFlow do.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        import onnx  # only networks of this kind need it
        from google.protobuf.message import DecodeError

        try:
            graph = onnx.load(str(path), load_external_data=False).graph
            constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        except (DecodeError, ValueError, TypeError) as error:
            raise WeightFileError(f"{path} cannot be read as an ONNX file with its weights") from error
        self.nodes, self.buffer_of, self.numbers = [], {}, {}
        for node in graph.node:
            given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Constant" and len(given) == 1:
                constants[node.output[0]] = _constant(onnx.numpy_helper.to_array, *given.values())
                continue
            if node.op_type not in OPERATORS:
                raise WeightFileError(
                    f"{path} has the operator {node.op_type}, which is not known here or lets no gradient "
                    f"through; export the network from {', '.join(sorted(OPERATORS))}"
                )
            if node.op_type == "Split":
                given.setdefault("num_outputs", len(node.output))
            self.nodes.append(GraphNode(node.op_type, given, list(node.input), list(node.output)))
        for number, (name, array) in enumerate(constants.items()):
            tensor = torch.from_numpy(array.copy())
            if tensor.is_floating_point():
                self.buffer_of[name] = f"constant_{number}"
                self.register_buffer(f"constant_{number}", tensor.float(), persistent=False)
            else:
                self.numbers[name] = tensor
        inputs = [each for each in graph.input if each.name not in constants]
        if len(inputs) != 1 or not self.buffer_of:
            names = ", ".join(each.name for each in inputs)
            raise WeightFileError(f"{path} must take one picture and hold weights, got {names}")
        self.input_name, self.output_names = inputs[0].name, [each.name for each in graph.output]
        sizes = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim]
        self.channels_last = len(sizes) == 4 and sizes[3] == 3 != sizes[1]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Every value of the graph that has a name, outputs and those between, for images [B, 3, H, W]."""
        values: dict[str, Tensor] = {name: getattr(self, buffer) for name, buffer in self.buffer_of.items()}
        values |= self.numbers
        values[self.input_name] = images.permute(0, 2, 3, 1) if self.channels_last else images
        for node in self.nodes:
            given = [values[name] if name else None for name in node.inputs]
            found = OPERATORS[node.kind](node.attributes, *given)
            values |= zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False)
        return values


def _constant(to_array: Callable[..., np.ndarray], value: Any) -> np.ndarray:  # noqa: ANN401 - any attribute
    """A constant node's array, from a tensor, a number or a list of numbers; numbers are float32 or int64."""
    if not isinstance(value, int | float | Sequence):
        return to_array(value)
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _for_torch(pads: Sequence[int]) -> list[int]:
    """ONNX's padding, before of all dimensions and then after, as `functional.pad` takes it: last first."""
    half = len(pads) // 2
    return [size for pair in zip(pads[half - 1 :: -1], pads[: half - 1 : -1], strict=True) for size in pair]


def _pads(attributes: dict[str, Any], x: Tensor, size: Sequence[int]) -> list[int]:
    """Padding of a window of so many pixels, as `functional.pad` takes it."""
    kind = attributes.get("auto_pad", b"NOTSET").decode()
    if kind in ("NOTSET", "VALID"):
        return _for_torch(attributes.get("pads", [0] * 4))
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    lacking = [
        max((-(-pixels // stride) - 1) * stride + (each - 1) * dilation + 1 - pixels, 0)
        for pixels, each, stride, dilation in zip(x.shape[2:], size, strides, dilations, strict=True)
    ]
    small, large = [each // 2 for each in lacking], [-(-each // 2) for each in lacking]
    return _for_torch([*small, *large] if kind == "SAME_UPPER" else [*large, *small])


def _pad(
    attributes: dict[str, Any], x: Tensor, pads: Tensor | None = None, value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:  # fmt: skip
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant" or axes is not None:
        raise ValueError(f"padding {mode}{' of some axes' if axes is not None else ''} is not known")
    given = attributes["pads"] if pads is None else [int(size) for size in pads]
    return functional.pad(
        x, _for_torch(given), value=float(attributes.get("value", 0) if value is None else value)
    )


def _convolution(attributes: dict[str, Any], x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    x = functional.pad(x, _pads(attributes, x, kernel.shape[2:]))
    return functional.conv2d(
        x,
        kernel,
        bias,
        tuple(attributes.get("strides", (1, 1))),
        0,
        tuple(attributes.get("dilations", (1, 1))),
        attributes.get("group", 1),
    )


def _pool(attributes: dict[str, Any], x: Tensor, *, largest: bool) -> Tensor:
    size, stride = tuple(attributes["kernel_shape"]), tuple(attributes.get("strides", (1, 1)))
    if attributes.get("ceil_mode", 0):
        raise ValueError("pooling with ceil_mode is not known")
    pads = _pads(attributes, x, size)
    if largest:
        return functional.max_pool2d(functional.pad(x, pads, value=-torch.inf), size, stride)
    mean = functional.avg_pool2d(functional.pad(x, pads), size, stride)
    if not any(pads) or attributes.get("count_include_pad", 0):
        return mean
    return mean / functional.avg_pool2d(functional.pad(torch.ones_like(x), pads), size, stride)


def _batch_norm(
    attributes: dict[str, Any], x: Tensor, gain: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return functional.batch_norm(x, mean, variance, gain, bias, eps=attributes.get("epsilon", 1e-5))


def _prelu(_: dict[str, Any], x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, slope * x)


def _gemm(attributes: dict[str, Any], a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a, b = (m.T if attributes.get(f"trans{n}", 0) else m for n, m in (("A", a), ("B", b)))
    product = attributes.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _reshape(_: dict[str, Any], x: Tensor, shape: Tensor) -> Tensor:
    sizes = [int(size) for size in shape]
    # An exported graph has its batch of one written in; what comes first is always the batch here.
    if len(sizes) > 1 and sizes[0] == 1 and x.ndim > 1:
        sizes[0] = x.shape[0]
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(sizes)])


def _flatten(attributes: dict[str, Any], x: Tensor) -> Tensor:
    axis = attributes.get("axis", 1) % (x.ndim + 1)
    return x.reshape(int(torch.tensor(x.shape[:axis]).prod()) if axis else 1, -1)


def _axes(attributes: dict[str, Any], given: Tensor | None, x: Tensor) -> list[int]:
    if given is not None:
        return [int(axis) for axis in given.flatten()]
    return list(attributes.get("axes", range(x.ndim)))


def _reduced(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(attributes: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
        return function(x, _axes(attributes, axes, x), bool(attributes.get("keepdims", 1)))

    return reduce


def _squeeze(attributes: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in _axes(attributes, axes, x)), reverse=True):
        x = x.squeeze(axis)
    return x


def _unsqueeze(attributes: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
    for axis in sorted(_axes(attributes, axes, x)):
        x = x.unsqueeze(axis)
    return x


def _clip(
    attributes: dict[str, Any], x: Tensor, low: Tensor | None = None, high: Tensor | None = None
) -> Tensor:
    least = attributes.get("min") if low is None else low
    return x.clamp(min=least, max=attributes.get("max") if high is None else high)


def _gather(attributes: dict[str, Any], x: Tensor, index: Tensor) -> Tensor:
    axis = attributes.get("axis", 0)
    rows = x.index_select(axis, index.flatten().to(x.device) % x.shape[axis])
    return rows.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _slice(attributes: dict[str, Any], x: Tensor, *given: Tensor | None) -> Tensor:
    """Starts, ends, axes and steps are inputs, or before opset 10 attributes."""
    parts = [None if part is None else [int(each) for each in part] for part in given]
    parts = parts or [attributes["starts"], attributes["ends"], attributes.get("axes")]
    starts, ends, axes, steps = [*parts, None, None][:4]
    for number, (start, end) in enumerate(zip(starts or [], ends or [], strict=True)):
        axis, step = number if axes is None else axes[number], 1 if steps is None else steps[number]
        if step < 1:
            raise ValueError("a Slice that runs backwards is not known")
        whole: list[Any] = [slice(None)] * x.ndim
        whole[axis] = slice(start, end, step)
        x = x[tuple(whole)]
    return x


def _split(attributes: dict[str, Any], x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = attributes.get("axis", 0)
    if sizes is None and "split" not in attributes:
        return x.split(-(-x.shape[axis] // attributes["num_outputs"]), axis)
    return x.split([int(size) for size in (attributes["split"] if sizes is None else sizes)], axis)


def _layer_norm(attributes: dict[str, Any], x: Tensor, gain: Tensor, bias: Tensor | None = None) -> Tensor:
    axis = attributes.get("axis", -1) % x.ndim
    return functional.layer_norm(x, x.shape[axis:], gain, bias, attributes.get("epsilon", 1e-5))


def _gelu(attributes: dict[str, Any], x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=attributes.get("approximate", b"none").decode())


def _cast(attributes: dict[str, Any], x: Tensor) -> Tensor:
    """Between kinds of floating point a no-operation, as precision is the network's; shapes stay whole."""
    if (attributes["to"] in (1, 10, 11)) != x.is_floating_point():
        raise ValueError("a Cast between fractions and whole numbers is not known")
    return x


def _normalised(attributes: dict[str, Any], x: Tensor) -> Tensor:
    return functional.normalize(x, float(attributes.get("p", 2)), attributes.get("axis", -1))


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Abs": lambda _, x: x.abs(),
    "Add": lambda _, a, b: a + b,
    "AveragePool": lambda attributes, x: _pool(attributes, x, largest=False),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda attributes, *parts: torch.cat(parts, attributes["axis"]),
    "Conv": _convolution,
    "Div": lambda _, a, b: a / b,
    "Dropout": lambda _, x, *__: x,
    "Erf": lambda _, x: x.erf(),
    "Exp": lambda _, x: x.exp(),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda _, x: functional.hardswish(x),
    "Identity": lambda _, x: x,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda attributes, x: functional.leaky_relu(x, attributes.get("alpha", 0.01)),
    "LpNormalization": _normalised,
    "MatMul": lambda _, a, b: a @ b,
    "MaxPool": lambda attributes, x: _pool(attributes, x, largest=True),
    "Mul": lambda _, a, b: a * b,
    "Neg": lambda _, x: -x,
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": lambda _, a, b: a**b,
    "ReduceL2": _reduced(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceMean": _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    "Relu": lambda _, x: functional.relu(x),
    "Reshape": _reshape,
    "Shape": lambda _, x: torch.tensor(x.shape),
    "Sigmoid": lambda _, x: x.sigmoid(),
    "Slice": _slice,
    "Softmax": lambda attributes, x: x.softmax(attributes.get("axis", -1)),
    "Split": _split,
    "Sqrt": lambda _, x: x.sqrt(),
    "Squeeze": _squeeze,
    "Sub": lambda _, a, b: a - b,
    "Tanh": lambda _, x: x.tanh(),
    "Transpose": lambda attributes, x: x.permute(attributes["perm"]),
    "Unsqueeze": _unsqueeze,
}
