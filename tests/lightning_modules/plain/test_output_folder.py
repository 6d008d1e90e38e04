import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.plain.output_folder import OutputFolder, without_outputs


def names(folder: Path) -> set[str]:
    """What lies in a folder at any depth, but for its manifest."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != MANIFEST}


def again(folder: OutputFolder) -> OutputFolder:
    """The folder as the next process sees it."""
    return OutputFolder(folder.root, folder.command)


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    """An output folder that holds two files of its own, one of them in a subfolder."""
    folder = OutputFolder(tmp_path / "out", "micc")
    folder.begin()
    for name in ("table.csv", "subjects/a.json"):
        folder.claim(name).write_text("ours")
    return folder


# ---------------------------------------------------------------------- what may be written


@pytest.mark.parametrize("name", ["../scan.png", "a/../../scan.png", "/scan.png", "", "."])
def test_names_never_leave_the_folder(folder: OutputFolder, name: str) -> None:
    for within in (folder, folder.below("subjects")):
        with pytest.raises(ValueError, match=r"names no file below the output folder .*out"):
            within.claim(name)


def test_links_never_lead_out_of_the_folder(folder: OutputFolder, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "scan.png").write_text("theirs")
    (folder.path / "linked").symlink_to(tmp_path / "theirs")
    with pytest.raises(ValueError, match=r"linked/scan.png leads out of the output folder through a link"):
        folder.claim("linked/scan.png")
    (folder.path / "scan.png").symlink_to(tmp_path / "theirs" / "scan.png")
    with pytest.raises(ValueError, match=r"scan.png exists and was not written by micc.py"):
        folder.claim("scan.png")
    # Not even in the place of a file of its own.
    (folder.path / "table.csv").unlink()
    (folder.path / "table.csv").symlink_to(tmp_path / "theirs" / "scan.png")
    with pytest.raises(ValueError, match=r"table.csv exists and was not written by micc.py; move it away"):
        again(folder).claim("table.csv")
    assert (tmp_path / "theirs" / "scan.png").read_text() == "theirs"


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large disk")
    OutputFolder(tmp_path / "out", "micc").claim("a/b.csv").write_text("ours")
    assert names(tmp_path / "large disk") == {"a", "a/b.csv"}


def test_only_own_files_are_replaced(folder: OutputFolder) -> None:
    (folder.path / "subjects" / "b.json").write_text("theirs")
    with pytest.raises(ValueError, match=r"subjects/b.json exists and was not written by micc.py"):
        folder.below("subjects").claim("b.json")
    assert folder.claim("subjects/a.json") == again(folder).claim("subjects/a.json")


def test_of_several_files_all_are_refused_or_none(folder: OutputFolder) -> None:
    (folder.path / "b.obj").write_text("theirs")
    for _ in range(2):  # a refusal makes nothing its own
        with pytest.raises(ValueError, match=r"b.obj exists"):
            folder.claims(["a.obj", "b.obj"])
    (folder.path / "a.obj").write_text("theirs")
    with pytest.raises(ValueError, match=r"a.obj exists"):
        again(folder).claim("a.obj")


def test_a_file_is_known_before_it_is_there(folder: OutputFolder) -> None:
    file = folder.claim("late.csv")
    assert not file.exists()
    file.write_text("killed here")
    assert again(folder).claim("late.csv") == file


def test_a_line_that_a_kill_cut_off_names_nothing_and_spoils_nothing(folder: OutputFolder) -> None:
    with open(folder.path / MANIFEST, "a") as manifest:
        manifest.write('\n{"file": "let')
    (folder.path / "let").write_text("theirs")
    after = again(folder)
    after.claim("next.csv").write_text("ours")
    assert again(folder).delete_written() == ["let"]


def test_one_of_several_processes_keeps_the_manifest(tmp_path: Path) -> None:
    other = OutputFolder(tmp_path / "out", "run", registers=False)
    assert other.claim("a.csv") == tmp_path / "out" / "a.csv"
    assert other.begin() == ""
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="names no file below"):
        other.claim("../a.csv")


def claim_many(folder: OutputFolder, first: int) -> None:
    for number in range(first, first + 50):
        folder.below("subjects").claim(f"{number}.json").write_text("ours")


def test_processes_that_claim_at_once_lose_no_line(folder: OutputFolder) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for done in [pool.submit(claim_many, folder, first) for first in (0, 50)]:
            done.result()
    assert len(list((folder.path / "subjects").iterdir())) == 101
    assert again(folder).delete_written() == []


# ---------------------------------------------------------------------- what is deleted


def test_what_was_written_is_deleted_and_nothing_else(folder: OutputFolder) -> None:
    for name in ("letter.txt", "subjects/mine.json", "photographs/a.png"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("theirs")
    said = again(folder).begin(overwrite=True)
    kept = {"letter.txt", "subjects", "subjects/mine.json", "photographs", "photographs/a.png"}
    assert names(folder.path) == kept
    assert said == (
        f"kept in {folder.path}, since micc.py did not write it: letter.txt, photographs, subjects"
    )
    # A second time nothing is its own any more, and the folder is still its own.
    again(folder).check(overwrite=True)
    assert again(folder).begin(overwrite=True) == said
    assert names(folder.path) == kept


def test_a_file_of_others_under_an_old_name_of_ours_stays(folder: OutputFolder) -> None:
    again(folder).begin(overwrite=True)
    (folder.path / "table.csv").write_text("theirs")
    again(folder).begin(overwrite=True)
    assert (folder.path / "table.csv").read_text() == "theirs"


@pytest.mark.parametrize("name", ["../theirs.txt", "linked/theirs.txt", "{root}/theirs.txt"])
def test_a_manifest_that_was_tampered_with_deletes_nothing_elsewhere(
    folder: OutputFolder, tmp_path: Path, name: str
) -> None:
    (tmp_path / "theirs.txt").write_text("theirs")
    (folder.path / "linked").symlink_to(tmp_path)
    with open(folder.path / MANIFEST, "a") as manifest:
        for kind in ("file", "folder", "tree", "output"):
            manifest.write(json.dumps({kind: name.format(root=tmp_path)}) + "\n")
            manifest.write(json.dumps({kind: "linked"}) + "\n")
    again(folder).delete_written()
    assert (tmp_path / "theirs.txt").read_text() == "theirs"


def test_a_folder_of_ours_that_became_a_link_is_left(folder: OutputFolder, tmp_path: Path) -> None:
    (folder.path / "subjects").rename(tmp_path / "moved")
    (folder.path / "subjects").symlink_to(tmp_path / "moved")
    again(folder).delete_written()
    assert (tmp_path / "moved" / "a.json").read_text() == "ours"


def test_of_a_folder_that_others_fill_only_what_is_theirs_by_name_is_deleted(folder: OutputFolder) -> None:
    wandb = folder.claim_tree("wandb")
    (wandb / "offline-run-20260102_030405-ab12cd" / "files").mkdir(parents=True)
    (wandb / "offline-run-20260102_030405-ab12cd" / "files" / "config.yaml").write_text("")
    (wandb / "latest-run").symlink_to("offline-run-20260102_030405-ab12cd")
    for name in ("debug.log", "debug-internal.log"):
        (wandb / name).write_text("")
    (wandb / "thesis.tex").write_text("years of work")
    jobs = folder.claim_tree("jobs")
    jobs.mkdir()
    for name in ("123_submitted.pkl", "123_0_log.out", "123_0_log.err", "123_0_result.pkl", "notes.txt"):
        (jobs / name).write_text("")
    assert again(folder).delete_written() == ["jobs", "wandb"]
    assert names(folder.path) == {"wandb", "wandb/thesis.tex", "jobs", "jobs/notes.txt"}


def test_a_folder_that_was_there_before_is_nobody_else_s(folder: OutputFolder) -> None:
    (folder.path / "wandb").mkdir()
    with pytest.raises(ValueError, match=r"wandb exists and was not written by micc.py"):
        folder.claim_tree("wandb")
    with pytest.raises(ValueError, match=r"wandb exists and was not written by micc.py"):
        folder.claim_output("wandb")


def test_output_folders_in_the_folder_are_emptied_by_their_own_manifests(tmp_path: Path) -> None:
    study = OutputFolder(tmp_path / "study", "factorial")
    run = OutputFolder(study.claim_output("full/seed-0/run"), "run")
    run.claim("final.ckpt").write_text("ours")
    (tmp_path / "study" / "full" / "seed-0" / "notes.txt").write_text("theirs")
    OutputFolder(tmp_path / "study" / "micc", "micc").claim("table.csv").write_text("another command's")
    again(study).delete_written()
    assert names(study.path) == {"full", "full/seed-0", "full/seed-0/notes.txt", "micc", "micc/table.csv"}


def test_a_folder_without_work_is_abandoned_whole(folder: OutputFolder, tmp_path: Path) -> None:
    again(folder).abandon()
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- which folders are refused


def refused(folder: Path, *inputs: Path, overwrite: bool = False) -> str:
    with pytest.raises(ValueError, match="name another --output") as caught:
        OutputFolder(folder, "micc").check(inputs, overwrite=overwrite)
    return str(caught.value)


Place = Callable[[Path], Path]
INSIDE: dict[str, Place] = {
    "the file": lambda root: root / "out" / "scan.obj",
    "its folder": lambda root: root / "out",
    "a folder around it": lambda root: root / "out" / "deep",
    "through ..": lambda root: root / "beside" / ".." / "out" / "scan.obj",
    "through a link to the folder": lambda root: root / "link" / "scan.obj",
    "through a link to the file": lambda root: root / "beside" / "link.obj",
    "a link in the folder": lambda root: root / "out" / "away.obj",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("out/scan.obj", "out/deep/scan.obj", "beside/scan.obj"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("theirs")
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "beside" / "link.obj").symlink_to(tmp_path / "out" / "scan.obj")
    (tmp_path / "out" / "away.obj").symlink_to(tmp_path / "beside" / "scan.obj")
    return tmp_path


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("output", ["out", "link", "beside/../out", "not yet/../out", "."])
@pytest.mark.parametrize("place", INSIDE.values(), ids=INSIDE)
def test_a_folder_that_holds_an_input_is_refused(
    tree: Path, place: Place, output: str, overwrite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    OutputFolder(Path("out"), "micc").begin()  # even its own
    assert "holds" in refused(Path(output), place(tree), overwrite=overwrite)
    assert "which micc.py reads" in refused(Path(output), place(Path()), overwrite=overwrite)


def test_inputs_beside_the_folder_and_around_it_are_none_of_its_content(tree: Path) -> None:
    (tree / "beside" / "results").mkdir()
    folder = OutputFolder(tree / "beside" / "results", "micc")
    folder.claim("table.csv").write_text("ours")
    folder.check([None, tree, tree / "out", tree / "beside", tree / "beside" / "scan.obj"], overwrite=True)
    folder.check([tree / "beside" / "results" / ".." / "scan.obj", tree / "nowhere"])


def test_inputs_are_not_looked_at_where_there_is_nothing_to_lose(tmp_path: Path) -> None:
    def inputs() -> object:
        raise AssertionError("listed")
        yield

    OutputFolder(tmp_path / "new", "micc").check(inputs())
    OutputFolder(tmp_path, "micc").check(inputs())


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("")
    OutputFolder(tmp_path, "micc").check()
    (tmp_path / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        assert "holds other files than those of micc.py, such as letter.txt" in refused(
            tmp_path, overwrite=overwrite
        )
    (tmp_path / "letter.txt").rename(tmp_path / MANIFEST)
    assert f"{MANIFEST} is no list of what a command wrote" in refused(tmp_path)
    assert "is a file" in refused(tmp_path / MANIFEST)


def test_a_manifest_that_is_a_link_is_nobody_s(folder: OutputFolder, tmp_path: Path) -> None:
    (folder.path / MANIFEST).rename(tmp_path / "list")
    (folder.path / MANIFEST).symlink_to(tmp_path / "list")
    assert "is no list of what a command wrote" in refused(folder.path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    assert "is no list of what a command wrote" in refused(tmp_path)


def test_another_command_s_folder_is_refused_even_to_overwrite(folder: OutputFolder) -> None:
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="belongs to the command micc, not fit; name another --output"):
            OutputFolder(folder.path, "fit").check(overwrite=overwrite)


def test_a_folder_of_an_older_version_goes_on_and_is_not_overwritten(tmp_path: Path) -> None:
    for name in ("started.json", "checkpoints/last.ckpt", "checkpoints/mine.ckpt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    folder = OutputFolder(tmp_path, "run")
    assert "was filled by an older version, which kept no list" in refused(tmp_path, overwrite=True)
    folder.check()
    folder.begin(older=["checkpoints/last.ckpt"])
    folder.claims(["started.json", "checkpoints/last.ckpt"])
    with pytest.raises(ValueError, match=r"mine.ckpt exists and was not written by run.py"):
        folder.claim("checkpoints/mine.ckpt")


# ---------------------------------------------------------------------- what is an input


def test_what_commands_wrote_below_a_folder_of_inputs_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("theirs")
    output = OutputFolder(tmp_path / "runs" / "micc" / "1", "micc")
    output.claim("sheet.png").write_text("ours")
    wandb = output.claim_tree("wandb")
    (wandb / "run").mkdir(parents=True)
    (wandb / "run" / "media.png").write_text("W&B's")
    (output.path / "b.png").write_text("theirs, in an odd place")
    found = sorted(tmp_path.rglob("*.png"))
    assert without_outputs(found, tmp_path) == [tmp_path / "a.png", output.path / "b.png"]
    assert without_outputs(found, tmp_path, made_by=["micc"]) == found


def test_an_output_folder_that_is_named_as_input_counts(folder: OutputFolder) -> None:
    for inputs in (folder.path, folder.path / "subjects"):
        found = list(inputs.rglob("*.json"))
        assert without_outputs(found, inputs) == found != []


def test_a_damaged_manifest_leaves_nothing_out(folder: OutputFolder, tmp_path: Path) -> None:
    (folder.path / MANIFEST).write_bytes(os.urandom(64))
    assert without_outputs([folder.path / "table.csv"], tmp_path) == [folder.path / "table.csv"]
