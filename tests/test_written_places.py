"""Every command and option that writes, and that none of them changes a byte of what a person brings.

Commands that fill a folder are started in `tests/evaluation/test_output_folders.py` and
`tests/ablations/test_places_of_inputs.py`, those that write one file here. Whatever is new has to be added.
"""

import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations import average, expected_shape, export, workspace
from ablations.expected_shape import PhotographedPeople
from evaluation import qualitative, reconstruct
from lightning_modules.faces import show
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.plain.declared_options import Option, options_of
from lightning_modules.prediction import Prediction
from lightning_modules.reconstruction import Reconstructor
from morphable_faces.__main__ import COMMANDS
from tests import miniatures
from tests.ablations.test_places_of_inputs import COMMANDS as RUNS
from tests.datamodules.conftest import write_photograph
from tests.evaluation.small_checkpoint import (  # noqa: F401
    checkpoint,
    status_of,
    write_checkpoint,
    write_run,
)
from tests.evaluation.test_output_folders import COMMANDS as EVALUATIONS
from tests.evaluation.test_output_folders import content
from tests.evaluation.test_qualitative import detect, small_mesh

ROOT = Path(__file__).resolve().parent.parent
# Each with the options that name its inputs, and the one that names the file.
FILES: dict[str, tuple[Callable, str, str]] = {
    "qualitative": (
        qualitative.main,
        "{photographs} --methods=ours={checkpoint},theirs={meshes} --morphable-model=basel:{model}",
        "--output={output}",
    ),
    "show": (show.main, "basel:{model} --landmarks={landmarks}", "--output={output}"),
    "export": (export.main, "{checkpoint}", "{output} --terms=none"),
    "expected-shape": (
        expected_shape.main,
        "{checkpoint} --morphable-model=basel:{model} --unlabelled={photographs}",
        "{output}",
    ),
    "average": (
        average.main,
        "--of {first} {second} --morphable-model=basel:{model} --unlabelled={photographs}",
        "{output}",
    ),
    "workspace": (workspace.main, "", "{output}"),
}
# They write nothing, into the user's cache folder alone, or what the study that starts them has claimed.
NO_PLACE = {
    "lightning_modules.faces.open_model.__main__",
    "ablations.studies.cell",
    "lightning_modules.faces.proportions",
    "morphable_faces.__main__",
}
WRITTEN = {"output", "cache_folder", "destination"}
READ = {
    "also", "cells_from", "centre_from", "checkpoint", "data", "encoder_weights", "groups", "judge_weights",
    "landmark_folder", "landmark_model", "landmarks", "mesh_landmarks", "meshes", "methods", "micc", "model",
    "mofa", "morphable_model", "of", "photographs", "renderings", "results", "resume", "scans", "source",
    "unlabelled", "weights",
}  # fmt: skip
NAMES = {
    "cluster_options", "device", "devices", "entity", "gpus", "group_columns", "losses", "method", "name",
    "project", "protocol", "rasterizer", "shard", "strategy", "terms", "wandb_project",
}  # fmt: skip


def modules_started() -> set[str]:
    """Every module of the packages that does something when it is started."""
    packages = ("ablations", "datamodules", "evaluation", "lightning_modules", "morphable_faces")
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in packages
        for file in (ROOT / package).rglob("*.py")
        if 'if __name__ == "__main__"' in file.read_text(encoding="utf-8")
        and "main(" in file.read_text(encoding="utf-8").rpartition("if __name__")[2]
    }


def test_every_command_is_started_with_its_inputs_around_its_output() -> None:
    tables = [main for table in (EVALUATIONS, RUNS) for main, _ in table.values()]
    tables += [main for main, *_ in FILES.values()]
    assert {main.__module__ for main in tables} | NO_PLACE == modules_started()
    assert {entry.module for entry in COMMANDS.values()} <= modules_started()


