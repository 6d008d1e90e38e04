"""Folders of people with scans and with photographs or videos: MICC's layout, and a plain one for others."""

import warnings
from pathlib import Path
from typing import NamedTuple

from lightning_modules.faces.landmarks.mesh_landmark_files import SUFFIXES as LANDMARK_SUFFIXES
from lightning_modules.faces.landmarks.point_lists import file_of_suffix
from lightning_modules.plain.folder_walk import visible_files
from lightning_modules.plain.letters import composed
from lightning_modules.plain.output_folder import without_outputs
from lightning_modules.plain.quotations import first_of

from .alignment.images import EXTENSIONS as IMAGE_SUFFIXES

MESH_SUFFIXES = (".obj", ".ply", ".glb")
VIDEO_SUFFIXES = (".mjpg", ".mjpeg", ".avi", ".mp4", ".mov", ".mkv", ".mpg", ".mpeg", ".m4v", ".wmv", ".webm")
MICC_SUBJECTS = tuple(f"subject_{number:02d}" for number in range(1, 54))
FRONTAL = ("frontal1", "frontal2")
MICC_CONDITIONS = {"cooperative": "Indoor-Cooperative", "indoor": "PTZ-Indoor", "outdoor": "PTZ-Outdoor"}
MICC_LANDMARKS = "MICC_landmarks"
MICC_LAYOUT = (
    "subject_01 to subject_53, each with Model/frontal1/obj/<stamp>.obj and the videos Indoor-Cooperative, "
    "PTZ-Indoor and PTZ-Outdoor (the Florence 2D/3D face dataset, on request at "
    "micc.unifi.it/resources/datasets/florence-3d-faces)"
)
MOST_NAMED = 5  # of files that are no scan's
SCANS_LAYOUT = (
    "scans/<subject>.obj (or .ply, .glb), photos/<subject>/ or one video or photograph of that name, and, if "
    f"there are, landmarks/<subject> ({', '.join(LANDMARK_SUFFIXES)})"
)


class ScanFile(NamedTuple):
    """A scan: its name among the subject's, its mesh file, and its landmarks' file where there is one."""

    name: str
    path: Path
    landmarks: Path | None


class Subject(NamedTuple):
    """A person, or a person's photograph where a data set asks for a mesh of each.

    Attributes:
        name: such as subject_01.
        scans: the first is the one to score against, where a protocol takes one; empty where there is none.
        footage: by condition, a video or a folder of photographs.
        missing: why the person cannot be scored; empty otherwise.
        condition: the only one there is, of a photograph; empty of a person.
        person: who is on a photograph; empty of a person.
    """

    name: str
    scans: tuple[ScanFile, ...]
    footage: dict[str, Path]
    missing: str = ""
    condition: str = ""
    person: str = ""


def micc_subjects(folder: Path, landmarks: Path | None = None) -> list[Subject]:
    """The 53 subjects of MICC, those whose folder or frontal scan is missing included, with the reason.

    Args:
        folder: the data set's, see MICC_LAYOUT; files of one name may lie at any depth below a subject's.
        landmarks: GANFit's folder of marks, `subject_XX/Model/frontalN/obj/<stamp>.ljson`; by default
            MICC_landmarks inside `folder` or beside it, then files beside the scans.

    Raises:
        FileNotFoundError: if there is no subject at all, or no folder of landmarks by that name.
    """
    folder = Path(folder)
    if not any((folder / name).is_dir() for name in MICC_SUBJECTS):
        found = "holds none of them" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(f"MICC is not in {folder}, which {found}; expected {MICC_LAYOUT}")
    marks = _landmark_folder(folder, landmarks)
    return [_micc_subject(folder / name, marks) for name in MICC_SUBJECTS]


def scanned_subjects(folder: Path, landmarks: Path | None = None) -> list[Subject]:
    """The subjects of a plain folder of scans, in the order of their names; see SCANS_LAYOUT.

    A scan may also lie in a folder of its subject's name, with others. The condition's name is `photographs`.
    Landmark files and photographs that are no scan's are warned of.

    Args:
        folder: with `scans/`, and `photos/` where checkpoints are scored.
        landmarks: the marks' folder; `landmarks/` in `folder`, then files beside the scans by default.

    Raises:
        FileNotFoundError: if there are no scans, or no folder of landmarks by that name.
    """
    folder = Path(folder)
    scans = folder / "scans"
    names = sorted({_subject_of(path, scans) for path in _scans_below(scans)})
    if not names:
        raise FileNotFoundError(f"no scans in {folder}; expected {SCANS_LAYOUT}")
    marks = _required(landmarks) if landmarks is not None else folder / "landmarks"
    footage = _footage_by_name(folder / "photos")
    subjects = [
        Subject(name, _scans_of(name, scans, marks), _photographs_of(footage.get(composed(name), [])))
        for name in names
    ]
    _warn_of_others(marks, [scan.landmarks for subject in subjects for scan in subject.scans])
    _warn_of_unused(footage, subjects)
    return subjects


def _warn_of_unused(footage: "dict[str, list[Footage]]", subjects: list[Subject]) -> None:
    """Warn of photographs and videos that are not looked at: nobody's, or beside others of a subject."""
    used = {path for subject in subjects for path in subject.footage.values()}
    every = [one for several in footage.values() for one in several]
    others = sorted(one.place.name for one in every if one.path not in used)
    if others:
        warnings.warn(
            f"of {len(every)} folders, videos and photographs in {every[0].place.parent}, {len(others)} are "
            f"not looked at: {first_of(others, MOST_NAMED)}; name one after each subject, as in scans/",
            stacklevel=3,
        )


