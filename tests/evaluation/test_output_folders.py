"""Every command that fills a folder, started with its inputs inside, beside and around that folder."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation import (
    clustering,
    consistency,
    fairness,
    fit,
    leaderboard,
    micc,
    reconstruct,
    reporting_people,
    robustness,
    similarity,
    validity,
    verification,
)
from evaluation.scans import evaluation
from lightning_modules import reconstruction
from lightning_modules.plain.output_folder import OutputFolder
from tests.datamodules.conftest import write_photograph

from .small_checkpoint import checkpoint, status_of, write_checkpoint  # noqa: F401
from .test_leaderboard import PEOPLE, micc_folder

# The options of each command that name something to read.
COMMANDS: dict[str, tuple[Callable, str]] = {
    "reconstruct": (
        reconstruct.main,
        "{checkpoint} {photographs} --morphable-model=basel:{model} --landmark-model={weights}",
    ),
    "reconstruct of a list": (reconstruct.main, "{checkpoint} {list}"),
    "fit": (
        fit.main,
        "{checkpoint} {photographs} --landmark-folder={landmarks} --landmark-model={weights} "
        "--morphable-model=basel:{model}",
    ),
    "fit to a list": (fit.main, "{checkpoint} {list}"),
    "robustness": (
        robustness.main,
        "{checkpoint} --data=photographs:{photographs} --morphable-model=basel:{model}",
    ),
    "consistency": (
        consistency.main,
        "{checkpoint} --data=lfw:{photographs} --morphable-model=basel:{model}",
    ),
    "similarity": (
        similarity.main,
        "{checkpoint} --data=lfw:{photographs} --judge-weights={weights} --centre-from={others} "
        "--morphable-model=basel:{model} --groups={labels} --micc={micc} --mofa={faces}",
    ),
    "similarity of meshes": (similarity.main, "--meshes={meshes} --data=lfw:{photographs} --judge=sface"),
    "similarity of renderings": (
        similarity.main,
        "--renderings={others} --data=lfw:{photographs} --judge=sface",
    ),
    "clustering": (
        clustering.main,
        "{checkpoint} --data=lfw:{photographs} --judge-weights={weights} --centre-from={others} "
        "--morphable-model=basel:{model} --groups={labels}",
    ),
    "clustering of renderings": (
        clustering.main,
        "--renderings={others} --data=lfw:{photographs} --judge=sface",
    ),
    "clustering of meshes": (clustering.main, "--meshes={meshes} --data=lfw:{photographs} --judge=sface"),
    "micc": (
        micc.main,
        "{checkpoint} --data=scans:{scans} --also=[{meshes}] --landmarks={landmarks} "
        "--mesh-landmarks={ids} --encoder-weights={weights} --morphable-model=basel:{model} "
        "--groups={labels}",
    ),
    "micc of meshes": (micc.main, "--meshes={meshes} --data=micc:{micc}"),
    "leaderboard": (leaderboard.main, "{run} {rival}"),
    "validity": (validity.main, "--morphable-model=basel:{model}"),
    "fairness": (fairness.main, "{checkpoint}"),
    "verification": (
        verification.main,
        "--network=dlib --data=lfw:{photographs} --weights={weights} --centre-from={others}",
    ),
    "reporting_people": (
        reporting_people.main,
        "{checkpoint} --data=lfw:{photographs} --morphable-model=basel:{model}",
    ),
}
READS = [(name, read) for name, (_, options) in COMMANDS.items() for read in re.findall(r"{(\w+)}", options)]
FOLDERS = ("photographs", "others", "scans", "meshes", "landmarks", "micc", "run", "rival")


def put(folder: Path, read: str) -> Path:
    """Something that a command can read, in a folder; returns where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if read == "checkpoint":
        return write_checkpoint(folder / "small.ckpt")
    if read == "list":
        write_photograph(folder / "pictures" / "a.png", 0)
        (folder / "list.txt").write_text("pictures/a.png\n")
        return folder / "list.txt"
    place = folder / read
    if read == "photographs":
        write_photograph(place / "lfw-deepfunneled" / "A" / "A_0001.jpg", 0)
        (place / "peopleDevTrain.txt").write_text("1\nA\t1\n")
    elif read in ("others", "faces"):
        write_photograph(place / "a.png", 0)
    elif read == "scans":
        (place / "scans").mkdir(parents=True, exist_ok=True)
        (place / "scans" / "a.obj").write_text("v 0 0 0\n")
    elif read in ("run", "rival"):
        micc_folder(place, {(read, "any", "genova"): np.ones(len(PEOPLE))})
    elif read == "micc":
        (place / "subject_01").mkdir(parents=True)
    elif read == "meshes":
        place.mkdir(exist_ok=True)
        (place / "a.obj").write_text("v 0 0 0\n")
    elif read == "landmarks":
        place.mkdir(exist_ok=True)
        (place / "a.txt").write_text("0 0\n")
    elif read == "labels":
        place = folder / "labels.csv"
        place.write_text("name,sex\na,female\n")
    else:
        place.write_text("to be read")
    return place


