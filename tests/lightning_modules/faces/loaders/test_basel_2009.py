from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lightning_modules.faces.loaders.basel import load_basel

# An octahedron in millimetres; the file has micrometres and 1-based triangles.
VERTICES = 10 * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
OUTWARD = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]])


def contents() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "shapeMU": (1000 * VERTICES.reshape(-1, 1)).astype(np.float32),
        "shapePC": np.linalg.qr(random.normal(size=(18, 4)))[0].astype(np.float32),
        "shapeEV": np.array([[4000], [3000], [2000], [1000]], np.float32),
        "texMU": np.full((18, 1), 127.5, np.float32),
        "texPC": np.linalg.qr(random.normal(size=(18, 3)))[0].astype(np.float32),
        "texEV": np.array([[51], [25.5], [5.1]], np.float32),
        "tl": (OUTWARD[:, ::-1] + 1).astype(np.float64),  # wound inwards, as doubles
        "segbin": np.zeros((6, 4)),
    }


def write(path: Path, **changes: np.ndarray | None) -> Path:
    kept = {key: value for key, value in (contents() | changes).items() if value is not None}
    savemat(path, kept)
    return path


def test_units_become_millimetres_and_fractions(tmp_path: Path) -> None:
    model = load_basel(write(tmp_path / "01_MorphableModel.mat"))
    vertices, albedo = model(torch.tensor([[0.0, 1]]), torch.tensor([[1.0]]))
    basis = contents()["shapePC"][:, 1].reshape(-1, 3)
    # One standard deviation of 3000 micrometres is 3 mm; one of 51 is a fifth of the range.
    np.testing.assert_allclose(vertices[0], VERTICES + 3 * basis, atol=1e-5)
    np.testing.assert_allclose(albedo[0], 0.5 + 0.2 * contents()["texPC"][:, 0].reshape(-1, 3), atol=1e-6)
    assert model.expression_variance.numel() == 0


def test_triangles_count_from_0_and_face_outwards(tmp_path: Path) -> None:
    model = load_basel(write(tmp_path / "model.mat"))
    assert model.triangles.tolist() == OUTWARD.tolist()
    normals = model.normals(model.shape_mean.reshape(1, -1, 3))[0]
    np.testing.assert_allclose(normals, VERTICES / 10, atol=1e-6)


def test_a_file_that_faces_outwards_stays_so(tmp_path: Path) -> None:
    model = load_basel(write(tmp_path / "model.mat", tl=OUTWARD + 1.0))
    assert model.triangles.tolist() == OUTWARD.tolist()


def test_components_can_be_cut(tmp_path: Path) -> None:
    model = load_basel(write(tmp_path / "model.mat"), shape_components=1, albedo_components=2)
    assert model.shape_basis.shape == (18, 1)
    assert model.describe()["shape_variance_kept"] == pytest.approx(16 / 30)
    with pytest.raises(ValueError, match=r"model\.mat has 4 shape components, asked for 199"):
        load_basel(tmp_path / "model.mat", shape_components=199)
    with pytest.raises(ValueError, match="holds no expressions; do not ask for 3"):
        load_basel(tmp_path / "model.mat", expression_components=3)


def test_a_basis_that_is_not_orthonormal_is_replaced_by_that_of_the_same_gaussian(tmp_path: Path) -> None:
    skewed = np.random.default_rng(1).normal(size=(18, 4)).astype(np.float32)
    model = load_basel(write(tmp_path / "model.mat", shapePC=skewed))
    modes = skewed * np.array([4, 3, 2, 1.0])  # in mm
    covariance = model.shape_basis * model.shape_variance @ model.shape_basis.T
    np.testing.assert_allclose(covariance, modes @ modes.T, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(model.shape_basis.T @ model.shape_basis, torch.eye(4), atol=1e-5, rtol=0)


def test_the_provenance_is_that_of_a_basel_file(tmp_path: Path) -> None:
    provenance = load_basel(write(tmp_path / "01_MorphableModel.mat")).provenance
    assert (provenance.kind, provenance.name) == ("basel", "01_MorphableModel.mat")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shapeMU": None, "texMU": None},
            r"is not the Basel Face Model 2009: expected shapeEV, .*, found segbin, shapeEV, .*; give its",
        ),
        ({"shapePC": np.eye(15, 4)}, r"shapePC must be .* = \[18, 4\] .* got \[15, 4\]"),
        ({"texMU": np.ones((15, 1)), "texPC": np.eye(15, 3)}, "texMU has 5 vertices but shapeMU has 6"),
        ({"shapePC": np.full((18, 4), np.nan)}, "shapePC holds NaN or infinity"),
        ({"texEV": np.array([[1], [np.inf], [1]])}, "texEV holds NaN or infinity"),
        ({"tl": OUTWARD * 1.0}, "triangles must name vertices 0 to 5, got -1 to 4"),
        ({"tl": OUTWARD + 2.0}, "triangles must name vertices 0 to 5, got 1 to 6"),
        ({"tl": np.ones((8, 4))}, r"tl must be \[T, 3\], got \[8, 4\]"),
    ],
)
def test_another_file_is_refused_in_a_sentence(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=r"model\.mat.*" + message):
        load_basel(write(tmp_path / "model.mat", **changes))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "model.mat", segbin=None)  # all that is left is needed
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"model\.mat"):
        load_basel(path)
