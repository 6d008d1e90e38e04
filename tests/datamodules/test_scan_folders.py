from pathlib import Path
from unicodedata import normalize

import pytest

from datamodules.scan_folders import MICC_SUBJECTS, micc_subjects, scanned_subjects


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def micc_person(root: Path, name: str, *frontal: str) -> None:
    for folder in frontal:
        touch(root / name / "Model" / folder / "obj" / "110920150452.obj")


def test_micc_subjects_have_their_frontal_scans_and_three_videos(tmp_path: Path) -> None:
    micc_person(tmp_path, "subject_01", "frontal1", "frontal2", "sidel", "sider")
    touch(tmp_path / "subject_01/Video/Indoor-Cooperative.mjpg")
    touch(tmp_path / "subject_01/Video/PTZ-Indoor.mjpeg")
    touch(tmp_path / "subject_01/PTZ-Outdoor/frames/0001.jpg")
    subjects = micc_subjects(tmp_path)
    assert [subject.name for subject in subjects] == list(MICC_SUBJECTS)
    assert [scan.name for scan in subjects[0].scans] == ["frontal1", "frontal2"]
    assert {condition: path.name for condition, path in subjects[0].footage.items()} == {
        "cooperative": "Indoor-Cooperative.mjpg", "indoor": "PTZ-Indoor.mjpeg", "outdoor": "PTZ-Outdoor",
    }  # fmt: skip


def test_missing_people_and_scans_stay_in_the_list_with_their_reason(tmp_path: Path) -> None:
    micc_person(tmp_path, "subject_01", "frontal2")
    micc_person(tmp_path, "subject_02", "sidel")
    first, second, third = micc_subjects(tmp_path)[:3]
    assert [scan.name for scan in first.scans] == ["frontal2"]
    assert not first.missing
    assert second.missing == "no scan in Model/frontal1 or Model/frontal2"
    assert third.missing == "no folder of the subject"


@pytest.mark.parametrize("place", ["micc/MICC_landmarks", "MICC_landmarks", "elsewhere", "micc"])
def test_published_landmarks_are_found_inside_beside_named_and_with_the_scans(
    tmp_path: Path, place: str
) -> None:
    micc_person(tmp_path / "micc", "subject_01", "frontal1")
    marks = touch(tmp_path / place / "subject_01/Model/frontal1/obj/110920150452.ljson")
    named = tmp_path / place if place == "elsewhere" else None
    (scan,) = micc_subjects(tmp_path / "micc", named)[0].scans
    assert scan.landmarks == marks


def test_a_folder_that_is_not_micc_is_told_what_is_expected_and_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"MICC is not in .*absent, which does not exist; expected sub"
    ):
        micc_subjects(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"holds none of them.*micc\.unifi\.it"):
        micc_subjects(tmp_path)
    micc_person(tmp_path, "subject_01", "frontal1")
    with pytest.raises(FileNotFoundError, match=r"no folder .*marks; name a folder of landmark files"):
        micc_subjects(tmp_path, tmp_path / "marks")


def test_other_scans_are_found_as_files_and_in_folders_with_photographs_and_landmarks(tmp_path: Path) -> None:
    touch(tmp_path / "scans/ann.ply")
    touch(tmp_path / "scans/bob/left.obj")
    touch(tmp_path / "scans/bob/front.obj")
    touch(tmp_path / "photos/ann/1.jpg")
    touch(tmp_path / "photos/bob.mp4")
    marks = [touch(tmp_path / "landmarks/ann.txt"), touch(tmp_path / "landmarks/bob/front.pp")]
    beside = touch(tmp_path / "scans/bob/left.npy")
    ann, bob = scanned_subjects(tmp_path)
    assert (ann.name, ann.footage) == ("ann", {"photographs": tmp_path / "photos/ann"})
    assert bob.footage == {"photographs": tmp_path / "photos/bob.mp4"}
    assert [scan.name for scan in bob.scans] == ["front", "left"]
    assert [scan.landmarks for subject in (ann, bob) for scan in subject.scans] == [*marks, beside]


