import os
from pathlib import Path

import pytest

from lightning_modules.plain.writable_places import require_writable_file, require_writable_folder


def obstructed(folder: Path) -> list[tuple[str, str]]:
    """Places below a folder where nothing can be made, and why."""
    (folder / "letter").write_text("dear")
    (folder / "to nothing").symlink_to("nothing")
    (folder / "circle").symlink_to("circle")
    (folder / "read only").mkdir()
    (folder / "read only").chmod(0o500)
    found = [
        ("letter", "Not a directory"),
        ("letter/a/b", "Not a directory"),
        ("n" * 300, "File name too long"),
        (f"new/{'ü' * 128}/a", "File name too long"),
        ("to nothing", "it is a link to nothing"),
        ("circle", "circle|symbolic links"),
    ]
    return found + ([] if os.access(folder / "read only", os.W_OK) else [("read only", "Permission denied")])


def test_a_place_that_takes_no_file_is_named_with_the_reason(tmp_path: Path) -> None:
    for name, reason in obstructed(tmp_path):
        with pytest.raises(
            ValueError, match=rf"in the output folder .* \(.*({reason}).*\); name another --out"
        ):
            require_writable_folder(tmp_path / name)
        with pytest.raises(
            ValueError, match=rf"a.png cannot be written \(.*({reason}).*\); name another file"
        ):
            require_writable_file(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match=r"n.png cannot be written \(File name too long\)"):
        require_writable_file(tmp_path / f"{'n' * 252}.png")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="asks for a folder that takes no file, of Linux")
def test_a_folder_whose_rights_allow_what_its_disk_does_not(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    for place in ("/proc/new", tmp_path / "link" / "new" / "deep"):
        with pytest.raises(ValueError, match="nothing can be written in the output folder"):
            require_writable_folder(Path(place))


def test_looking_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("mine")
    for name in ("mine", "link", "link/a/b", "new/../mine", "n" * 255):
        require_writable_folder(tmp_path / name)
        require_writable_file(tmp_path / name / "a.png")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "mine"]