def _warn_of_others(marks: Path, used: list[Path | None]) -> None:
    """Warn of landmark files that are no scan's; those of a scan in a second format are its own."""
    stems = {path.with_suffix("") for path in used if path is not None}
    files = _named_below(marks, LANDMARK_SUFFIXES)
    others = sorted(str(path.relative_to(marks)) for path in files if path.with_suffix("") not in stems)
    if others:
        warnings.warn(
            f"of {len(files)} landmark files in {marks}, {len(others)} are no scan's: "
            f"{first_of(others, MOST_NAMED)}; name each after its scan, as in scans/",
            stacklevel=3,
        )


def _micc_subject(folder: Path, marks: Path | None) -> Subject:
    if not folder.is_dir():
        return Subject(folder.name, (), {}, "no folder of the subject")
    scans = []
    for name in FRONTAL:
        files = sorted(_scans_below(folder / "Model" / name))
        if files:
            scans.append(ScanFile(name, files[0], _marks_of(files[0], folder.parent, marks)))
    missing = "" if scans else f"no scan in Model/{FRONTAL[0]} or Model/{FRONTAL[1]}"
    return Subject(folder.name, tuple(scans), _micc_footage(folder), missing)


def _landmark_folder(folder: Path, landmarks: Path | None) -> Path | None:
    if landmarks is not None:
        return _required(landmarks)
    places = (folder / MICC_LANDMARKS, folder.parent / MICC_LANDMARKS)
    return next((place for place in places if place.is_dir()), None)


def _required(folder: Path) -> Path:
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"no folder {folder}; name a folder of landmark files, or leave --landmarks out"
        )
    return Path(folder)


def _marks_of(scan: Path, root: Path, marks: Path | None) -> Path | None:
    """The landmark file of a scan: in the marks' folder under the scan's own path, or beside it."""
    stems = [] if marks is None else [marks / scan.relative_to(root).with_suffix("")]
    return _first_landmark_file([*stems, scan.with_suffix("")])


def _first_landmark_file(stems: list[Path]) -> Path | None:
    found = (file_of_suffix(stem, LANDMARK_SUFFIXES) for stem in stems)
    return next((path for path in found if path is not None), None)


def _micc_footage(folder: Path) -> dict[str, Path]:
    """Of each condition its video, or folder of frames, which have its name at any depth."""
    named = {name: condition for condition, name in MICC_CONDITIONS.items()}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        condition = named.get(path.stem if path.is_file() else path.name)
        if condition is not None and (usable := _video_or_frames(path)) is not None:
            found.setdefault(condition, usable)
    return found


class Footage(NamedTuple):
    """What lies in photos/, and what of it is looked at: itself, or the video that the folder holds."""

    place: Path
    path: Path


def _footage_by_name(photos: Path) -> dict[str, list[Footage]]:
    """Folders, videos and single photographs by whose they are: a folder first, a photograph last."""
    found: dict[str, list[Footage]] = {}
    for place in sorted(photos.iterdir(), key=_by_kind) if photos.is_dir() else []:
        is_photograph = place.is_file() and place.suffix.lower() in IMAGE_SUFFIXES
        path = place if is_photograph else _video_or_frames(place)
        if path is not None and not place.name.startswith("."):
            name = place.name if place.is_dir() else place.stem
            found.setdefault(composed(name), []).append(Footage(place, path))
    return found


def _by_kind(place: Path) -> tuple[bool, bool, str]:
    return not place.is_dir(), place.suffix.lower() not in VIDEO_SUFFIXES, place.name


def _photographs_of(footage: list[Footage]) -> dict[str, Path]:
    """A subject's photographs or video, as the condition `photographs`."""
    return {"photographs": footage[0].path} if footage else {}


def _video_or_frames(path: Path) -> Path | None:
    """The video that a path is or holds, else the folder itself if it holds images."""
    if path.is_file():
        return path if path.suffix.lower() in VIDEO_SUFFIXES else None
    videos = sorted(files_below(path, VIDEO_SUFFIXES))
    return videos[0] if videos else path if files_below(path, tuple(IMAGE_SUFFIXES)) else None


def files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files at any depth; not what a command wrote into an output folder below, such as heat-maps."""
    return [path for path in _named_below(folder, suffixes) if path.is_file()]


def _scans_below(folder: Path) -> list[Path]:
    """Scans at any depth, links to nowhere, too: these fail when they are read, and never in silence."""
    return [path for path in _named_below(folder, MESH_SUFFIXES) if not path.is_dir()]


def _named_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = visible_files(folder) if folder.is_dir() else []
    return without_outputs([path for path in found if path.suffix.lower() in suffixes], folder)


def _subject_of(path: Path, scans: Path) -> str:
    first = path.relative_to(scans).parts[0]
    return first if (scans / first).is_dir() else path.stem


def _scans_of(name: str, scans: Path, marks: Path) -> tuple[ScanFile, ...]:
    paths = sorted(path for path in _scans_below(scans) if _subject_of(path, scans) == name)
    # A subject's only scan may be called anything, and its landmarks as the subject is.
    of_subject = [marks / name] if len(paths) == 1 else []
    return tuple(
        ScanFile(
            path.stem,
            path,
            _first_landmark_file(
                [
                    marks / path.relative_to(scans).with_suffix(""),
                    marks / path.stem,
                    *of_subject,
                    path.with_suffix(""),
                ]
            ),
        )
        for path in paths
    )
