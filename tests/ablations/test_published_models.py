"""Whole runs on miniatures of published models and networks: training, resumption, reconstruction."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from ablations import run
from datamodules.alignment import face_cache
from evaluation import reconstruct
from evaluation.reporting.results import read_results
from lightning_modules.checkpoints import read_checkpoint
from lightning_modules.faces.loaders.basel import save_basel
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.files import sha256_of_file
from lightning_modules.recognition.networks import load_network
from lightning_modules.regression import Regression
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour, write_photograph
from tests.lightning_modules.faces.loaders.published_layouts import (
    gnm_arrays,
    write_flame,
    write_flame_embedding,
    write_gnm,
)
from tests.lightning_modules.recognition.arcface_layout import write_arcface
from tests.lightning_modules.recognition.test_described_networks import SmallTorch, save_program, write_onnx

from .conftest import OPTIONS, Start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Specifications of two IResNet-18 with random weights, which share their files' name."""
    folder = tmp_path_factory.mktemp("networks")
    return [f"arcface:{write_arcface(folder / str(seed) / 'backbone.pth', seed=seed)}" for seed in (0, 1)]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MorphableModel:
    """A coarse face; also what stands in for the open model, from which albedo is borrowed."""
    model = miniatures.small_model(skin=True)
    save_basel(model, tmp_path / "open.h5")
    module = ModuleType("cache")
    module.open_model_file = lambda level: tmp_path / "open.h5"
    monkeypatch.setitem(sys.modules, "lightning_modules.faces.open_model.cache", module)
    return model


@pytest.fixture
def begin(
    tmp_path: Path, networks: list[str], source: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> Start:
    """Starts a run of ArcFace networks on photographs of nobody; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect_by_colour)
    for index in range(12):
        write_photograph(tmp_path / "photographs" / f"{index:02}.png", index)
    given = [*OPTIONS.split(), "--photographs", "photographs", "--cache-folder", "cache", "--no-progress"]
    given += ["--encoder", networks[0], "--judge", networks[1], "--output", "run"]
    given += ["--photographs-per-step", "6", "--validation-fraction", ".4"]

    def begin(*more: object) -> int:
        try:
            return run.main([*given, *map(str, more)])
        except SystemExit as end:
            return int(end.code)

    return begin


def written(kind: str, source: MorphableModel, folder: Path) -> Path:
    """The miniature's file."""
    if kind == "gnm":
        return write_gnm(source, folder)
    path = write_flame(source, folder)
    write_flame_embedding(source, folder, count=51)
    return path


@pytest.mark.parametrize("kind", ["flame", "gnm"])
def test_a_published_model_trains_resumes_and_reconstructs(
    kind: str,
    begin: Start,
    source: MorphableModel,
    networks: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = written(kind, source, tmp_path / "model")
    options = ("--morphable-model", f"{kind}:{file}", "--shape-components", 5, "--albedo-components", 3)

    # Killed after four of six steps, the same command goes on from the last checkpoint.
    step = Regression.training_step

    def killed(module: Regression, batch: object, batch_idx: int) -> object:
        if module.global_step == 4:
            raise KeyboardInterrupt
        return step(module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Regression, "training_step", killed)
        assert begin(*options) == 130
    assert begin(*options) == 0
    content = read_checkpoint(tmp_path / "run" / "final.ckpt")["unsupervised_morphable_faces"]
    assert content["morphable_model"]["kind"] == kind
    assert content["morphable_model"]["sha256"] == sha256_of_file(file)
    hashes = [sha256_of_file(Path(network.partition(":")[2])) for network in networks]
    names = {role: entry["name"] for role, entry in content["networks"].items()}
    assert names["judge"] == f"arcface-{hashes[1][:8]}"
    assert names["encoder"] == f"arcface-{hashes[0][:8]}-colour"
    assert read_results(tmp_path / "run").provenance["networks"]["judge"]["sha256"] == hashes[1]

    photograph = tmp_path / "photographs" / "00.png"
    arguments = ["run/final.ckpt", photograph, "--cache-folder=cache", "--workers=0", "--output=faces"]
    assert reconstruct.main([*map(str, arguments), "--preview-size=48", "--no-progress"]) == 0
    kept = json.loads((tmp_path / "faces" / "00.json").read_text())
    assert len(kept["shape"]) == 5
    mesh = read_mesh(tmp_path / "faces" / "00.ply").vertices
    if kind == "gnm":
        # The coefficients that were written are GNM's: its own formula gives the same mesh.
        arrays = gnm_arrays(source)
        mine = np.einsum("i,ivk->vk", kept["shape"], arrays["vertex_identity_basis"][:5])
        expected = 1000 * (arrays["template_vertex_positions"] + mine)[: len(mesh)]
        np.testing.assert_allclose(mesh.numpy(), expected, atol=0.05)
    assert torch.isfinite(mesh).all()


def test_a_checkpoint_asks_for_the_file_of_its_encoder(
    begin: Start, networks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "mine.pth"
    shutil.copy(networks[0].partition(":")[2], place)
    assert begin("--encoder", f"arcface:{place}", "--max-steps", 2, "--pretraining-steps", 2) == 0
    place.unlink()
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        reconstruct.main(["run/final.ckpt", "photographs/00.png", "--output=faces", "--no-progress"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "mine.pth does not exist" in said
    assert "run/final.ckpt was trained with the encoder arcface-" in said


def test_a_judge_that_is_a_copy_of_the_encoder_s_file_is_refused(
    begin: Start, networks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(networks[0].partition(":")[2], tmp_path / "copy.pth")
    assert begin("--judge", f"arcface:{tmp_path / 'copy.pth'}") == 2
    assert "also trains, in a copy of its file" in capsys.readouterr().err
    assert begin("--judge", networks[0]) == 2
    assert "also trains; a network scores its own training too well" in capsys.readouterr().err
    assert begin("--judge", f"arcface:{tmp_path / 'none.pth'}") == 2
    assert "none.pth does not exist" in capsys.readouterr().err


def test_described_networks_train_and_judge(begin: Start, tmp_path: Path) -> None:
    another = SmallTorch()
    torch.nn.init.normal_(another.fc.weight)
    encoder = f"onnx:{write_onnx(tmp_path / 'encoder.onnx')}"
    identity = f"torch:{save_program(tmp_path / 'identity.pt2', SmallTorch())}"
    judge = f"torch:{save_program(tmp_path / 'judge.pt2', another)}"
    assert begin("--encoder", encoder, "--identity-network", identity, "--judge", judge) == 0
    kept = read_checkpoint(tmp_path / "run" / "final.ckpt")["unsupervised_morphable_faces"]["networks"]
    assert kept["encoder"]["name"] == f"{load_network(encoder).name}-colour"
    for role, specification in {"identity": identity, "judge": judge}.items():
        assert kept[role]["sha256"] == load_network(specification).sha256
    arguments = ["run/final.ckpt", "photographs/00.png", "--cache-folder=cache", "--workers=0"]
    assert reconstruct.main([*arguments, "--output=faces", "--preview-size=48", "--no-progress"]) == 0
    assert torch.isfinite(read_mesh(tmp_path / "faces" / "00.ply").vertices).all()
