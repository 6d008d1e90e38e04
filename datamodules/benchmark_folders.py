"""Folders of benchmarks that ask for a mesh of each photograph: NoW's layout and FG2018's."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from lightning_modules.faces.landmarks.point_lists import file_of_suffix
from lightning_modules.plain.files import read_text

from .alignment.images import is_photograph
from .scan_folders import MESH_SUFFIXES, ScanFile, Subject, files_below

ImageSet = Literal["validation", "test"]
# Of NoW, by the names of their folders.
CHALLENGES = {
    "multiview_neutral": "neutral",
    "multiview_expressions": "expressions",
    "multiview_occlusions": "occlusions",
    "selfie": "selfie",
}
NOW_LISTS: dict[ImageSet, str] = {"validation": "imagepathsvalidation.txt", "test": "imagepathstest.txt"}
NOW_PLACES = (
    "", "NoW_Dataset", "final_release_version", "NoW_Dataset/final_release_version", "dataset",
)  # fmt: skip
NOW_LAYOUT = (
    "imagepathsvalidation.txt, scans/<subject>/*.obj, scans_lmks_onlypp/<subject>/*.pp, and, to score a "
    "checkpoint, final_release_version/iphone_pictures/<subject>/<challenge>/<photograph> (the NoW "
    "challenge, on request at now.is.tue.mpg.de)"
)
QUALITIES = ("HQ", "LQ")
FG2018_PLACES = (
    "", "Subset_2D_FG2018", "Real_images__Subset_2D_FG2018", "images", "images/Subset_2D_FG2018",
    "images/Real_images__Subset_2D_FG2018",
)  # fmt: skip
FG2018_LAYOUT = (
    "Subset_2D_FG2018/HQ and LQ with photographs (or lists HQ.txt and LQ.txt of their names), F_3D_N and "
    "M_3D_N with scans, and annotations/F_3D_N and M_3D_N with their seven landmarks (*.lnd) (Stirling's "
    "ESRC 3D face database on request at pics.stir.ac.uk/ESRC, the landmarks at "
    "github.com/patrikhuber/fg2018-competition)"
)


def now_photographs(folder: Path, images: ImageSet = "validation") -> list[Subject]:
    """NoW's photographs in the order of its list, each with its person's scan; see NOW_LAYOUT.

    A photograph is called <subject>/<challenge>/<name without suffix>, as the benchmark calls its mesh. Scans
    and lists may lie in `folder` or in one of NOW_PLACES below it.

    Args:
        folder: the data set's.
        images: of which list; there are no scans of the test set.

    Raises:
        FileNotFoundError: if there is no list, or none of the scans.
        ValueError: if the list names something else.
    """
    folder = Path(folder)
    file = _first(folder, NOW_PLACES, NOW_LISTS[images], Path.is_file)
    if file is None:
        found = "holds no" if folder.is_dir() else "does not exist, so that there is no"
        raise FileNotFoundError(f"{folder} {found} {NOW_LISTS[images]} of NoW; expected {NOW_LAYOUT}")
    pictures = _first(folder, NOW_PLACES, "iphone_pictures")
    scans, marks = (_first(folder, NOW_PLACES, name) for name in ("scans", "scans_lmks_onlypp"))
    if images == "validation" and scans is None:
        raise FileNotFoundError(f"no folder scans in {folder}; expected {NOW_LAYOUT}")
    listed = [_now_photograph(line, file) for line in read_text(file).splitlines() if line.strip()]
    if not listed:
        raise ValueError(f"{file} lists no photograph; expected lines <subject>/<challenge>/<photograph>")
    _once(["/".join((person, challenge, Path(name).stem)) for person, challenge, name in listed], file)
    people = dict.fromkeys(person for person, _, _ in listed)
    truth = {person: _now_scans(person, scans, marks) for person in people} if images == "validation" else {}
    if truth and not any(truth.values()):
        raise FileNotFoundError(f"{scans} holds no scan of the people in {file.name}; expected {NOW_LAYOUT}")
    return [
        Subject(
            f"{person}/{challenge}/{Path(name).stem}",
            truth.get(person, ()),
            _footage(CHALLENGES[challenge], pictures and pictures / person / challenge / name),
            "" if truth.get(person) else f"no scan of {person}",
            CHALLENGES[challenge],
            person,
        )
        for person, challenge, name in listed
    ]


def fg2018_photographs(folder: Path) -> list[Subject]:
    """FG2018's photographs of high and low quality, each with its person's neutral scan; see FG2018_LAYOUT.

    A photograph is called as its file, without the suffix; where HQ and LQ share a name, the folder comes
    before it.

    Raises:
        FileNotFoundError: if there are no photographs and no lists, or no scans.
    """
    folder = Path(folder)
    files = {quality: _fg2018_files(folder, quality) for quality in QUALITIES}
    if not any(files.values()):
        found = "holds none of them" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(f"FG2018 is not in {folder}, which {found}; expected {FG2018_LAYOUT}")
    scans = {
        path.stem.lower(): path
        for name in ("F_3D_N", "M_3D_N")
        for path in sorted(files_below(folder / name, MESH_SUFFIXES))
    }
    if not scans:
        raise FileNotFoundError(f"no scans in {folder}/F_3D_N or M_3D_N; expected {FG2018_LAYOUT}")
    marks = {path.stem.lower(): path for path in sorted((folder / "annotations").rglob("*.lnd"))}
    named = Counter(path.stem for paths in files.values() for path in paths)
    return [
        _fg2018_photograph(
            path, quality, scans, marks, path.stem if named[path.stem] == 1 else f"{quality}/{path.stem}"
        )
        for quality, paths in files.items()
        for path in paths
    ]


def _first(
    folder: Path, places: tuple[str, ...], name: str, usable: Callable[[Path], bool] = Path.is_dir
) -> Path | None:
    """The first folder, or file, of a name in one of these places below a folder."""
    return next((path for place in places if usable(path := folder / place / name)), None)


def _once(names: list[str], file: Path) -> None:
    """Refuse a list in which two photographs would have one mesh, whatever their suffixes.

    Raises:
        ValueError: naming the first of them.
    """
    repeated = [name for name, count in Counter(map(str.lower, names)).items() if count > 1]
    if repeated:
        name = next(name for name in names if name.lower() == repeated[0])
        raise ValueError(f"{file} lists {name} twice; keep one line of it, or download the list again")


def _footage(condition: str, photograph: Path | None) -> dict[str, Path]:
    return {} if photograph is None or not photograph.is_file() else {condition: photograph}


def _now_photograph(line: str, file: Path) -> tuple[str, str, str]:
    """Subject, challenge and file name of a line, which may begin with other folders."""
    parts = tuple(line.strip().replace("\\", "/").split("/")[-3:])
    if len(parts) != 3 or parts[1] not in CHALLENGES or {"", "..", "."} & set(parts):
        raise ValueError(
            f"{file}: {line.strip()[:80]!r} is no <subject>/<challenge>/<photograph> with a challenge of "
            f"{', '.join(CHALLENGES)}"
        )
    return parts


def _now_scans(person: str, scans: Path | None, marks: Path | None) -> tuple[ScanFile, ...]:
    """A person's scan with its picked points: the first of each, as the benchmark's code takes them."""
    assert scans is not None
    files = sorted(files_below(scans / person, MESH_SUFFIXES))
    picked = [] if marks is None else sorted(files_below(marks / person, (".pp",)))
    return tuple(ScanFile(path.stem, path, picked[0] if picked else None) for path in files[:1])


def _fg2018_files(folder: Path, quality: str) -> list[Path]:
    """The photographs of a quality: those of its folder, or what its list names."""
    pictures = _first(folder, FG2018_PLACES, quality)
    names = _first(folder, FG2018_PLACES, f"{quality}.txt", Path.is_file)
    if names is not None:
        lines = [line.strip() for line in read_text(names).splitlines() if line.strip()]
        listed = [Path(line.replace("\\", "/")) for line in lines]
        _once([path.stem for path in listed], names)
        return [(pictures or folder / quality) / path.name for path in listed]
    return [] if pictures is None else sorted(_photographs(pictures))


def _photographs(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and is_photograph(path))


def _fg2018_photograph(
    path: Path, quality: str, scans: dict[str, Path], marks: dict[str, Path], name: str
) -> Subject:
    """A photograph F1001_... with the scan F1001_N, whatever the case; else the first that begins so."""
    person = path.stem.partition("_")[0].lower()
    key = f"{person}_n"
    if key not in scans:
        key = next((each for each in sorted(scans) if each.startswith(f"{person}_")), "")
    found = scans.get(key)
    truth = () if found is None else (ScanFile(found.stem, found, marks.get(key) or _beside(found)),)
    missing = "" if truth else f"no scan of {person.upper()}"
    return Subject(name, truth, _footage(quality, path), missing, quality, person.upper())


def _beside(scan: Path) -> Path | None:
    return file_of_suffix(scan.with_suffix(""), (".lnd", ".txt"))
