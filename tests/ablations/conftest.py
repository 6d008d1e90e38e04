from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablations import run
from ablations.runs import components
from datamodules.alignment import face_cache
from tests.datamodules.conftest import detect_by_colour, write_photograph
from tests.miniatures import SmallMesh

from .small_run import small_teachers

# Eight of the 24 photographs are held back. Progress bars are left out but where a test is about them.
OPTIONS = (
    "--rendered 2 --views 2 --photographs-per-step 8 --synthetic-per-step 4 --synthetic-faces 32 "
    "--synthetic-per-pretraining-step 8 --hidden-width 16 --pretraining-steps 4 --max-steps 6 "
    "--warmup-steps 2 --validation-interval 4 --checkpoint-interval 2 --validation-fraction .2 "
    "--gradient-norm-interval 3 --workers 0"
)

Start = Callable[..., int]


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and what all tests may cache."""
    folder = tmp_path_factory.mktemp("material")
    for index in range(24):
        write_photograph(folder / "photographs" / f"{index:02}.png", index)
    return folder


@pytest.fixture
def options(material: Path) -> list[str]:
    """Of a run on miniatures that takes a second."""
    folders = ["--photographs", str(material / "photographs"), "--cache-folder", str(material / "cache")]
    return [*OPTIONS.split(), *folders]


@pytest.fixture
def start(tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a run on miniatures in a folder of the test's own; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(components, "load_teachers", small_teachers)
    monkeypatch.setattr(components, "FaceMesh", SmallMesh)
    monkeypatch.setattr(components, "find_landmark_model", lambda: None)
    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect_by_colour)

    def start(*more: object, progress: bool = False) -> int:
        try:
            return run.main([*options, *([] if progress else ["--no-progress"]), *map(str, more)])
        except SystemExit as end:
            return int(end.code)

    return start


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B writes to the disk alone, and forgets afterwards what it read of the environment."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_RUN_GROUP", "WANDB_TAGS", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb.teardown()
