from pathlib import Path

import pytest
from PIL import Image

from lightning_modules.plain.output_file import check_new, check_picture, mark_of


def drawn(file: Path, command: str = "show") -> Path:
    Image.new("RGB", (4, 4)).save(file, pnginfo=mark_of(command))
    return file


def test_a_command_s_own_picture_is_replaced(tmp_path: Path) -> None:
    check_picture(tmp_path / "new.png", "show")
    check_picture(drawn(tmp_path / "sheet.png"), "show", [tmp_path / "other.png", None])


def test_any_other_file_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "photograph.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "postscript.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nowhere.png").symlink_to("nothing")
    (tmp_path / "link.png").symlink_to(drawn(tmp_path / "sheet.png"))
    drawn(tmp_path / "another.png", "qualitative")
    for name in ("photograph", "text", "postscript", "folder", "nowhere", "link", "another"):
        with pytest.raises(ValueError, match=rf"{name}.png exists and was not drawn by show.py; move"):
            check_picture(tmp_path / f"{name}.png", "show")


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "sheet.png")
    (tmp_path / "link.png").symlink_to(sheet)
    for same in (sheet, tmp_path / "link.png", tmp_path / ".." / tmp_path.name / "sheet.png"):
        with pytest.raises(ValueError, match=r"sheet.png is what the command reads; move it away, or name"):
            check_picture(sheet, "show", [same])


def test_only_a_report_at_its_own_place_is_replaced(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    check_new(None)
    check_new(report)
    report.write_text("")
    check_new(report, but=report)
    with pytest.raises(ValueError, match=r"report.md exists; move it away, or name another file"):
        check_new(report, but=tmp_path / "other.md")


def test_what_cannot_be_written_is_said_beforehand(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    for check in (check_new, lambda file: check_picture(file, "show")):
        with pytest.raises(ValueError, match=r"letter/sheet.png cannot be written \(Not a directory\); name"):
            check(tmp_path / "letter" / "sheet.png")
    for name in ("sheet", "sheet.jpg", "sheet.png.", ".png"):
        with pytest.raises(
            ValueError, match=r"the picture is a PNG file; give --output a name that ends in .png"
        ):
            check_picture(tmp_path / name, "show")
