"""What sentences quote of damaged files, and the readers that quote a line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.lfw_lists import read_pairs
from evaluation.groups.label_files import read_labels
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.plain.quotations import MOST_LETTERS, shortened

LONG = "[" * 5000


def test_a_text_that_is_long_is_cut_and_says_so() -> None:
    assert shortened("a b") == "a b"
    assert shortened("x" * MOST_LETTERS) == "x" * MOST_LETTERS
    assert shortened("x" * (MOST_LETTERS + 1)) == "x" * MOST_LETTERS + "..."


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("labels.csv", f"name,tone\nAnna,3\nBob{LONG}\n", read_labels),
        ("labels.csv", f"{LONG}\nAnna,3\n", read_labels),
        ("labels.csv", f"name,tone\n{LONG},3\n{LONG},4\n", read_labels),
        ("pairs.txt", f"1 2 {LONG}\n", read_pairs),
        ("pairs.txt", f"1\nA 1 2\nA {LONG} 2 3 4\n", read_pairs),
        ("mesh.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
         f"property float z\nend_header\n0 {LONG}\n", read_mesh),
    ],
)  # fmt: skip
def test_a_line_as_long_as_its_file_is_quoted_by_its_beginning(
    tmp_path: Path, name: str, content: str, read: Callable[[Path], object]
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=r"labels\.csv|pairs\.txt|mesh\.ply") as refused:
        read(tmp_path / name)
    assert len(str(refused.value)) < 1000
    assert "[..." in str(refused.value)


def test_a_long_colour_of_a_material_is_quoted_by_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "mesh.obj").write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n")
    (tmp_path / "a.mtl").write_text(f"newmtl a\nKd 0.8 0.6 0.5{LONG}\n")
    with pytest.raises(ValueError, match="the diffuse colour") as refused:
        read_mesh(tmp_path / "mesh.obj")
    assert len(str(refused.value)) < 1000
