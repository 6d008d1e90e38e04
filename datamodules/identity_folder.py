"""Photographs of known people: one folder a person, or a list of labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from lightning_modules.plain.files import read_text
from lightning_modules.plain.quotations import shortened
from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.images import list_photographs
from .face_data import FaceDataModule, FaceOptions


class IdentityFolder(FaceDataModule):
    """A data set as VGG-Face or MoFA-Test, `root/<identity>/<image>`, or as CelebA with a label file.

    Args:
        root: the folder of identities, or of images where labels are given.
        networks: whose features are wanted.
        labels: a text file with an image's path below root and its identity on each line, as CelebA's
            identity_CelebA.txt.
        **options: see FaceOptions.
    """

    kind = "identities"

    def __init__(
        self,
        root: Path,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        labels: Path | None = None,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(networks, **options)
        self.root, self.labels = Path(root), None if labels is None else Path(labels)

    def photographs(self) -> list[Path]:
        """All labelled photographs, sorted by path."""
        return sorted(self.people_by_path())

    def people_by_path(self) -> dict[Path, str]:
        """Each photograph's person.

        Raises:
            ValueError: if the layout is another one, or the label file is.
        """
        if self.labels is not None:
            labels = read_labels(self.labels)
            people = {self.root / name: person for name, person in labels.items()}
            if not any(path.exists() for path in people):
                raise ValueError(
                    f"none of the {len(labels)} images that {self.labels} names, such as {min(labels)}, is "
                    f"in {self.root}; name the folder that its paths begin in"
                )
            return people
        people = {
            path: path.relative_to(self.root).parts[0]
            for path in list_photographs(self.root)
            if path.parent != self.root
        }
        if not people:
            raise ValueError(
                f"{self.root} holds images but no folder a person; expected {self.root}/<identity>/<image>, "
                "or a label file"
            )
        return people

    def setup(self, stage: str | None = None) -> None:
        """Open the cache; sets `people`, their names, and `identity` [N], each face's person."""
        super().setup(stage)
        people = self.people_by_path()
        names = [people[path] for path in self.dataset.paths]
        self.people = sorted(set(names))
        number = {name: index for index, name in enumerate(self.people)}
        identity = np.array([number[name] for name in names], np.int64)
        self.identity = identity[self.dataset.faces.photograph]


def read_labels(file: Path) -> dict[str, str]:
    """Image name -> identity, from lines `image identity`, parted by a tab, a comma, a semicolon or blanks.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it names nothing, one image as two people, or a line has another form.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no label file {file}; expected lines of an image and its identity")
    labels: dict[str, str] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        separator = next((mark for mark in "\t;," if mark in line.strip()), None)
        parts = [part.strip() for part in line.strip().split(separator)]
        if len(parts) != 2 or not all(parts):
            raise ValueError(
                f"{file}, line {number}: expected an image and its identity, got {shortened(line)!r}"
            )
        image, identity = parts[0].replace("\\", "/"), parts[1]
        if labels.setdefault(image, identity) != identity:
            raise ValueError(
                f"{file}, line {number}: {image} is {identity} here and {labels[image]} before; keep one"
            )
    if not labels:
        raise ValueError(f"{file} names no image; expected lines of an image and its identity")
    return labels
