"""Reads what `torch.save` wrote: whole, unchanged, and without running anything that the file says."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.plain.foreign_files import damaged_part, what_it_is

Shapes = Mapping[str, tuple[int, ...]]


def read_saved(path: Path, expected: str) -> Any:  # noqa: ANN401 - whatever was saved
    """What a file holds: tensors, numbers, strings, and lists and dictionaries of them.

    Args:
        path: of the file, which exists.
        expected: what it should be, for messages.

    Raises:
        ValueError: if it is another file, was changed since it was written, or holds other objects.
        OSError: if it cannot be read.
    """
    if meaning := what_it_is(path):
        raise ValueError(f"{path} {meaning}; expected {expected}")
    try:
        part = damaged_part(path) if zipfile.is_zipfile(path) else None
        content = None if part else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own sentence tells how to load it all the same, which would run what the file says.
        raise ValueError(
            f"{path} is damaged, or holds objects of other kinds than tensors, numbers and text, which are "
            f"never loaded since they can run code; expected {expected}"
        ) from error
    except Exception as error:  # the first bytes could be read: what fails now is what the file says
        raise ValueError(f"{path} is damaged ({first_line(error)}); expected {expected}") from error
    if part:
        raise ValueError(
            f"{path} was changed after it was written ({part} in it does not fit its checksum); get it "
            f"again: expected {expected}"
        )
    return content


def first_line(error: Exception) -> str:
    """An error's first line, or its kind where it says nothing."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines and lines[0] else type(error).__name__


def why_not_tensors(content: object, shapes: Shapes) -> str:
    """Why a content is not a state dict of tensors of these shapes, as a sentence's end; empty if it is.

    Args:
        content: of a file.
        shapes: by name; all of them and no others.
    """
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return f"holds {kind_of(content)} where tensors by name are expected"
    if missing := [name for name in shapes if name not in content]:
        others = [name for name in content if name not in shapes]
        prefixed = next((name for name in others if name.endswith(missing[0])), None)
        return (
            f"lacks {len(missing)} of {len(shapes)} tensors, such as {missing[0]}"
            + (f"; it has {len(others)} others, such as {others[0]}" if others and not prefixed else "")
            + (f"; its names begin with {prefixed.removesuffix(missing[0])!r}" if prefixed else "")
        )
    if others := [name for name in content if name not in shapes]:
        return f"has {len(others)} tensors too many, such as {others[0]}"
    for name, shape in shapes.items():
        if reason := why_no_tensor(content[name], shape):
            return f"has a {name} that {reason}"
    return ""


def why_no_tensor(value: object, shape: tuple[int, ...] | None = None) -> str:
    """Why a value is no dense tensor of finite numbers of a shape, as a clause's end; empty if it is.

    One that repeats few numbers to claim many, or has none at all, is refused as well.
    """
    if not isinstance(value, Tensor):
        return f"is {kind_of(value)}, no tensor"
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return "is no dense tensor"
    if shape is not None and tuple(value.shape) != shape:
        return f"has the shape {list(value.shape)} instead of {list(shape)}"
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        return "claims more numbers than the file holds"
    if value.is_complex() or not bool(torch.isfinite(value).all()):
        return "has numbers that are not finite"
    return ""


def kind_of(value: object) -> str:
    """A value's kind in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return f"a dictionary of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"{type(value).__name__} {value!r:.40}"