def declared(module: str, monkeypatch: pytest.MonkeyPatch) -> list[Option]:
    """The options of a command."""

    class Declared(Exception):
        pass

    found: list[Option] = []

    def parse(classes: Sequence[type], *_: Any, **__: Any) -> None:  # noqa: ANN401 - whatever is given
        found.extend(options_of(classes))
        raise Declared

    monkeypatch.setattr(importlib.import_module(module), "parse_settings", parse)
    with pytest.raises(Declared):
        importlib.import_module(module).main([])
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_that_may_name_a_place_is_known_to_be_read_or_written(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = declared(COMMANDS[command].module, monkeypatch)
    places = {
        option.name
        for option in options
        if any(kind in (Path, str) for kind in (*option.alternatives, option.element))
    }
    assert places <= WRITTEN | READ | NAMES, (
        "add it to the right set, and to its command's options in a table"
    )
    tables: dict[str, str] = {
        name.replace("_", "-"): " ".join(words)
        for table in (EVALUATIONS, RUNS, FILES)
        for name, (_, *words) in table.items()
    }
    started = " ".join(words for name, words in tables.items() if name.split(" ")[0] == command)
    leading = {"checkpoint", "photographs", "model", "source", "destination", "output", "results"}
    missing = {
        name for name in places & (READ | WRITTEN) - {"cache_folder"} - leading
        if not re.search(rf"--{name.replace('_', '-')}[= ]", started)
    }  # fmt: skip
    refused = {"resume"} if command == "factorial" else set()
    assert command == "open-model" or missing == refused, "no test names it"


def put(folder: Path, read: str) -> Path:
    """Something that a command reads, in a folder; returns where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / read
    if read == "checkpoint":
        return write_checkpoint(folder / "small.ckpt")
    if read in ("first", "second"):
        return write_run(folder / f"{read}.ckpt", seed=len(read))
    if read == "photographs":
        write_photograph(place / "a.png", 0)
    elif read == "meshes":
        place.mkdir(exist_ok=True)
        (place / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    else:
        place.write_text("to be read")
    return place


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize(
    ("name", "more"),
    [*((name, []) for name in FILES), *((name, ["--overwrite"]) for name in ("export", "workspace"))],
)
@pytest.mark.parametrize("way", ["mine", "link", "elsewhere/../mine", "mine/photographs/.."])
def test_a_file_that_a_person_brought_is_never_replaced(
    name: str, way: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main, options, output = FILES[name]
    reads = ("checkpoint", "first", "second", "photographs", "meshes", "model", "landmarks")
    places = {read: put(tmp_path / "mine", read) for read in reads}
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "mine" / "to a letter.png").symlink_to("letter.txt")
    before = content(tmp_path)
    for file in (*content(tmp_path / "mine"), "photographs", "meshes", "to a letter.png", "."):
        target = tmp_path / way / file
        assert status_of(main, [*words_of(options, output, target, places), *more]) == 2
        assert content(tmp_path) == before
        # Of what is there, and not of an input that cannot be used.
        assert re.search(SAID_OF_A_FILE, capsys.readouterr().err), target


def words_of(options: str, output: str, target: Path, places: dict[str, Path]) -> list[str]:
    """A command's words, blanks within names kept."""
    words = f"{options}\n{output}".replace(" ", "\n").format(output=target, **places).split("\n")
    return [word for word in words if word]


SAID_OF_A_FILE = (
    r"is what the command reads|exists|was not written by|is the source|the picture is a PNG|is a folder"
)


@pytest.fixture
def small_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that write a file draw and learn from miniatures."""

    def people(loaded: Reconstructor, chosen: expected_shape.LearntExpectation) -> PhotographedPeople:
        generator = torch.Generator().manual_seed(0)
        shape, albedo = (torch.randn(chosen.people, count, generator=generator) for count in (4, 3))
        features = torch.randn(chosen.people, 2, 20, generator=generator)
        return PhotographedPeople(Prediction(shape, albedo), features)

    monkeypatch.setattr(expected_shape, "photographed_people", people)
    monkeypatch.setattr(qualitative, "load_detector", lambda name: detect)
    monkeypatch.setattr(show, "load_morphable_model", lambda *_, **__: miniatures.small_model(skin=True))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))


SMALL = {
    "qualitative": ["--workers=0", "--size=32"],
    "show": ["--size=32"],
    "expected-shape": ["--workers=0", "--people=8", "--no-landmarks"],
    "average": ["--workers=0"],
}


@pytest.mark.usefixtures("checkpoint", "small_work")
@pytest.mark.parametrize("name", FILES)
def test_a_new_file_among_the_inputs_is_written_and_changes_none_of_them(name: str, tmp_path: Path) -> None:
    main, options, output = FILES[name]
    places = {
        read: put(tmp_path / "mine", read)
        for read in ("checkpoint", "first", "second", "photographs", "model", "landmarks")
    }
    places["meshes"] = tmp_path / "mine" / "meshes"
    write_mesh(small_mesh(colours=True), places["meshes"] / "a.obj")
    for index in range(1, 9):
        write_photograph(places["photographs"] / f"deep/{index}.png", index)
    (tmp_path / "link").symlink_to("mine")
    before = content(tmp_path)
    ways = (
        "mine", "link", "mine/photographs", "link/photographs/deep", "mine/meshes", "mine/photographs/..",
        "new folder", ".", "link/../mine/photographs/new",
    )  # fmt: skip
    options = options.replace(" --morphable-model=basel:{model}", "")
    for way in ways:
        target = tmp_path / way / ("out 1.png" if name in ("show", "qualitative") else "out 1")
        status = status_of(main, [*words_of(options, output, target, places), *SMALL.get(name, [])])
        assert (status or 0) == (1 if name == "qualitative" else 0)  # of most photographs there is no mesh
        assert target.is_file()
        after = content(tmp_path)
        assert {file: after.get(file) for file in before} == before
        assert {(tmp_path / file).resolve() for file in set(after) - set(before)} == {target.resolve()}
        target.unlink()


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("way", ["mine/photographs", "link/photographs", "mine", "mine/photographs/deep/.."])
def test_a_cache_in_the_folder_of_the_inputs_changes_none_of_them(tmp_path: Path, way: str) -> None:
    photographs = put(tmp_path / "mine", "photographs")
    for index, name in enumerate(("photographs/yunet.png", "deep/b.png", "records.sqlite.png"), 1):
        write_photograph(photographs / name, index)
    (tmp_path / "mine" / "recognition").write_text("theirs")
    (tmp_path / "link").symlink_to("mine")
    before = content(tmp_path)
    saved = write_checkpoint(tmp_path.parent / f"{tmp_path.name}.ckpt")
    for _ in range(2):  # the second time with what the first has cached there
        given = [saved, photographs, f"--output={tmp_path.parent / f'{tmp_path.name}-out'}", "--workers=0"]
        assert status_of(reconstruct.main, [*given, "--overwrite", f"--cache-folder={tmp_path / way}"]) == 0
        after = content(tmp_path)
        assert {name: after[name] for name in before} == before
