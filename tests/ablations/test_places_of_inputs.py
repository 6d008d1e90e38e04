"""Training commands, started with their inputs inside, beside and around their output folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ablations import factorial, run
from ablations.runs import components
from datamodules.alignment import face_cache
from lightning_modules.plain.output_folder import OutputFolder
from tests.datamodules.conftest import detect_by_colour, write_photograph
from tests.evaluation.small_checkpoint import write_checkpoint
from tests.evaluation.test_output_folders import content

from .conftest import OPTIONS
from .small_run import small_teachers

COMMANDS: dict[str, tuple[Callable, str]] = {
    "run": (
        run.main,
        "--photographs={photographs} --morphable-model=basel:{model} --resume={checkpoint} "
        "--config={configuration}",
    ),
    "factorial": (
        factorial.main,
        "--photographs={photographs} --morphable-model=basel:{model} --data=lfw:{people} --losses=loopback "
        "--config={configuration} --cells-from={study}",
    ),
}
Start = Callable[[str, Path], str]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Starts a command whose inputs lie in `mine`; returns what it says, or "begins" where it would work."""

    def begin(*_: object, **__: object) -> str:
        raise ValueError("begins")

    monkeypatch.setattr(OutputFolder, "begin", begin)
    monkeypatch.setattr(components, "load_teachers", small_teachers)
    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect_by_colour)
    mine = tmp_path / "mine"
    for index in range(24):
        write_photograph(mine / "photographs" / f"{index:02}.png", index)
    write_photograph(mine / "people" / "lfw-deepfunneled" / "A" / "A_0001.jpg", 0)
    (mine / "people" / "peopleDevTrain.txt").write_text("1\nA\t1\n")
    (mine / "model").write_text("to be read")
    (mine / "configuration").write_text("seed: 3\n")
    places = {name: mine / name for name in ("photographs", "people", "model", "configuration")}
    # Not there as a rule: then a study says so, and its place is refused before that.
    places["study"] = mine / "study"
    places["checkpoint"] = write_checkpoint(mine / "last.ckpt")
    (tmp_path / "link").symlink_to("mine")

    def start(name: str, output: Path) -> str:
        main, options = COMMANDS[name]
        before = content(tmp_path)
        words = [word.format(**places) for word in options.split()]
        cache = tmp_path.parent / f"{tmp_path.name}-cache"
        given = [*words, *OPTIONS.split(), f"--output={output}", f"--cache-folder={cache}", "--no-progress"]
        for more in ([], ["--overwrite"]):
            with pytest.raises(SystemExit, match="2"):
                main([*given, *more])
            assert content(tmp_path) == before
        return capsys.readouterr().err

    return start


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("way", ["mine", "link", "mine/photographs", "link/photographs", "mine/people/.."])
@pytest.mark.parametrize("owned", [False, True])
def test_a_folder_that_holds_inputs_is_refused(
    start: Start, tmp_path: Path, name: str, way: str, owned: bool
) -> None:
    if owned:  # a manifest alone makes nothing in the folder its own
        OutputFolder(tmp_path / way, name).claim("a.txt").write_text("")
    said = start(name, tmp_path / way)
    assert said.count("error: the output folder" if owned else "error: ") == 2
    assert "begins" not in said
    assert said.count("; name another --output") == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_is_no_output_folder(start: Start, tmp_path: Path, name: str) -> None:
    assert start(name, tmp_path / "mine" / "model").count("error: ") == 2