def test_a_folder_without_scans_is_told_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no scans in .*; expected scans/<subject>\.obj"):
        scanned_subjects(tmp_path)


def test_a_scan_that_is_a_link_to_nowhere_stays_in_the_list(tmp_path: Path) -> None:
    touch(tmp_path / "scans/ann.obj")
    (tmp_path / "scans/bob.obj").symlink_to(tmp_path / "not-fetched.obj")
    (tmp_path / "scans/cat.obj").mkdir()
    ann, bob = scanned_subjects(tmp_path)
    assert (ann.name, bob.name) == ("ann", "bob")
    assert bob.scans[0].path == tmp_path / "scans/bob.obj"
    (tmp_path / "subject_01/Model/frontal1").mkdir(parents=True)
    (tmp_path / "subject_01/Model/frontal1/a.obj").symlink_to(tmp_path / "not-fetched.obj")
    assert [scan.name for scan in micc_subjects(tmp_path)[0].scans] == ["frontal1"]


def test_the_only_scan_in_a_subject_s_folder_has_the_subject_s_landmarks(tmp_path: Path) -> None:
    for scan in ("ann/one", "bob/one", "bob/two"):
        touch(tmp_path / f"scans/{scan}.obj")
    marks = [touch(tmp_path / f"landmarks/{name}.txt") for name in ("ann", "bob")]
    with pytest.warns(UserWarning, match=r"of 2 landmark files in .*, 1 are no scan's: bob\.txt; name each"):
        ann, bob = scanned_subjects(tmp_path)
    assert [scan.landmarks for scan in ann.scans] == marks[:1]
    assert [scan.landmarks for scan in bob.scans] == [None, None]  # which of the two they belong to is open


def test_landmarks_of_no_scan_are_named_and_a_second_format_of_a_scan_s_is_not(tmp_path: Path) -> None:
    touch(tmp_path / "scans/ann.obj")
    for name in ("ann.txt", "ann.ljson", *(f"lost{number}.txt" for number in range(7)), "readme.md"):
        touch(tmp_path / "landmarks" / name)
    said = r"of 9 landmark files .*, 7 are no scan's: lost0\.txt, .*lost4\.txt and 2 more; name each after"
    with pytest.warns(UserWarning, match=said):
        scanned_subjects(tmp_path)


def test_photographs_and_landmarks_are_found_however_accents_are_written(tmp_path: Path) -> None:
    apart, together = normalize("NFD", "Müller"), normalize("NFC", "Müller")
    touch(tmp_path / f"scans/{apart}.obj")
    touch(tmp_path / f"landmarks/{together}.txt")
    touch(tmp_path / f"photos/{together}.mp4")
    (subject,) = scanned_subjects(tmp_path)
    assert subject.scans[0].landmarks is not None
    assert list(subject.footage) == ["photographs"]


def test_a_video_or_a_single_photograph_of_the_subject_s_name_serves_however_it_ends(tmp_path: Path) -> None:
    for name in ("ann", "bob.b", "cat"):
        touch(tmp_path / f"scans/{name}.obj")
    photos = [touch(tmp_path / "photos" / name) for name in ("ann.JPG", "bob.b.MP4", "cat/1.png")]
    ann, bob, cat = scanned_subjects(tmp_path)
    assert [subject.footage for subject in (ann, bob, cat)] == [
        {"photographs": photos[0]}, {"photographs": photos[1]}, {"photographs": photos[2].parent},
    ]  # fmt: skip


def test_photographs_that_are_not_looked_at_are_named(tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        touch(tmp_path / f"scans/{name}.obj")
    for name in ("ann/1.png", "ann.jpg", "bob.mp4", "Bob/1.png", "zoe.png", "readme.txt", ".hidden.png"):
        touch(tmp_path / "photos" / name)
    said = r"of 5 folders, videos and photographs in .*, 3 are not looked at: Bob, ann\.jpg, zoe\.png; name"
    with pytest.warns(UserWarning, match=said):
        ann, bob = scanned_subjects(tmp_path)
    assert ann.footage == {"photographs": tmp_path / "photos/ann"}
    assert bob.footage == {"photographs": tmp_path / "photos/bob.mp4"}
