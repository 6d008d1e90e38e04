"""What similarity.py and clustering.py run on in tests: tiny networks, a coarse model, people in colours."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from datamodules.alignment import face_cache
from evaluation.likeness import (
    comparison,
    options,
    other_methods,
    photographs_of_people,
    rendering_embeddings,
)
from lightning_modules.checkpoints import KEY, checkpoint_content
from lightning_modules.recognition.similarity import Centre
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.regressor import Regressor
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour, write_photograph
from tests.evaluation.untouched import inputs_untouched

PEOPLE, EACH = 5, 3


class Material(NamedTuple):
    """Files of a test.

    Attributes:
        folder: of the test.
        checkpoint: of a regressor that was not trained.
        photographs: root/<identity>/<image>; one of them shows no face.
        rendered: how many faces were rendered so far.
    """

    folder: Path
    checkpoint: Path
    photographs: Path
    rendered: list[int]

    def run(
        self, main: Callable[[list[str]], int], *more: object, output: str = "out", kind: str = "identities"
    ) -> int:
        """A command's exit status on these files."""
        arguments = [
            *map(str, more), "--data", f"{kind}:{self.photographs}", "--workers", "0", "--no-progress",
            "--cache-folder", str(self.folder / "cache"), "--output", str(self.folder / output),
        ]  # fmt: skip
        with inputs_untouched(arguments):
            try:
                return main(arguments)
            except SystemExit as end:
                return int(end.code)


def small_network(name: str) -> miniatures.SmallNetwork:
    """A network of this name; always the same."""
    network = miniatures.SmallNetwork({"dlib": 1, "sface": 2, "facenet": 3, "vggface": 4}[name])
    network.name = name
    if name == "vggface":
        network.descriptor_layer = "fc7-relu"
    return network


def write_checkpoint(file: Path, seed: int = 0) -> Path:
    """A checkpoint of a regressor that was not trained, with the encoder `dlib` and the judge `sface`."""
    torch.manual_seed(seed)
    regressor = Regressor(20, 4, 3, hidden_width=16)
    networks = {role: small_network(name) for role, name in (("encoder", "dlib"), ("judge", "sface"))}
    judge = networks["judge"]
    content = checkpoint_content(
        stage=2, regressor=regressor, model=miniatures.small_model(), networks=networks,
        centres={"sface": Centre(0.1 * torch.ones(8), "sface", judge.sha256, "photographs, training", 600)},
        settings={"morphable_model": "open"}, commit="c0ffee", wandb_id="abc",
    )  # fmt: skip
    weights = {f"regressor.{name}": value for name, value in regressor.state_dict().items()}
    torch.save({"state_dict": weights, "global_step": 7, KEY: content}, file)
    return file


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Material:
    """Five people with three photographs each, and what the loaders find instead of the real parts."""
    for person in range(PEOPLE):
        for number in range(EACH):
            path = tmp_path / "photographs" / f"P{person}" / f"P{person}_{number + 1:04d}.jpg"
            write_photograph(path, 10 * person + number, face=(person, number) != (4, 2))
    (tmp_path / "photographs" / "peopleDevTrain.txt").write_text("1\nP0\t3\n")
    counted: list[int] = []
    render = rendering_embeddings.render_for_judge

    def counting(model: object, coefficients: object, **options: object) -> torch.Tensor:
        counted.append(len(coefficients.shape))
        return render(model, coefficients, **options)

    def load_reconstructor(file: Path, **_: object) -> Reconstructor:
        regressor, content = options.load_regressor(file)
        return Reconstructor(regressor, miniatures.small_model(), small_network("dlib"), content)

    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect_by_colour)
    monkeypatch.setattr(other_methods, "load_detector", lambda name: detect_by_colour)
    monkeypatch.setattr(rendering_embeddings, "render_for_judge", counting)
    monkeypatch.setattr(options, "load_network", lambda name, *_, **__: small_network(name))
    monkeypatch.setattr(options, "load_reconstructor", load_reconstructor)
    for module in (comparison, photographs_of_people):
        monkeypatch.setattr(module, "load_morphable_model", lambda *_, **__: miniatures.small_model())
    monkeypatch.chdir(tmp_path)
    for name in ("LFW_DIR", "MOFA_DIR", "MICC_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Material(tmp_path, write_checkpoint(tmp_path / "run.ckpt"), tmp_path / "photographs", counted)
