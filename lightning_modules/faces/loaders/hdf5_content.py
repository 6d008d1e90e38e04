"""HDF5 files of others: what lies in a file itself, of a size that it may have; nothing that it points to."""

from pathlib import Path

import h5py
import numpy as np

# No data set of a morphable model comes near it; a file of a kilobyte can declare any size.
LARGEST_BYTES = 2**30
NUMBERS, TEXTS = "fiub", "SO"


def node_at(group: h5py.Group, key: str, path: Path) -> h5py.Group | h5py.Dataset | None:
    """What lies at a place of the file itself; None where there is nothing.

    Raises:
        ValueError: if the place is a link to another one or to another file.
    """
    node: h5py.Group | h5py.Dataset = group
    for part in key.strip("/").split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"{path}: /{key} leads to another place or file; only a file's own data are read"
            )
        found = node.get(part)
        if not isinstance(found, h5py.Group | h5py.Dataset):
            raise ValueError(f"{path}: /{key} is neither a group nor a data set; get the file again")
        node = found
    return node


def checked(dataset: h5py.Dataset, path: Path, kinds: str = NUMBERS) -> h5py.Dataset:
    """The data set, if it holds numbers (or texts) in the file itself, no more than LARGEST_BYTES.

    Raises:
        ValueError: saying what it is instead.
    """
    name = dataset.name
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{path}: {name} lies in another file; only a file's own data are read")
    if dataset.shape is None or dataset.dtype.kind not in kinds:
        what = "nothing" if dataset.shape is None else f"values of type {dataset.dtype}"
        expected = "numbers" if kinds == NUMBERS else "text"
        raise ValueError(f"{path}: {name} must hold {expected}, got {what}; get the file again")
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if size > LARGEST_BYTES:
        raise ValueError(
            f"{path}: {name} declares {list(dataset.shape)} values of {dataset.dtype}, {size / 2**30:,.0f} "
            "GiB; no morphable model is so large"
        )
    return dataset
