"""What the files of faces are called: after their photographs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def relative(path: Path, root: Path) -> str:
    """A photograph's path as files keep it: below the folder that was given, or its name alone."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def names_of(faces: Sequence[tuple[str, int]], numbered: bool) -> list[str]:
    """The names of faces' files, each another.

    Args:
        faces: of each its photograph's file and which of its faces it is.
        numbered: whether the face's number is part of the name.

    Returns:
        The file without its suffix; with it where two photographs differ in nothing else.
    """
    sharing = Counter(Path(file).with_suffix("") for file in {file for file, _ in faces})
    names = []
    for file, number in faces:
        stem = Path(file).with_suffix("")
        name = stem.as_posix() if sharing[stem] == 1 else file
        names.append(f"{name}-{number}" if numbered else name)
    return names
