"""Runs the code of docs/api.md as a reader would, in a folder with the files that it names."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.metrics.marked_mesh import MarkedMesh
from evaluation.reconstruct import main as reconstruct_command
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.cache_folders import CacheFolders
from tests.evaluation.scanned_people import write_face

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
FRONTAL = 7  # of the stand-in photographs with seed 0


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_marked(path: Path, model: MorphableModel, vertices: np.ndarray) -> np.ndarray:
    """A mesh file of the model's topology; returns its landmarks."""
    write_face(path, MarkedMesh(vertices, model.triangles.numpy(), np.zeros((68, 3))))
    ids = model.landmarks.vertex_ids[:, 0].numpy()
    return vertices[ids]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the page's code left behind: its variables, and the folder in which it ran."""
    folder = tmp_path_factory.mktemp("api")
    model = load_morphable_model("open")
    shutil.copy(ROOT / "benchmarks/checkpoints/suite.ckpt", folder / "final.ckpt")
    pixels = StandInPhotographs(model).render([FRONTAL])[0].pixels
    Image.fromarray(pixels).save(folder / "photograph.jpg", quality=95)
    mean = model.neutral_mean.view(-1, 3).double().numpy()
    points = write_marked(folder / "scan.obj", model, mean)
    (folder / "scan_points.json").write_text(json.dumps(points.tolist()))
    write_marked(folder / "mesh.obj", model, mean * (1.0, 1.03, 1.0) / 1000)
    ids = model.landmarks.vertex_ids[:, 0].tolist()
    (folder / "mesh_vertex_ids.json").write_text(json.dumps(ids))
    variables: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(CacheFolders, "photographs", property(lambda own: folder / "cache"))
        for number, block in enumerate(code_blocks(PAGE)):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), variables)
            variables[f"score_after_{number}"] = variables.get("score")
    return variables, folder


@pytest.mark.slow
def test_the_photograph_s_face_is_the_one_that_the_command_writes(ran: tuple[dict[str, Any], Path]) -> None:
    variables, folder = ran
    options = [f"--output={folder / 'faces'}", f"--cache-folder={folder / 'another cache'}", "--workers=0"]
    assert reconstruct_command([str(folder / "final.ckpt"), str(folder / "photograph.jpg"), *options]) == 0
    kept = json.loads((folder / "faces/photograph.json").read_text())
    np.testing.assert_allclose(variables["coefficients"].shape, kept["shape"], rtol=1e-5, atol=1e-6)
    assert read_mesh(folder / "face.obj").vertices.shape == variables["mesh"].vertices.shape
    assert len(variables["faces"]) == 1
    assert variables["faces"][0].mesh.vertices.equal(variables["mesh"].vertices)


@pytest.mark.slow
def test_the_mesh_is_scored_with_landmarks_detected_or_read(ran: tuple[dict[str, Any], Path]) -> None:
    variables, _ = ran
    detected, read = (
        next(
            score
            for name, score in variables.items()
            if name.startswith("score_after") and score is not None and score.mesh_landmarks == source
        )
        for source in ("topology", "marked")
    )
    assert (detected.mesh_unit, detected.scan_unit) == ("m", "mm")
    # The mesh is the scan, 3 % longer: what a similarity leaves of that.
    assert 0.1 < read.millimetres < 2.0
    assert detected.millimetres == pytest.approx(read.millimetres, abs=0.3)
    assert variables["scores"]["genova"] == detected.millimetres
    assert len(set(variables["scores"].values())) == 3


@pytest.mark.slow
def test_a_reconstruction_is_scored_by_its_model_s_own_landmarks(ran: tuple[dict[str, Any], Path]) -> None:
    score = ran[0]["score"]
    assert score.mesh_landmarks == "model"
    assert 0.2 < score.millimetres < 10


def test_the_page_promises_three_lines_a_task() -> None:
    blocks = code_blocks(PAGE)
    assert len(blocks) >= 2
    for name in ("reconstruct_photograph", "score_mesh"):
        first = next(block for block in blocks if name in block)
        assert len([line for line in first.splitlines() if line.strip()]) == 3
