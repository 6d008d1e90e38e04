"""What differs between the numbers, pictures and meshes in two files: every format that commands write."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from PIL import Image

# Names of values that no two runs share: times.
VARYING = ("seconds", "per_second", "time of a fit")
# Keys of documents and checkpoints that tell where a result comes from, not what it is.
IGNORED = {
    "settings", "provenance", "commit", "loops", "callbacks", "hyper_parameters", "pytorch-lightning_version",
    "title",
}  # fmt: skip

Values = dict[str, np.ndarray]


class Finding(NamedTuple):
    """A difference, or only a note."""

    sentence: str
    is_note: bool = False


# ---------------------------------------------------------------------- reading


def document_values(file: Path) -> Values:
    """The numbers and words of a JSON file; of results.json each row as value, sd, interval and count."""
    document = json.loads(file.read_text(encoding="utf-8"))
    if file.name != "results.json":
        return dict(flat(document))
    values = dict(flat(document["counts"], "counts"))
    for row in document["rows"]:
        numbers = [row["value"], row["sd"], *(row["interval"] or (None, None)), row["n"]]
        name = f"{row['method']} | {row['protocol']} | {row['metric']}"
        while name in values:
            name += " again"
        values[name] = np.array(numbers, float)
    return values


def flat(value: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:  # noqa: ANN401 - any document
    """All numbers and words in nested dictionaries and lists, by path; a list of numbers is one value."""
    if isinstance(value, torch.Tensor):
        yield name, value.numpy()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if key not in IGNORED:
                yield from flat(part, f"{name}/{key}" if name else str(key))
    elif isinstance(value, list | tuple) and not all(isinstance(part, int | float) for part in value):
        for number, part in enumerate(value):
            yield from flat(part, f"{name}/{number}")
    elif isinstance(value, str):
        yield name, np.array(last_part(value))
    elif value is not None:
        yield name, np.array(value, float)


def last_part(text: str) -> str:
    """A text; of a path only the last part, since the checkouts' results lie in two folders."""
    return text.rpartition("/")[2]


def table_values(file: Path) -> Values:
    """The columns of a CSV file: of numbers, an empty cell being NaN, or of words."""
    with file.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream)
    values = {}
    for number, name in enumerate(header):
        cells = [line[number] for line in lines]
        try:
            values[name] = np.array([float(cell or "nan") for cell in cells])
        except ValueError:
            values[name] = np.array([last_part(cell) for cell in cells])
    return values


def hdf5_values(file: Path) -> Values:
    """All data sets of numbers in an HDF5 file."""
    values: Values = {}

    def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            values[name] = np.asarray(item[()])

    with h5py.File(file) as content:
        content.visititems(keep)
    return values


def array_values(file: Path) -> Values:
    """All arrays of a NumPy archive."""
    with np.load(file) as content:
        return dict(content)


def checkpoint_values(file: Path) -> Values:
    """All tensors, numbers and words of a checkpoint."""
    return dict(flat(torch.load(file, map_location="cpu", weights_only=True)))


def picture_values(file: Path) -> Values:
    """The pixels of a picture."""
    with Image.open(file) as picture:
        return {"pixels": np.asarray(picture).astype(int)}


def bytes_of(file: Path) -> Values:
    """The bytes of a file."""
    return {"bytes": np.frombuffer(file.read_bytes(), np.uint8)}


READERS: dict[str, Callable[[Path], Values]] = {
    ".json": document_values, ".csv": table_values, ".h5": hdf5_values, ".npz": array_values,
    ".ckpt": checkpoint_values, ".png": picture_values, ".glb": bytes_of, ".obj": bytes_of, ".ply": bytes_of,
}  # fmt: skip


# ---------------------------------------------------------------------- comparing


def differences(
    before: Values, after: Values, renamed: Callable[[str], str] = lambda text: text
) -> Iterator[Finding]:
    """What differs between the values of two files; a value with another name is found by its content.

    Args:
        before: by name.
        after: likewise.
        renamed: a name or word of `before` as `after` has it.
    """
    before = {renamed(name): translated(value, renamed) for name, value in before.items() if not varies(name)}
    after = {name: value for name, value in after.items() if not varies(name)}
    added = {name: value for name, value in after.items() if name not in before}
    for name, value in before.items():
        if name in after:
            if not same(value, after[name]):
                yield Finding(f"{name}: {difference(value, after[name])}")
            continue
        twin = next((other for other, found in added.items() if same(value, found)), None)
        if twin is None:
            yield Finding(f"{name}: only before")
        else:
            del added[twin]
            yield Finding(f"{name} is called {twin}", is_note=True)
    yield from (Finding(f"{name}: only after", is_note=True) for name in added)


def varies(name: str) -> bool:
    """Whether a value is a time."""
    return any(part in name for part in VARYING)


def translated(value: np.ndarray, renamed: Callable[[str], str]) -> np.ndarray:
    """A value, its words as the other checkout has them."""
    if value.dtype.kind != "U":
        return value
    return np.array([renamed(text) for text in value.ravel().tolist()], str).reshape(value.shape)


def same(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two values have one type and shape and are equal; NaN equals NaN."""
    if before.dtype.kind != after.dtype.kind or before.shape != after.shape:
        return False
    if before.dtype.kind == "U":
        return bool((before == after).all())
    return before.dtype == after.dtype and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")


def difference(before: np.ndarray, after: np.ndarray) -> str:
    """How two values differ, in words."""
    are_words = before.dtype.kind == "U"
    if before.shape != after.shape or (not are_words and before.dtype != after.dtype):
        return f"{before.dtype} {list(before.shape)} before, {after.dtype} {list(after.shape)} after"
    if before.ndim == 0:
        return f"{before} before, {after} after"
    other = before != after
    if before.dtype.kind == "f":
        other &= ~(np.isnan(before) & np.isnan(after))
    first = tuple(int(index[0]) for index in np.nonzero(other))
    sentence = (
        f"{other.sum()} of {other.size} differ, first {before[first]} and {after[first]} at {list(first)}"
    )
    if are_words:
        return sentence
    most = np.nanmax(np.abs(before[other].astype(float) - after[other].astype(float)))
    return f"{sentence}, at most by {most:.3g}"
