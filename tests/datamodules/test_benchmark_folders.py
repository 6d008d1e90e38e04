import codecs
import shutil
from pathlib import Path

import pytest

from datamodules.benchmark_folders import fg2018_photographs, now_photographs
from datamodules.photograph_benchmarks import FG2018, NoW
from tests.evaluation.benchmark_miniatures import fg2018_folder, now_folder, now_names


@pytest.fixture
def now(tmp_path: Path) -> Path:
    return now_folder(tmp_path / "now")


@pytest.fixture
def fg2018(tmp_path: Path) -> Path:
    return fg2018_folder(tmp_path / "fg2018")


def test_each_of_nows_photographs_has_its_challenge_person_and_scan(now: Path) -> None:
    subjects = now_photographs(now)
    assert [subject.name for subject in subjects] == now_names()
    first, third = subjects[0], subjects[2]
    assert (first.condition, first.person, first.missing) == ("neutral", "FaMoS_180424_03335_TA", "")
    assert third.condition == "selfie"
    assert first.scans == third.scans
    (scan,) = first.scans
    assert scan.path.name == "natural_head_rotation.000001.obj"
    assert scan.landmarks.name == "natural_head_rotation.000001_picked_points.pp"
    assert first.footage["neutral"].name == "IMG_0041.jpg"


def test_the_test_set_has_photographs_and_no_scans(now: Path) -> None:
    subjects = now_photographs(now, "test")
    assert [subject.name for subject in subjects] == now_names()[-2:]
    assert not any(subject.scans for subject in subjects)
    assert all(subject.footage for subject in subjects)


@pytest.mark.parametrize("place", ["final_release_version", "NoW_Dataset/final_release_version", "dataset"])
def test_nows_parts_are_found_wherever_they_were_unpacked(now: Path, place: str) -> None:
    (now / place).mkdir(parents=True, exist_ok=True)
    for name in ("scans", "scans_lmks_onlypp", "imagepathsvalidation.txt"):
        shutil.move(now / name, now / place / name)
    assert all(subject.scans and subject.footage for subject in now_photographs(now))


def test_lines_may_name_other_folders_and_windows_slashes(now: Path) -> None:
    name = now_names()[0]
    (now / "imagepathsvalidation.txt").write_text("\n".join(["data/" + name + ".jpg", ""]).replace("/", "\\"))
    assert [subject.name for subject in now_photographs(now)] == [name]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("someone/IMG_1.jpg", "no <subject>/<challenge>/<photograph> with a challenge of multiview_neutral"),
        ("someone/smiling/IMG_1.jpg", "'someone/smiling/IMG_1.jpg' is no <subject>"),
        ("../selfie/IMG_1.jpg", "is no <subject>"),
        ("", "lists no photograph"),
    ],
)
def test_lists_of_something_else_are_refused(now: Path, line: str, message: str) -> None:
    (now / "imagepathsvalidation.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        now_photographs(now)


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".png", ""])
def test_a_photograph_that_is_listed_twice_is_refused_whatever_its_suffix(
    now: Path, fg2018: Path, suffix: str
) -> None:
    file = now / "imagepathsvalidation.txt"
    file.write_text(f"{file.read_text()}{now_names()[0]}{suffix}\n")
    with pytest.raises(
        ValueError, match=rf"validation\.txt lists {now_names()[0]} twice; keep one line of it"
    ):
        now_photographs(now)
    (fg2018 / "HQ.txt").write_text(f"F1001_01.jpg\nHQ/F1001_01{suffix}\n")
    with pytest.raises(ValueError, match=r"HQ\.txt lists F1001_01 twice"):
        fg2018_photographs(fg2018)


def test_lists_of_other_systems_are_read(now: Path, fg2018: Path) -> None:
    lines = "\r\n\r\n".join(f"{name}.jpg  " for name in now_names())
    (now / "imagepathsvalidation.txt").write_bytes(codecs.BOM_UTF8 + lines.encode())
    assert [subject.name for subject in now_photographs(now)] == now_names()
    (fg2018 / "HQ.txt").write_bytes(codecs.BOM_UTF8 + b"HQ\\F1001_01.jpg\r\n\r\n")
    assert fg2018_photographs(fg2018)[0].name == "F1001_01"
    assert fg2018_photographs(fg2018)[0].footage


