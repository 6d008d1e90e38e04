"""Studies on miniatures; their cells run in this process where a test is not about processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from ablations import factorial, run
from ablations.runs.execution import Execution
from ablations.runs.output_folders import LOCK
from ablations.runs.settings import Settings
from ablations.studies import cell, cell_results, cell_workers
from ablations.studies.designs import PAPER_SWITCHES, Cell, cells_of
from evaluation import reporting_people
from evaluation.reporting.results import read_results
from lightning_modules.plain.command_line import parse_settings
from lightning_modules.plain.output_folder import MANIFEST, OutputFolder
from tests.evaluation import small_people

from . import small_run
from .conftest import Start

SIZE = ("--people", "6", "--known-people", "0", "--seeds", "2", "--no-progress")
Study = Callable[..., int]


@pytest.fixture
def study(start: Start, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Starts a study whose cells run one after another in this process; returns the exit status."""
    small_people.with_miniatures(monkeypatch.setattr)
    commands = {factorial.RUN_PROGRAM: run.main, factorial.PEOPLE_PROGRAM: reporting_people.main}

    def run_step(command: Sequence[str], log: Path, _: Callable[[], bool]) -> int:
        try:
            return commands[Path(command[1])](command[2:])
        except SystemExit as end:
            return int(end.code)
        except Exception as error:  # as a process that ends with a traceback
            log.write_text(f"{type(error).__name__}: {error}\n")
            return 1

    def run_here(folders: Sequence[Path], jobs: int, gpus: Sequence[str], ended: cell_workers.Ended) -> None:
        for folder in folders:
            cell.work_through(folder / cell.PLAN, lambda: False)
            ended(folder)

    monkeypatch.setattr(cell, "run_step", run_step)
    monkeypatch.setattr(cell_workers, "run_here", run_here)

    def study(*more: object) -> int:
        try:
            return factorial.main([*options, *SIZE, "--output", "study", *map(str, more)])
        except SystemExit as end:
            return int(end.code)

    return study


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_study_leaves_tables_results_and_a_report(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("--losses", "loopback", "multi-view") == 0
    folder = tmp_path / "study"
    printed = capsys.readouterr().out
    for name in ("means", "differences", "attribution"):
        for suffix in (".csv", ".md", ".tex", ".txt"):
            assert (folder / f"{name}{suffix}").is_file()
    means = pd.read_csv(folder / "means.csv")
    assert set(means["variant"]) == {"full", "no-loopback", "no-multi-view", "no-loopback+no-multi-view"}
    people = [
        pd.read_csv(folder / f"full/seed-{seed}" / "people" / "people.csv")["similarity"].mean()
        for seed in (0, 1)
    ]
    row = means[(means["variant"] == "full") & (means["metric"] == "similarity")].iloc[0]
    assert row["mean"] == pytest.approx(np.mean(people))
    assert row["sd_over_seeds"] == pytest.approx(np.std(people, ddof=1))
    worth = pd.read_csv(folder / "attribution.csv").set_index(["switch", "metric"])["value"]
    by_variant = means.set_index(["variant", "metric"])["mean"]
    for metric in means["metric"].unique():
        total = by_variant["full", metric] - by_variant["no-loopback+no-multi-view", metric]
        assert worth["loopback", metric] + worth["multi-view", metric] == pytest.approx(total, abs=1e-9)
    differences = pd.read_csv(folder / "differences.csv")
    assert set(differences["seeds"]) == {2}
    assert set(differences["people"]) == {6}
    results = read_results(folder)
    assert results.counts == (8, 8, {})
    assert results.title == (
        "STAND-IN: Ablation of loopback, multi-view (full design; suite method, views 2, quick preset with "
        "6 steps, trained on 16 photographs; moments over 8 photographs a step)"
    )
    assert "jitter" in results.provenance["departures"]
    assert "Shapley value" in (folder / "attribution.md").read_text()
    for name, has_power in (("means", False), ("differences", True), ("attribution", True)):
        said = (folder / f"{name}.md").read_text()
        assert ("The smallest effects that this design would see in 80 % of" in said) == has_power
    assert "2 seeds a variant cannot settle what would change with other seeds" in " ".join(printed.split())
    for name in ("means", "differences", "attribution"):
        text = (folder / f"{name}.txt").read_text()
        assert text in printed
        assert max(map(len, text.splitlines())) <= 80
    assert "8 of 8 cells compared" in printed
    page = (folder / "report.html").read_text()
    assert page.count('alt="no-loopback, person') == 6
    assert "validation/judge_similarity" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http://" not in re.sub(
        r"http://www\.w3\.org|http://purl\.org|http://creativecommons\.org", "", page
    )


