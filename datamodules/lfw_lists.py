"""The lists of Labeled Faces in the Wild: pairs, people, and where the images lie."""

from pathlib import Path
from typing import NamedTuple

SOURCE = (
    "Labeled Faces in the Wild: folders <Name>/<Name>_0001.jpg in lfw-deepfunneled (or lfw_funneled, lfw), "
    "with pairs.txt and people*.txt beside or inside; scikit-learn's fetch_lfw_people downloads all but "
    "people*.txt, which lie at vis-www.cs.umass.edu/lfw"
)
IMAGE_FOLDERS = ("lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw")


class Pair(NamedTuple):
    """Two photographs, named as <Name>/<Name>_0001.jpg."""

    first: str
    second: str
    same: bool
    fold: int


def find_images(folder: Path) -> Path:
    """The folder that holds a folder a person: the given one or one of its usual subfolders.

    Raises:
        FileNotFoundError: if there is none.
    """
    for candidate in (*(folder / name for name in IMAGE_FOLDERS), folder):
        if candidate.is_dir() and next(candidate.glob("*/*_0001.jpg"), None) is not None:
            return candidate
    raise FileNotFoundError(f"no LFW images in {folder}; expected {SOURCE}")


def find_list(folder: Path, name: str) -> Path:
    """A list file, in the folder, beside it, or in `lists`.

    Raises:
        FileNotFoundError: if there is none.
    """
    places = [place / name for place in (folder, folder / "lists", folder.parent, folder.parent / "lists")]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no {name} in {', '.join(str(p.parent) for p in places)}; expected {SOURCE}")
    return found


def image_name(person: str, number: str | int) -> str:
    """The name of a person's photograph below the image folder."""
    return f"{person}/{person}_{int(number):04d}.jpg"


def read_pairs(file: Path) -> list[Pair]:
    """The pairs of pairs.txt (ten folds) or of pairsDevTrain.txt and pairsDevTest.txt (one fold).

    Raises:
        ValueError: if the counts in the first line do not match, or a line has another form.
    """
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        folds, size = (1, *map(int, lines[0])) if len(lines[0]) == 1 else map(int, lines[0])
        pairs = [_pair(line, index // (2 * size)) for index, line in enumerate(lines[1:])]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{file} is not a list of LFW pairs: {error}") from error
    if len(pairs) != 2 * folds * size:
        raise ValueError(f"{file} announces {2 * folds * size} pairs and has {len(pairs)}; get it anew")
    return pairs


def read_people(file: Path) -> list[str]:
    """The names in people.txt, peopleDevTrain.txt or peopleDevTest.txt."""
    lines = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    # Lines with a name have a count behind it; the others are counts of people or folds.
    return [line[0] for line in lines if len(line) == 2 and not line[0].isdigit()]


def _pair(parts: list[str], fold: int) -> Pair:
    if len(parts) == 3:
        return Pair(image_name(parts[0], parts[1]), image_name(parts[0], parts[2]), True, fold)
    if len(parts) == 4:
        return Pair(image_name(parts[0], parts[1]), image_name(parts[2], parts[3]), False, fold)
    raise ValueError(f"a pair has 3 or 4 columns, got {parts}")
