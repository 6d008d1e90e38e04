"""Our readers over files as others write them, held against trimesh and Open3D."""

import contextlib
import io
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import read_mesh
from tests.lightning_modules.faces.mesh_files.corpus import CORPORA
from tests.lightning_modules.faces.mesh_files.written import Written

# Every so many files are also read by the libraries; it shares no factor with a number of choices.
STEP = 7
# Files that each library reads as they are, of those that it is given. They drop or refuse the others: what
# their makers do about it changes these numbers, which then have to be looked at.
CONFIRMED = {
    ("obj", "trimesh"): 14, ("obj", "open3d"): 62, ("ply", "trimesh"): 138, ("ply", "open3d"): 280,
    ("glb", "trimesh"): 165, ("glb", "open3d"): 85,
}  # fmt: skip
# Where a library's triangles are known to be others: trimesh keeps normalised shorts as they are and ignores
# sparse values; Open3D knows no quantised positions and does not turn what a node mirrors.
MISREAD = {
    ("glb", "trimesh"): {"short normalised", "sparse"},
    ("glb", "open3d"): {"short normalised", "ushort", "mirrored"},
}

# What a reader says of a texture that a PLY file keeps elsewhere has a test of its own.
pytestmark = pytest.mark.filterwarnings("ignore:.*has texture coordinates, but a PLY file's texture")


@pytest.mark.parametrize("kind", CORPORA)
def test_every_vertex_triangle_and_colour_of_every_file_is_read_where_it_stands(
    tmp_path: Path, kind: str
) -> None:
    files, expected = CORPORA[kind]
    count = 0
    for written in files():
        mesh = read_written(tmp_path, written)
        exact = {"rtol": 0, "atol": 0 if kind != "glb" else 1e-3}  # of mm; a GLB has metres in float32
        np.testing.assert_allclose(mesh.vertices, written.vertices, **exact, err_msg=str(written.content))
        np.testing.assert_array_equal(mesh.triangles.numpy(), written.triangles, str(written.content))
        if written.colours is None:
            assert mesh.colours is None, written.content
        else:
            assert mesh.colours is not None, written.content
            np.testing.assert_allclose(
                mesh.colours.numpy(), written.colours, atol=1e-6, err_msg=str(written.content)
            )
        count += 1
    assert count == expected == {"obj": 1728, "ply": 3456, "glb": 2304}[kind]


@pytest.mark.parametrize("library", ["trimesh", "open3d"])
@pytest.mark.parametrize("kind", CORPORA)
def test_libraries_see_the_same_triangles(tmp_path: Path, kind: str, library: str) -> None:
    read = by_trimesh if library == "trimesh" else by_open3d()
    confirmed, contradicted = 0, []
    for number, written in enumerate(CORPORA[kind][0]()):
        if number % STEP:
            continue
        ours = read_written(tmp_path, written)
        theirs, surface = read(tmp_path / written.name), ours.vertices.numpy()[ours.triangles.numpy()]
        surface = surface / 1000 if kind == "glb" else surface
        if theirs is None or theirs.shape != surface.shape:  # not read, or not all of it
            continue
        if same_surface(theirs, surface):
            confirmed += 1
        elif not written.features & MISREAD.get((kind, library), set()):
            contradicted.append(written.content)
    assert not contradicted
    assert confirmed >= CONFIRMED[kind, library], confirmed


def read_written(folder: Path, written: Written) -> Mesh:
    """Our reader's mesh of a file of the corpus."""
    (folder / written.name).write_bytes(written.content)
    return read_mesh(folder / written.name)


def by_trimesh(path: Path) -> np.ndarray | None:
    """Corners [T, 3, 3] as trimesh reads them; None where it does not."""
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    options = {"fix_texture": False} if path.suffix == ".ply" else {"maintain_order": True}
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        return np.asarray(trimesh.load(path, process=False, force="mesh", **options).triangles)
    return None


def by_open3d() -> Callable[[Path], np.ndarray | None]:
    """The same by Open3D."""
    open3d = pytest.importorskip("open3d")

    def read(path: Path) -> np.ndarray | None:
        with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
            mesh = open3d.io.read_triangle_mesh(str(path))
        return np.asarray(mesh.vertices)[np.asarray(mesh.triangles)] if len(mesh.triangles) else None

    return read


def same_surface(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether both have the same triangles, wound alike, in any order and from any corner."""
    return np.allclose(_ordered(one), _ordered(other), atol=1e-4)


def _ordered(corners: np.ndarray) -> np.ndarray:
    rounded = np.round(corners, 3)
    turned = [
        min((np.roll(triangle, -n, 0) for n in range(3)), key=lambda each: each.tolist())
        for triangle in rounded
    ]
    return np.array(sorted(turned, key=lambda triangle: triangle.tolist()))
