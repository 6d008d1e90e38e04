from pathlib import Path
from unicodedata import normalize

import pytest

from datamodules.alignment.images import EXTENSIONS
from evaluation.shared.scored_method import files_by_name, paired, what_is_scored


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_exactly_one_thing_is_scored(tmp_path: Path) -> None:
    write(tmp_path, "run.ckpt", "others/a.obj")
    scored = what_is_scored(tmp_path / "run.ckpt", None, None)
    assert (scored.kind, scored.method) == ("checkpoint", "run")
    assert what_is_scored(None, tmp_path / "others", None).method == "others"
    assert what_is_scored(None, tmp_path / "others", None, method="Tran").method == "Tran"
    with pytest.raises(ValueError, match=r"give one of a checkpoint, --meshes DIR .* got none"):
        what_is_scored(None, None, None)
    with pytest.raises(ValueError, match="got checkpoint, meshes"):
        what_is_scored(tmp_path / "run.ckpt", tmp_path, None)


def test_a_checkpoint_is_known_by_its_content_not_by_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "a/run.ckpt")
    first = what_is_scored(tmp_path / "a/run.ckpt", None, None).settings()
    (tmp_path / "a").rename(tmp_path / "b")
    assert what_is_scored(tmp_path / "b/run.ckpt", None, None).settings() == first
    (tmp_path / "b/run.ckpt").write_text("other weights")
    assert what_is_scored(tmp_path / "b/run.ckpt", None, None).settings() != first


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.ckpt does not exist; expected a checkpoint that"):
        what_is_scored(tmp_path / "none.ckpt", None, None)
    with pytest.raises(FileNotFoundError, match="is no folder; expected one file for each item"):
        what_is_scored(None, None, tmp_path / "none")


def test_files_are_found_at_any_depth_and_known_by_name(tmp_path: Path) -> None:
    write(tmp_path, "Ann/Ann_0001.obj", "b.PLY", "c.glb", "notes.txt", "d.png")
    assert sorted(files_by_name(tmp_path)) == ["Ann/Ann_0001", "b", "c"]
    assert sorted(files_by_name(tmp_path, EXTENSIONS)) == ["d"]


def test_a_folder_without_meshes_or_with_two_pictures_of_one_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no file ending in .glb, .obj, .ply"):
        files_by_name(tmp_path)
    write(tmp_path, "a.jpg", "a.png")
    with pytest.raises(ValueError, match=r"a.jpg and .*a.png are both a; keep one of them"):
        files_by_name(tmp_path, EXTENSIONS)


def test_of_one_mesh_in_several_formats_the_obj_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "a.glb", "a.obj", "a.ply", "b.glb", "b.PLY")
    assert files_by_name(tmp_path) == {"a": tmp_path / "a.obj", "b": tmp_path / "b.PLY"}


def test_files_are_paired_by_whole_name_or_by_its_last_part() -> None:
    files = {name: Path(f"{name}.obj") for name in ("Ann/Ann_0001", "other/Bob_0001", "stray")}
    pairing = paired(files, ["Ann/Ann_0001", "Bob/Bob_0001", "Eve/Eve_0001"])
    assert pairing.found == {
        "Ann/Ann_0001": Path("Ann/Ann_0001.obj"), "Bob/Bob_0001": Path("other/Bob_0001.obj"),
    }  # fmt: skip
    assert pairing.missing == ["Eve/Eve_0001"]
    assert pairing.unmatched == [Path("stray.obj")]


def test_files_are_paired_however_their_accents_are_written(tmp_path: Path) -> None:
    write(tmp_path, f"{normalize('NFD', 'Müller')}.obj", f"Ann/{normalize('NFD', 'Zoë')}.obj")
    names = [normalize("NFC", "Müller"), normalize("NFD", "Ann/Zoë")]
    assert list(paired(files_by_name(tmp_path), names).found) == names


def test_a_link_to_nowhere_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.obj").symlink_to(tmp_path / "not-fetched.obj")
    (tmp_path / "b.obj").mkdir()
    assert files_by_name(tmp_path) == {"a": tmp_path / "a.obj"}


def test_names_that_fit_twice_or_never_are_refused() -> None:
    files = {name: Path(f"{name}.obj") for name in ("a/x", "b/x")}
    with pytest.raises(ValueError, match=r"c/x could be a/x or b/x; name files as the items are named"):
        paired(files, ["c/x"])
    with pytest.raises(ValueError, match=r"a/x.obj could be a/x or d/x"):
        paired({"a/x": Path("a/x.obj")}, ["a/x", "d/x"])
    with pytest.raises(
        ValueError, match=r"none of the 2 files names an item; expected names such as p/y.obj"
    ):
        paired(files, ["p/y"])
