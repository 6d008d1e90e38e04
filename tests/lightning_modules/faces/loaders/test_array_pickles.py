import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from lightning_modules.faces.loaders.array_pickles import as_array, read_arrays

from .published_layouts import chumpy_installed


class Calls:
    """Unpickled, it would call a function."""

    def __init__(self, function: Any, *arguments: object) -> None:  # noqa: ANN401 - any function
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def written(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers_are_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    content = {
        "array": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "scalar": np.float32(0.5),
        "list": [1, 2.5, "text", None, True, b"bytes"],
        "set": {1, 2},
        "ordered": OrderedDict(a=(1, 2)),
    }
    found = read_arrays(written(tmp_path / "file.pkl", content, protocol))
    np.testing.assert_array_equal(found.pop("array"), content.pop("array"))
    np.testing.assert_array_equal(found.pop("columns"), content.pop("columns"))
    assert found == content


def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    # What Python 2 writes for {"x": numpy.array([1., 2.])} by protocol 0, names and bytes as text.
    text = (
        b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
        b"tp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f8'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\n"
        b"I0\ntp14\nbI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?\\x00\\x00\\x00\\x00\\x00\\x00\\x00@'\np15\ntp16\nbs."
    )
    (tmp_path / "file.pkl").write_bytes(text)
    np.testing.assert_array_equal(read_arrays(tmp_path / "file.pkl")["x"], [1.0, 2.0])


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "csc_array", "csr_array"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_sparse_matrices_and_chumpy_become_arrays_without_their_packages(
    tmp_path: Path, kind: str, protocol: int
) -> None:
    dense = np.array([[0.0, 2, 0], [1, 0, 0], [0, 3, 4], [0, 0, 0]])
    with chumpy_installed() as chumpy:
        sparse = getattr(scipy.sparse, kind)(dense)
        path = written(tmp_path / "file.pkl", {"sparse": sparse, "variable": chumpy(dense)}, protocol)
    found = read_arrays(path)
    for name in found:
        np.testing.assert_array_equal(as_array(found[name], name), dense)
    assert "chumpy" not in sys.modules


@pytest.mark.parametrize("kind", ["coo_matrix", "bsr_matrix", "dia_array"])
def test_sparse_matrices_of_other_kinds_are_passed_over_but_are_no_arrays(tmp_path: Path, kind: str) -> None:
    sparse = getattr(scipy.sparse, kind)(np.eye(4))
    found = read_arrays(written(tmp_path / "file.pkl", {"x": np.ones(2), "J_regressor": sparse}))
    np.testing.assert_array_equal(found["x"], [1, 1])
    with pytest.raises(ValueError, match=rf"J_regressor is {kind}, which holds no array of its own"):
        as_array(found["J_regressor"], "J_regressor")


def test_names_that_are_bytes_are_read_as_names(tmp_path: Path) -> None:
    found = read_arrays(written(tmp_path / "file.pkl", {b"v_template": np.ones(2), "f": np.ones(3)}))
    assert set(found) == {"v_template", "f"}


def test_a_malicious_file_runs_nothing_and_is_refused_by_the_name_of_what_it_asks_for(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    attacks: dict[str, Any] = {
        "posix.mkdir": Calls(os.mkdir, str(ran)),
        "builtins.eval": Calls(eval, f"__import__('os').mkdir({str(ran)!r})"),
        "builtins.getattr": Calls(getattr, "", "upper"),
        "numpy.load": Calls(np.load, str(ran)),
        "operator.attrgetter": Calls(__import__("operator").attrgetter, "x"),
    }
    for name, attack in attacks.items():
        for protocol in (0, 2, 4):
            path = written(tmp_path / "file.pkl", {"v_template": np.zeros(3), "f": attack}, protocol)
            with pytest.raises(ValueError, match=r"is refused: it asks for .*, which is no array") as refused:
                read_arrays(path)
            assert name.rpartition(".")[2] in str(refused.value)
            assert not ran.exists()
    np.save(tmp_path / "file.npy", np.array({"x": attacks["posix.mkdir"]}, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "file.npz", x=np.array([attacks["posix.mkdir"]], dtype=object))
    for name in ("file.npy", "file.npz"):
        with pytest.raises(ValueError, match=r"is refused: it asks for posix\.mkdir"):
            read_arrays(tmp_path / name)
    assert not ran.exists()


@pytest.mark.parametrize(
    "code",
    [
        # A function that is allowed gets an attribute, an array type gets one, a base class is no object.
        b"ccopyreg\n_reconstructor\n}X\x01\x00\x00\x00aK\x01sb.",
        b"cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
        b"ccopyreg\n_reconstructor\n(cchumpy.ch\nCh\ncbuiltins\ndict\n}tR.",
        b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13tR.",
        b"\x80\x02X\x01\x00\x00\x00aQ.",
    ],
)
def test_what_a_pickle_may_name_cannot_be_turned_to_other_ends(tmp_path: Path, code: bytes) -> None:
    (tmp_path / "file.pkl").write_bytes(code)
    with pytest.raises(ValueError, match=r"is refused|cannot be read as \.pkl of arrays"):
        read_arrays(tmp_path / "file.pkl")


def test_tensors_beside_arrays_are_passed_over_but_are_no_arrays(tmp_path: Path) -> None:
    found = read_arrays(written(tmp_path / "file.pkl", {"x": np.ones(2), "tensor": torch.ones(3)}))
    np.testing.assert_array_equal(found["x"], [1, 1])
    with pytest.raises(ValueError, match=r"tensor is torch .*, which holds no array of its own"):
        as_array(found["tensor"], "tensor")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00", b"\x80\x02}"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.pkl cannot be read .*; get the file again") as refused:
        read_arrays(tmp_path / "file.pkl")
    assert "\n" not in str(refused.value)


def test_what_is_no_mapping_or_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold named arrays, got list"):
        read_arrays(written(tmp_path / "file.pkl", [1]))
    with pytest.raises(ValueError, match="f must be an array of numbers, got <U1"):
        as_array("a", "f")
    with chumpy_installed() as chumpy:
        path = written(tmp_path / "file.pkl", {"x": chumpy(np.array(["a"]))})
    with pytest.raises(ValueError, match="x must be an array of numbers"):
        as_array(read_arrays(path)["x"], "x")
