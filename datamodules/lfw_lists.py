"""The lists of Labeled Faces in the Wild: pairs, people, and where the images lie."""

from pathlib import Path
from typing import NamedTuple

from lightning_modules.plain.files import read_text
from lightning_modules.plain.quotations import shortened

SOURCE = (
    "Labeled Faces in the Wild: folders <Name>/<Name>_0001.jpg in lfw-deepfunneled (or lfw_funneled, lfw), "
    "with pairs.txt and people*.txt beside or inside; scikit-learn's fetch_lfw_people downloads all but "
    "people*.txt, which lie at vis-www.cs.umass.edu/lfw"
)
IMAGE_FOLDERS = ("lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw")


LONGEST_COUNT = 18  # figures; Python refuses to read some thousands of them


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

    Columns may be parted by tabs, blanks, commas or semicolons.

    Raises:
        ValueError: if the counts in the first line do not match, or a line has another form.
    """
    lines = _columns(file)
    _, counts = lines[0] if lines else (1, [])
    if len(counts) not in {1, 2} or not all(_is_count(part) and int(part) for part in counts):
        raise ValueError(
            f"{file} is not a list of LFW pairs: its first line must count pairs of a kind, or folds and "
            f"pairs of a kind in each, got {shortened(' '.join(counts)) or 'nothing'}"
        )
    folds, size = (1, int(counts[0])) if len(counts) == 1 else (int(counts[0]), int(counts[1]))
    if len(lines) - 1 != 2 * folds * size:
        raise ValueError(f"{file} announces {2 * folds * size} pairs and has {len(lines) - 1}; get it anew")
    pairs = [_pair(parts, index // (2 * size)) for index, (_, parts) in enumerate(lines[1:])]
    for (number, parts), pair in zip(lines[1:], pairs, strict=True):
        if pair is None:
            raise ValueError(
                f"{file} is not a list of LFW pairs: line {number} must be `Name 1 2` or `Name 1 Other 2`, "
                f"got {shortened(' '.join(parts))}"
            )
    return [pair for pair in pairs if pair is not None]


def read_people(file: Path) -> list[str]:
    """The names in people.txt, peopleDevTrain.txt or peopleDevTest.txt.

    A line is a name, as a rule with a count of photographs behind it. Lines of a number alone count the names
    that follow, people.txt's first one its folds. Columns as for `read_pairs`; of a name in a column of its
    own, blanks stand for underscores.

    Raises:
        ValueError: if it names nobody, counts other numbers of people, or a line has another form.
    """
    names: list[str] = []
    announced: list[tuple[int, int]] = []  # a number, and how many names came before it
    for number, parts in _columns(file):
        *name, count = parts
        if not name and _is_count(count):
            announced.append((int(count), len(names)))
        elif (not name and _is_name(count)) or (name and count.isdecimal() and all(map(_is_name, name))):
            names.append("_".join(name or [count]))
        else:
            raise ValueError(
                f"{file} is not a list of LFW's people: line {number} must be `Name count`, got "
                f"{' '.join(parts)}"
            )
    if not names:
        raise ValueError(f"{file} names nobody; get it anew")
    if len(announced) > 1 and announced[0] == (len(announced) - 1, 0):
        announced = announced[1:]  # folds
    ends = [*(before for _, before in announced[1:]), len(names)]
    for (people, before), end in zip(announced, ends, strict=False):
        if people != end - before:
            raise ValueError(f"{file} announces {people} people and has {end - before}; get it anew")
    return names


def _columns(file: Path) -> list[tuple[int, list[str]]]:
    """The lines that hold anything, with their numbers."""
    columns = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        separator = next((mark for mark in "\t;," if mark in line.strip()), None)
        parts = [part.strip().replace(" ", "_") for part in line.split(separator)]
        columns.append((number, [part for part in parts if part]))
    return [(number, parts) for number, parts in columns if parts]


def _is_count(part: str) -> bool:
    return part.isdecimal() and len(part) <= LONGEST_COUNT


def _is_name(part: str) -> bool:
    return not part.isdecimal()


def _pair(parts: list[str], fold: int) -> Pair | None:
    match [part.isdecimal() for part in parts]:
        case [False, True, True]:
            return Pair(image_name(parts[0], parts[1]), image_name(parts[0], parts[2]), True, fold)
        case [False, True, False, True]:
            return Pair(image_name(parts[0], parts[1]), image_name(parts[2], parts[3]), False, fold)
    return None
