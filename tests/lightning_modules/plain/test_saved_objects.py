import pickle
from pathlib import Path

import pytest
import torch

from lightning_modules.plain.saved_objects import kind_of, read_saved, why_no_tensor, why_not_tensors

SHAPES = {"a.weight": (2, 3), "a.bias": (2,)}


def tensors() -> dict[str, torch.Tensor]:
    return {name: torch.ones(shape) for name, shape in SHAPES.items()}


def test_what_was_saved_comes_back_in_both_of_torchs_formats(tmp_path: Path) -> None:
    for new in (True, False):
        torch.save({"a": torch.arange(3)}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
        assert read_saved(tmp_path / "a.pt", "weights")["a"].tolist() == [0, 1, 2]


class Harmful:
    """Would run code on loading."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("was run",))


@pytest.mark.parametrize("new", [True, False])
def test_objects_that_could_run_code_are_refused_without_advice_to_load_them(
    tmp_path: Path, new: bool
) -> None:
    torch.save({"a": Harmful()}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(
        ValueError, match=r"a\.pt is damaged, or holds objects of other kinds .* weights"
    ) as caught:
        read_saved(tmp_path / "a.pt", "weights")
    assert not any(word in str(caught.value) for word in ("weights_only", "trust", "\n"))


@pytest.mark.parametrize("length", [0, 1, 10, 300, 600])
@pytest.mark.parametrize("new", [True, False])
def test_files_that_were_cut_off_are_refused_in_a_sentence(tmp_path: Path, length: int, new: bool) -> None:
    torch.save({"a": torch.arange(100)}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:length])
    with pytest.raises(ValueError, match=r"a\.pt (is|begins) .*expected weights") as caught:
        read_saved(tmp_path / "a.pt", "weights")
    assert "\n" not in str(caught.value)


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match=r"a\.pkl is damaged.*expected weights"):
        read_saved(tmp_path / "a.pkl", "weights")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"a.bias": torch.ones(3)}, r"has a a\.bias that has the shape \[3\] instead of \[2\]"),
        ({"a.bias": torch.tensor([1.0, float("nan")])}, "numbers that are not finite"),
        ({"a.bias": torch.ones(1).expand(2)}, "claims more numbers than the file holds"),
        ({"a.bias": torch.ones(2, device="meta")}, "is no dense tensor"),
        ({"a.bias": torch.ones(2).to_sparse()}, "is no dense tensor"),
        ({"a.bias": [1.0, 1.0]}, "is a list of 2, no tensor"),
        ({"b": torch.ones(2)}, "has 1 tensors too many, such as b"),
    ],
)
def test_state_dicts_are_compared_by_names_and_shapes(change: dict, reason: str) -> None:
    found = why_not_tensors(tensors() | change, SHAPES)
    assert found == "" if not reason else pytest.importorskip("re").search(reason, found)


def test_missing_names_and_prefixes_are_told() -> None:
    assert why_not_tensors({"b": torch.ones(2)}, SHAPES) == (
        "lacks 2 of 2 tensors, such as a.weight; it has 1 others, such as b"
    )
    prefixed = {f"module.{name}": value for name, value in tensors().items()}
    assert why_not_tensors(prefixed, SHAPES) == (
        "lacks 2 of 2 tensors, such as a.weight; its names begin with 'module.'"
    )
    assert why_not_tensors(None, SHAPES) == "holds nothing where tensors by name are expected"
    assert why_not_tensors({3: 4}, SHAPES).startswith("holds a dictionary of 1")
    assert why_no_tensor(torch.ones(2)) == ""
    assert kind_of("x" * 100) == f"str '{'x' * 39}"