def test_a_finished_study_is_printed_and_other_settings_are_refused(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--losses", "loopback", "--seeds", 1)
    assert study(*given) == 0
    monkeypatch.setattr(cell, "work_through", None)
    monkeypatch.setattr(cell_workers, "run_here", None)
    capsys.readouterr()
    assert study(*given) == 0
    assert "2 of 2 cells compared" in capsys.readouterr().out
    assert study("--losses", "identity", "--seeds", 1) == 2
    assert "was computed with other settings" in refused(capsys)


def test_a_larger_design_takes_over_the_cells_of_a_smaller_one(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = ("--losses", "batch-distribution", "loopback")
    assert study(*losses, "--design", "one-out", "--output", "small") == 0
    larger = (*losses, "--seeds", 1, "--output", "large", "--cells-from", "small")
    capsys.readouterr()
    assert study(*larger, "--dry-run") == 0
    assert "no-loopback/seed-0: to be taken over from small" in capsys.readouterr().out
    assert not (tmp_path / "large").exists()
    ran, work_through = [], cell.work_through
    monkeypatch.setattr(
        cell, "work_through", lambda plan, stop: (ran.append(plan.parent), work_through(plan, stop))
    )
    assert study(*larger) == 0
    assert [folder.parent.name for folder in ran] == ["no-batch-distribution+no-loopback"]
    said = capsys.readouterr().out
    assert "full/seed-0 taken over from small" in said
    assert "4 of 4 cells compared" in said
    assert read_results(tmp_path / "large").rows
    for name in ("run/final.ckpt", "people/people.csv"):
        copied, original = (tmp_path / study / "full/seed-0" / name for study in ("large", "small"))
        assert copied.read_bytes() == original.read_bytes()
    # What was copied is the study's own: --overwrite deletes it there, and nothing of the other study.
    before = {path: path.read_bytes() for path in (tmp_path / "small").rglob("*") if path.is_file()}
    OutputFolder(tmp_path / "large", "factorial").begin(overwrite=True)
    assert not (tmp_path / "large" / "full").exists()
    assert {path: path.read_bytes() for path in (tmp_path / "small").rglob("*") if path.is_file()} == before


def test_a_copy_that_was_stopped_is_made_again(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = ("--losses", "loopback", "--seeds", 1)
    assert study(*losses, "--output", "small") == 0

    def stopped(*_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(shutil, "copy2", stopped)
        assert study(*losses, "--output", "large", "--cells-from", "small") == 130
    half = tmp_path / "large/full/seed-0/people/results.json"
    half.write_text("{")
    monkeypatch.setattr(cell, "work_through", None)
    assert study(*losses, "--output", "large", "--cells-from", "small") == 0
    assert half.read_bytes() == (tmp_path / "small/full/seed-0/people/results.json").read_bytes()


def test_cells_are_taken_over_from_a_study_with_the_same_options_only(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = ("--losses", "loopback", "--seeds", 1)
    assert study(*losses, "--output", "small") == 0
    shutil.copytree(tmp_path / "small/full/seed-0/run", tmp_path / "other")
    for change, sentence in (
        (["--people", "5"], "(people: 6 there, 5 now)"),
        (["--learning-rate", "0.01"], "learning_rate: "),
        (["--cells-from", "nothing"], "nothing holds no work of factorial.py"),
        (["--cells-from", "other"], "other belongs to the command run, not factorial"),
        (["--output", "small"], "which factorial.py reads; name another --output"),
    ):
        assert study(*losses, "--output", "large", "--cells-from", "small", *change) == 2
        assert sentence in refused(capsys)
        assert not (tmp_path / "large").exists()


def test_other_designs_say_leave_one_out(study: Study, tmp_path: Path) -> None:
    assert study("--losses", "loopback", "--design", "one-out", "--seeds", 1) == 0
    text = (tmp_path / "study" / "attribution.md").read_text()
    assert "leave-one-out difference" in text
    assert "Shapley" not in text
    worth = pd.read_csv(tmp_path / "study" / "attribution.csv")
    change = pd.read_csv(tmp_path / "study" / "differences.csv")
    np.testing.assert_allclose(worth["value"], -change["value"])


def test_a_cell_that_crashes_stops_no_other_and_is_tried_again(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--losses", "loopback")
    train = run.train

    def crash(*arguments: object) -> object:
        settings = next(part for part in arguments if isinstance(part, Settings))
        if not settings.loopback and settings.seed == 1:
            raise RuntimeError("out of memory")
        return train(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run, "train", crash)
        assert study(*given) == 1
    results = read_results(tmp_path / "study")
    reason = "run ended with status 1: RuntimeError: out of memory"
    left_out = "left out: another variant of seed 1 is missing"
    assert results.counts == (4, 2, {reason: 1, left_out: 1})
    printed = capsys.readouterr().out
    assert f"no-loopback/seed-1 is missing: {reason}" in " ".join(printed.split())
    assert set(pd.read_csv(tmp_path / "study" / "means.csv")["seeds"]) == {1}
    finished = tmp_path / "study" / "full" / "seed-0" / "run" / "results.json"
    before = finished.stat().st_mtime_ns
    assert study(*given) == 0
    assert finished.stat().st_mtime_ns == before
    assert read_results(tmp_path / "study").counts == (4, 4, {})


def test_a_study_without_one_complete_seed_says_so(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting_people, "people_report", None)
    assert study("--losses", "loopback", "--seeds", 1) == 1
    results = read_results(tmp_path / "study")
    assert results.title == "no seed of which every cell is finished"
    assert results.counts.used == 0
    assert not (tmp_path / "study" / "report.html").exists()


def test_a_dry_run_lists_cells_and_estimates_from_those_that_are_finished(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--losses", "loopback", "--dry-run")
    assert study(*given) == 0
    printed = capsys.readouterr().out
    assert "no-loopback/seed-1: not finished" in printed
    assert "--no-loopback --seed=1 --output=study/no-loopback/seed-1/run" in printed
    assert "4 cells, 4 of them left; how long they take is known when the first one is finished" in printed
    assert not (tmp_path / "study").exists()
    done = tmp_path / "study" / "full" / "seed-0"
    done.mkdir(parents=True)
    cell.write_state(done, cell.FINISHED, {"run": 500.0, "people": 100.0})
    assert study(*given, "--jobs", 2) == 0
    printed = capsys.readouterr().out
    assert "full/seed-0: finished" in printed
    assert "4 cells, 3 of them left; about 20 min left, by the 1 that are finished" in printed


@pytest.mark.parametrize(("given", "warns"), [("--method=paper", True), ("--photographs-per-step=64", False)])
def test_a_study_of_few_photographs_a_step_says_so_itself(
    study: Study, capsys: pytest.CaptureFixture[str], given: str, warns: bool
) -> None:
    assert study("--losses", "loopback", given, "--rendered", 8, "--dry-run") == 0
    assert ("warning: the batch distribution sees 8 photographs a step" in capsys.readouterr().err) is warns


def test_a_cell_s_commands_are_what_its_options_say(tmp_path: Path) -> None:
    plan, settings, execution = parse_settings(
        (factorial.Plan, Settings, Execution),
        ["--photographs=lfw:d", "--no-identity", "--max-steps=9", "--no-progress", "--device=cuda",
         "--cache-folder=c", "--data=lfw:d", "--seed=4", "--output=x", "--workers=2"],
        program="factorial.py", description="",
    )  # fmt: skip
    train, people, known = factorial.steps_of(Cell(("loopback",), 5), tmp_path, plan, settings, execution)
    parsed, executed = parse_settings((Settings, Execution), train["command"][2:], program="", description="")
    assert parsed == factorial.of_cell(Cell(("loopback",), 5), settings)
    assert executed == Execution(
        device="cuda", cache_folder=Path("c"), workers=2, progress=False, output=tmp_path / "run"
    )
    assert people["command"][2:] == [
        str(tmp_path / "run" / "final.ckpt"), "--data=lfw:d", "--people=300", "--device=cuda",
        "--cache-folder=c", "--workers=2", f"--output={tmp_path / 'people'}",
    ]  # fmt: skip
    assert "--data=stand-in" in known["command"]
    assert known["results"] == "stand-in/results.json"


@pytest.mark.parametrize("given", ["--method paper --rendered 64", "--method suite"])
def test_the_file_of_figure_3_is_the_paper_s_study_with_moments_of_enough_photographs(given: str) -> None:
    file = Path(factorial.__file__).with_name("figure_3.yaml")
    words = ["--config", str(file), *given.split()]
    plan, settings, execution = parse_settings(
        (factorial.Plan, Settings, Execution), words, program="factorial.py", description=""
    )
    cells = cells_of(plan.design, plan.losses, range(plan.seeds))
    assert {one.off for one in cells} == {(), *((name,) for name in PAPER_SWITCHES)}
    assert len(cells) == 4 * plan.seeds == 12
    assert (plan.people, plan.known_people) == (300, 100)
    for one in cells:
        full = factorial.of_cell(one, settings).resolved()
        assert full.max_steps == 2000
        assert full.warning is None
        # Some twenty points of each curve, so that it shows whether a variant has converged.
        assert full.max_steps // execution.validation_interval == 20


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--losses", "loopback", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--losses", "loopback", "--cluster", "pbs"], "--cluster: expected slurm or local, got pbs"),
        (
            ["--losses", "loopback", "--cluster", "slurm", "--jobs", "2"],
            "--cluster shares out cells by itself",
        ),
        (["--losses", "loopback", "--resume", "x.ckpt"], "--resume is of a single run"),
        (["--losses", "lopback"], "--losses lopback is no switch of run.py"),
        (["--losses", "loopback", "--judge", "dlib"], "the judge dlib also trains"),
        (["--losses", "loopback", "--data", "lfw:nowhere"], "no LFW images in nowhere"),
        (
            ["--losses", "loopback", "--data", "mofa:x"],
            "--data mofa:x is not known; give lfw:DIR or",
        ),
        (["--losses", "loopback", "--photographs", "nowhere"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], sentence: str
) -> None:
    assert study(*given) == 2
    assert sentence in refused(capsys)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("made", "given", "sentence"),
    [
        ((), "lfw:people", "no LFW images in people; expected Labeled Faces in the Wild: folders <Name>/"),
        ((), "people", "no LFW images in people"),
        (("people/Ann.jpg",), "lfw:people", "no LFW images in people"),
        (("people/Ann/portrait.jpg",), "lfw:people", "no LFW images in people"),
        (("people/lfw/Ann/Ann_0001.jpg",), "lfw:people", "no peopleDevTrain.txt in people, "),
        (
            ("people/lfw/Ann/Ann_0001.jpg", "people/lfw/peopleDevTrain.txt"),
            "lfw:people",
            "no peopleDevTrain.txt",
        ),
        (("people/Ann/Ann_0001.jpg",), "people", "no peopleDevTrain.txt in people, people/lists, "),
        (("people/Ann/Ann_0001.jpg", "peopleDevTrain.txt"), "lfw:people", "peopleDevTrain.txt names nobody"),
    ],
)
def test_people_that_are_not_there_are_refused_before_anything_is_trained(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    made: tuple[str, ...], given: str, sentence: str,
) -> None:  # fmt: skip
    """The cells' last command would find it out, when all of them are trained."""
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    started: list[object] = []
    monkeypatch.setattr(cell, "run_step", lambda *arguments: started.append(arguments) or 1)
    for more in ([], ["--dry-run"]):
        assert study("--losses", "loopback", "--data", given, *more) == 2
        assert sentence in refused(capsys)
    assert started == []
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("place", ["", "lists", "people", "people/lists"])
def test_a_study_finds_the_list_of_people_where_their_command_does(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """Beside the folder that is named or inside; a list that names nobody there is refused."""
    (tmp_path / "people" / "lfw-deepfunneled" / "Ann").mkdir(parents=True)
    (tmp_path / "people" / "lfw-deepfunneled" / "Ann" / "Ann_0001.jpg").touch()
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "peopleDevTrain.txt").write_text("1\nAnn 1\n")
    given = ("--losses", "loopback", "--data", "lfw:people", "--dry-run")
    assert study(*given) == 0
    (tmp_path / place / "peopleDevTrain.txt").write_text("1\nBob 1\n")
    assert study(*given) == 2
    assert "none of the 1 names in" in refused(capsys)


def test_a_second_study_in_one_folder_is_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study").mkdir()
    with FileLock(tmp_path / "study" / LOCK):
        assert study("--losses", "loopback") == 2
    assert refused(capsys).startswith("error: another factorial.py is at work in study")


def test_overwrite_deletes_no_folder_but_a_study_s(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.tex").write_text("years of work")
    for more in ([], ["--overwrite"]):
        assert study("--losses", "loopback", *more) == 2
        assert "study holds other files than those of factorial.py, such as thesis.tex; name" in refused(
            capsys
        )
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_study_s_folder_holds_nothing_that_it_reads(
    study: Study, material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    people = tmp_path / "study" / "people"
    shutil.copytree(material / "photographs", people)
    # As LFW has it: a study refuses data that is not there before it looks at its folder.
    (people / "lfw-deepfunneled" / "A").mkdir(parents=True)
    shutil.copy(next(people.glob("*.png")), people / "lfw-deepfunneled" / "A" / "A_0001.jpg")
    (people / "peopleDevTrain.txt").write_text("1\nA\t1\n")
    before = {path: path.read_bytes() for path in people.rglob("*.*")}
    for given in (["--photographs", "study/people"], ["--data", "lfw:study/people"]):
        assert study("--losses", "loopback", *given, *more) == 2
        assert "which factorial.py reads; name another --output" in refused(capsys)
    assert {path: path.read_bytes() for path in people.rglob("*.*")} == before


def test_overwrite_deletes_a_study_and_what_its_cells_wrote_and_nothing_else(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--losses", "loopback", "--seeds", 1, "--design", "one-out")
    assert study(*given) == 0
    folder = tmp_path / "study"
    kept = ("full/seed-0/notes.txt", "full/seed-0/run/notes.txt", "micc/results.json", "no-loopback/cat.png")
    for name in kept:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("theirs")
    output = OutputFolder(folder, "factorial")
    output.begin(overwrite=True)
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert left == {MANIFEST, *kept}
    # What is left in a cell's place is nobody's: the study says so instead of working there.
    assert study(*given) == 2
    assert "full/seed-0/run exists and was not written by factorial.py" in refused(capsys)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.4, "3 s"), (600, "10 min"), (7260, "2 h 1 min"), (90_000, "25 h 0 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert factorial.duration(seconds) == words


# ---------------------------------------------------------------------- processes

PROGRAMS = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(factorial.__file__).parents[1])!r})
from ablations import factorial
from tests.evaluation import small_people
small_people.with_miniatures(setattr)  # the report shows the miniature's faces
factorial.RUN_PROGRAM = Path({small_run.__file__!r})
factorial.PEOPLE_PROGRAM = Path({small_people.__file__!r})
sys.exit(factorial.main(sys.argv[1:]))
"""


def start_study(folder: Path, options: list[str], name: str, *more: str) -> subprocess.Popen:
    """A study in a process of its own, its cells in theirs."""
    size = ("--people", "4", "--known-people", "0", "--seeds", "1", "--losses", "loopback", "multi-view")
    command = [sys.executable, "-c", PROGRAMS, *options, *size, "--output", name, *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.slow
def test_a_study_that_is_killed_half_way_ends_as_one_that_is_not(tmp_path: Path, options: list[str]) -> None:
    whole = start_study(tmp_path, options, "whole", "--jobs", "2")
    said, _ = whole.communicate(timeout=1200)
    assert whole.returncode == 0, said
    (tmp_path / "runs").rename(tmp_path / "runs of the whole one")
    killed = start_study(tmp_path, options, "killed", "--jobs", "2")
    until = time.monotonic() + 600
    states = [tmp_path / "killed" / name / "seed-0" / cell.STATE for name in ("full", "no-loopback")]
    while not any(state.exists() for state in states) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "results.json").exists()
    again = start_study(tmp_path, options, "killed", "--jobs", "2")
    said, _ = again.communicate(timeout=1200)
    assert again.returncode == 0, said
    for name in ("means.csv", "differences.csv", "attribution.csv"):
        assert (tmp_path / "killed" / name).read_text() == (tmp_path / "whole" / name).read_text()
    rows = [
        json.loads((tmp_path / name / "results.json").read_text())["rows"] for name in ("whole", "killed")
    ]
    assert rows[0] == rows[1]


def write_small_plan(folder: Path, program: str) -> Path:
    folder.mkdir(parents=True)
    step = {"name": "run", "command": [sys.executable, "-c", program, str(folder / "results.json")],
            "results": "results.json"}  # fmt: skip
    (folder / cell.PLAN).write_text(json.dumps({"steps": [step]}))
    return folder


NOTES_ITS_GPU = (
    "import os, pathlib, sys\n"
    "pathlib.Path(sys.argv[1]).write_text(os.environ.get('CUDA_VISIBLE_DEVICES', ''))"
)


def test_one_cell_at_a_time_on_each_gpu(tmp_path: Path) -> None:
    folders = [write_small_plan(tmp_path / str(number), NOTES_ITS_GPU) for number in range(4)]
    ended: list[Path] = []
    cell_workers.run_here(folders, 1, ["3", "5"], ended.append)
    assert sorted(ended) == folders
    used = [(folder / "results.json").read_text() for folder in folders]
    assert set(used) == {"3", "5"}


def test_cells_that_fail_stop_no_other(tmp_path: Path) -> None:
    folders = [
        write_small_plan(
            tmp_path / str(number), "import sys; sys.exit('no')" if number == 1 else NOTES_ITS_GPU
        )
        for number in range(3)
    ]
    cell_workers.run_here(folders, 2, [], lambda folder: None)
    assert [cell.read_state(folder)["state"] for folder in folders] == ["finished", "failed", "finished"]


def test_a_share_of_the_threads_is_a_cell_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_workers, "available_cores", lambda: 9)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cell_workers.environment(4, None) == {"OMP_NUM_THREADS": "2"}
    assert cell_workers.environment(1, "0") == {"CUDA_VISIBLE_DEVICES": "0"}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cell_workers.environment(4, None) == {}


def test_submitit_works_through_cells_and_a_failed_one_stops_no_other(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    folders = [
        write_small_plan(
            tmp_path / str(number), "import sys; sys.exit('no')" if number == 0 else NOTES_ITS_GPU
        )
        for number in range(2)
    ]
    ended: list[Path] = []
    cell_workers.run_on_cluster(folders, "local", {"timeout_min": 5}, tmp_path / "jobs", ended.append)
    assert sorted(ended) == folders
    assert [cell.read_state(folder)["state"] for folder in folders] == ["failed", "finished"]


def test_slurm_gets_a_job_a_cell_with_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    programs = {
        "srun": "true",
        "sbatch": f"cp $1 {tmp_path}/submitted.sh; echo Submitted batch job 7",
        "sacct": "echo 'JobID|State|NodeList'; echo '7|COMPLETED|node'",
    }
    for name, content in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    folder = write_small_plan(tmp_path / "cell", NOTES_ITS_GPU)
    ended: list[Path] = []
    options = {"slurm_partition": "big", "timeout_min": 600, "gpus_per_node": 1}
    cell_workers.run_on_cluster([folder], "slurm", options, tmp_path / "jobs", ended.append)
    assert ended == [folder]
    script = (tmp_path / "submitted.sh").read_text()
    for line in ("--partition=big", "--time=600", "--gpus-per-node=1", "--job-name=cell"):
        assert f"#SBATCH {line}" in script


def test_a_cluster_without_submitit_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ImportError, match=r"--cluster needs submitit: pip install"):
        cell_workers.run_on_cluster([], "slurm", {}, tmp_path, lambda folder: None)


@pytest.mark.parametrize("content", [None, "", "name,similarity\nA,1\n", "\0", '"person'])
def test_a_damaged_table_of_a_cell_s_people_is_named(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "full" / "seed-0" / cell_results.PEOPLE
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "people.csv").write_text(content)
    sentence = r"people\.csv cannot be read \(.+\); delete .*seed-0, and start the study again"
    with pytest.raises(ValueError, match=sentence):
        cell_results.metrics_of([[tmp_path / "full" / "seed-0"]])


def test_people_of_other_cells_cannot_be_compared(tmp_path: Path) -> None:
    for seed, person in ((0, "A"), (1, "B")):
        folder = tmp_path / "full" / f"seed-{seed}" / cell_results.PEOPLE
        folder.mkdir(parents=True)
        pd.DataFrame({"person": [person], "similarity": [0.5]}).to_csv(folder / "people.csv", index=False)
    with pytest.raises(ValueError, match="were scored on different people"):
        cell_results.metrics_of([[tmp_path / "full" / f"seed-{seed}" for seed in (0, 1)]])