def content(folder: Path) -> dict[str, bytes]:
    """Every byte below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


Start = Callable[..., str]


@pytest.fixture
def start(
    tmp_path: Path,
    checkpoint: Path,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Start:
    """Starts a command with one thing that it reads in a folder `mine`; returns the error that it ends with.

    A command that gets as far as to work in its folder ends with "begins".
    """

    def begin(*_: object, **__: object) -> str:
        raise ValueError("begins")

    monkeypatch.setattr(OutputFolder, "begin", begin)
    monkeypatch.setattr(reconstruct, "load_reconstructor", lambda *_, **__: None)
    load = reconstruction.load_reconstructor
    monkeypatch.setattr(evaluation, "load_reconstructor", lambda file, **_: load(file))
    for name in ("LFW_DIR", "MICC_DIR", "MOFA_DIR", "MORPHABLE_MODEL"):
        monkeypatch.delenv(name, raising=False)

    def start(name: str, read: str, output: Path, *more: str) -> str:
        main, options = COMMANDS[name]
        places = {}
        for each in re.findall(r"{(\w+)}", options):
            places[each] = put(tmp_path / ("mine" if each == read else "elsewhere"), each)
        (tmp_path / "link").symlink_to("mine")
        before = content(tmp_path)
        words = [word.format(**places) for word in options.split()]
        if name.startswith("reconstruct"):
            more = (*more, f"--cache-folder={tmp_path.parent / f'{tmp_path.name}-cache'}", "--workers=0")
        assert status_of(main, [*words, f"--output={output}", *more]) == 2
        assert content(tmp_path) == before
        return capsys.readouterr().err

    return start


@pytest.mark.parametrize("way", ["mine", "link"])
@pytest.mark.parametrize(("name", "read"), READS)
def test_a_folder_that_holds_what_a_command_reads_is_refused(
    start: Start, tmp_path: Path, name: str, read: str, way: str
) -> None:
    error = start(name, read, tmp_path / way, *(["--overwrite"] if way == "link" else []))
    command = name.split(" ")[0]
    assert "error: the output folder" in error
    assert f", which {command}.py reads; name another --output" in error


@pytest.mark.parametrize(("name", "read"), [pair for pair in READS if pair[1] in FOLDERS])
def test_a_folder_that_is_read_is_no_output_folder(
    start: Start, tmp_path: Path, name: str, read: str
) -> None:
    assert ", which " in start(name, read, tmp_path / "link" / read)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("way", ["out", "mine/out", "link/../elsewhere/out"])
def test_a_folder_beside_what_is_read_or_inside_it_is_worked_in(
    start: Start, tmp_path: Path, name: str, way: str
) -> None:
    # Own files, so that there is something to hold.
    OutputFolder(tmp_path / way.removeprefix("link/../"), name.split(" ")[0]).claim("a.txt").write_text("")
    read = next(read for command, read in READS if command == name)
    assert start(name, read, tmp_path / way) == "error: begins\n"


@pytest.mark.parametrize(
    ("name", "read"),
    [(name, read) for name, read in READS if read in ("photographs", "scans", "meshes")],
)
def test_a_folder_inside_a_folder_that_is_read_is_worked_in(
    start: Start, tmp_path: Path, name: str, read: str
) -> None:
    OutputFolder(tmp_path / "mine" / read / "out", name.split(" ")[0]).claim("a.txt").write_text("")
    assert start(name, read, tmp_path / "mine" / read / "out") == "error: begins\n"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("way", ["a file/out", "a file/deep/../out", "to nothing", f"new/{'n' * 300}"])
def test_a_folder_that_takes_no_file_is_refused_before_any_work(
    start: Start, tmp_path: Path, name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heavy(*_: object, **__: object) -> None:
        raise AssertionError("loaded before the folder was looked at")

    monkeypatch.setattr(reconstruct, "load_reconstructor", heavy)
    monkeypatch.setattr(reconstruct, "ChosenFaces", heavy)
    (tmp_path / "a file").write_text("dear")
    (tmp_path / "to nothing").symlink_to("nothing")
    read = next(read for command, read in READS if command == name)
    assert "error: nothing can be written in the output folder" in start(name, read, tmp_path / way)


def test_a_model_that_the_environment_names_is_read_too(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MORPHABLE_MODEL", f"basel:{put(tmp_path / 'out', 'model')}")
    assert "holds" in start("fairness", "checkpoint", tmp_path / "out")