def test_a_folder_in_a_lists_place_is_no_list(now: Path) -> None:
    (now / "imagepathsvalidation.txt").unlink()
    (now / "imagepathsvalidation.txt").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no imagepathsvalidation\.txt of NoW; expected"):
        now_photographs(now)


def test_a_missing_scan_is_the_reason_of_its_photographs(now: Path) -> None:
    shutil.rmtree(now / "scans/FaMoS_180427_03338_TA")
    assert [subject.missing for subject in now_photographs(now)][-2:] == [
        "",
        "no scan of FaMoS_180427_03338_TA",
    ]


def test_folders_without_now_are_refused_with_what_is_expected(now: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist.*expected imagepathsvalidation\.txt, scans"):
        now_photographs(tmp_path / "absent")
    shutil.rmtree(now / "scans")
    with pytest.raises(FileNotFoundError, match="no folder scans in"):
        now_photographs(now)
    (now / "scans").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no scan of the people in"):
        now_photographs(now)


def test_fg2018s_photographs_have_the_scan_of_their_first_letters_whatever_the_case(fg2018: Path) -> None:
    subjects = fg2018_photographs(fg2018)
    assert [(s.name, s.condition, s.person) for s in subjects] == [
        ("F1001_01", "HQ", "F1001"), ("M1002_01", "HQ", "M1002"), ("F1001_77", "LQ", "F1001"),
    ]  # fmt: skip
    assert [s.scans[0].path.name for s in subjects] == ["f1001_N.obj", "m1002_N.obj", "f1001_N.obj"]
    assert [s.scans[0].landmarks.name for s in subjects] == ["F1001_N.lnd", "M1002_N.lnd", "F1001_N.lnd"]


def test_lists_name_photographs_that_are_not_there(fg2018: Path) -> None:
    (fg2018 / "HQ.txt").write_text("HQ/F1001_01.jpg\nM1002_99.jpg\n")
    shutil.rmtree(fg2018 / "Subset_2D_FG2018/LQ")
    subjects = fg2018_photographs(fg2018)
    assert [(s.name, bool(s.footage)) for s in subjects] == [("F1001_01", True), ("M1002_99", False)]


def test_names_that_both_qualities_have_are_told_apart(fg2018: Path) -> None:
    pictures = fg2018 / "Subset_2D_FG2018"
    shutil.copy(pictures / "HQ/F1001_01.jpg", pictures / "LQ/F1001_01.jpg")
    names = [subject.name for subject in fg2018_photographs(fg2018)]
    assert names == ["HQ/F1001_01", "M1002_01", "LQ/F1001_01", "F1001_77"]


def test_another_session_of_a_person_takes_the_place_of_a_missing_scan(fg2018: Path) -> None:
    (fg2018 / "F_3D_N/f1001_N.obj").rename(fg2018 / "F_3D_N/F1001_2_N.obj")
    shutil.rmtree(fg2018 / "M_3D_N")
    first, second, _ = fg2018_photographs(fg2018)
    assert first.scans[0].path.name == "F1001_2_N.obj"
    assert second.missing == "no scan of M1002"


def test_folders_without_fg2018_are_refused(fg2018: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"FG2018 is not in .*absent, which does not exist"):
        fg2018_photographs(tmp_path / "absent")
    shutil.rmtree(fg2018 / "F_3D_N")
    shutil.rmtree(fg2018 / "M_3D_N")
    with pytest.raises(FileNotFoundError, match="no scans in"):
        fg2018_photographs(fg2018)


def test_the_limit_counts_people_not_photographs(now: Path, fg2018: Path) -> None:
    data = NoW(now, limit=2)
    assert [subject.name for subject in data.subjects()] == now_names()[:5]
    found = data.provenance()
    assert (found["kind"], found["people"], found["photographs"]) == ("now", 2, 5)
    assert len(FG2018(fg2018, limit=1).subjects()) == 2
