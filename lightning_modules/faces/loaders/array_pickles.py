"""Reads arrays out of pickled files without running what the files say.

A pickle names functions to call. Here it may name those that make NumPy's arrays and plain containers.
Objects of SciPy's sparse matrices and of chumpy become inert records of their state, which `as_array` turns
into arrays; tensors of torch, which lie beside arrays in FLAME's `landmark_embedding.npy`, and sparse
matrices of other kinds become records that nothing reads. Every other name is refused, before it is imported.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

# NumPy's reconstruction functions, as its own arrays name them; their module is another since NumPy 2.
RECONSTRUCTION = {
    ("multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("multiarray", "scalar"): np.float32(0).__reduce__()[0],
    ("numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
}
SPARSE = {
    "csc_matrix": 0,
    "csr_matrix": 1,
    "csc_array": 0,
    "csr_array": 1,
}  # the axis that is compressed last
PLAIN: dict[str, Any] = {
    "set": set, "frozenset": frozenset, "list": list, "dict": dict, "tuple": tuple, "complex": complex,
}  # fmt: skip


class NotArraysError(pickle.UnpicklingError):
    """A pickle names something that is no array and no plain container."""


class Record:
    """The state of an object whose class is not imported: `name` of the class, `state` as it was written."""

    name = ""
    state: Any = None

    def __init__(self, *_: object) -> None:
        """Takes what the class or function would have been called with, and does nothing."""

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Inert:
    """A function that a pickle may call, as an object to which it can attach nothing."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise NotArraysError("it writes into a function")


class _Reconstructor(_Inert):
    """In place of `copyreg._reconstructor`: an empty record, whatever the base class was."""

    __slots__ = ()

    def __call__(self, cls: type, base: type, state: object) -> Record:
        if not issubclass(cls, Record) or base is not object:
            raise NotArraysError(f"it rebuilds {cls.__name__} from {base}")
        return cls()


class _Encode(_Inert):
    """In place of `_codecs.encode`, by which Python 2 and 3 exchange bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1", "iso-8859-1"):
            raise NotArraysError(f"it encodes as {encoding}")
        return text.encode("latin1")


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows arrays, records and plain containers only; Python 2's files are read, too."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - the interface's
        """What a name stands for.

        Raises:
            NotArraysError: naming what is not allowed.
        """
        if module.startswith(("numpy.core.", "numpy._core.")):
            function = RECONSTRUCTION.get((module.rpartition(".")[2], name))
            if function is not None:
                return function
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in ("builtins", "__builtin__") and name in (*PLAIN, "object"):
            return object if name == "object" else PLAIN[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}:
            return _Reconstructor()
        if (module, name) == ("_codecs", "encode"):
            return _Encode()
        if module.startswith("scipy.sparse") and name.endswith(("_matrix", "_array")):
            return type(name, (Record,), {"name": name})
        library = module.partition(".")[0]
        if library in ("chumpy", "torch"):
            return type(name, (Record,), {"name": f"{library} {name}"})
        raise NotArraysError(f"it asks for {module}.{name}, which is no array and no plain container")


def read_arrays(path: Path) -> dict[str, Any]:
    """The mapping that a .pkl, .npz or .npy file holds; nothing in the file is run.

    Raises:
        ValueError: if the file is damaged, holds no mapping, or anything but arrays and plain containers.
    """
    try:
        content = _content(path)
    except NotArraysError as error:
        raise ValueError(f"{path} is refused: {error}; get the file from its publisher") from error
    except Exception as error:  # an unpickler raises whatever a damaged stream leads to
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path} cannot be read as {path.suffix or 'a pickle'} of arrays ({reason}); get the file again"
        ) from error
    if isinstance(content, np.ndarray) and content.dtype == object and content.shape == ():
        content = content.item()
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold named arrays, got {type(content).__name__}; get the file again")
    return {_text(name): value for name, value in content.items()}


def _text(name: object) -> str:
    """A name that Python 2 wrote may have come through Python 3 as bytes."""
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _content(path: Path) -> Any:  # noqa: ANN401 - of a file
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        if start[:2] == b"PK":
            return _members(path)
        if start == b"\x93NUMPY":
            return _npy(file)
        return ArrayUnpickler(file).load()


def _members(path: Path) -> dict[str, Any]:
    content = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    content[member.removesuffix(".npy")] = _npy(file)
    return content


def _npy(file: IO[bytes]) -> Any:  # noqa: ANN401 - of a file
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        return ArrayUnpickler(file).load()
    count = int(np.prod(shape, dtype=np.int64))
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes of {count * dtype.itemsize}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def as_array(value: Any, name: str) -> np.ndarray:  # noqa: ANN401 - of a file
    """An array, or what a sparse matrix or a chumpy variable held, as an array of numbers.

    Args:
        value: from `read_arrays`.
        name: of the value, for messages.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(value, Record):
        value = _of_record(value, name)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be an array of numbers, got {array.dtype}")
    return array


def _of_record(record: Record, name: str) -> np.ndarray:
    state = record.state if isinstance(record.state, dict) else {}
    if record.name in SPARSE and {"data", "indices", "indptr"} <= state.keys():
        shape: tuple[int, int] = state["_shape"] if "_shape" in state else state["shape"]
        data, indices, pointers = (np.asarray(state[key]) for key in ("data", "indices", "indptr"))
        return _dense(data, indices, pointers, shape, SPARSE[record.name])
    if record.name == "chumpy Ch" and "x" in state:
        return as_array(state["x"], name)
    if record.name == "chumpy Select" and {"a", "idxs"} <= state.keys():
        chosen = as_array(state["a"], name).ravel()[as_array(state["idxs"], name)]
        return chosen.reshape(state.get("preferred_shape", chosen.shape))
    raise ValueError(f"{name} is {record.name}, which holds no array of its own")


def _dense(
    data: np.ndarray, indices: np.ndarray, pointers: np.ndarray, shape: tuple[int, int], axis: int
) -> np.ndarray:
    """A compressed matrix in full; by columns (axis 0 runs fastest) or by rows."""
    dense = np.zeros(shape, data.dtype)
    other = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    rows, columns = (indices, other) if axis == 0 else (other, indices)
    np.add.at(dense, (rows, columns), data)
    return dense
