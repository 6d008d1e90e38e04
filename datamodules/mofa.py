"""MoFA-Test: photographs of faces in a folder (Tewari et al. 2017), the paper's second set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.images import list_photographs
from .face_data import FaceDataModule, FaceOptions
from .identity_folder import read_labels

IDENTITIES = "identities.txt"


class MoFATest(FaceDataModule):
    """A small folder of photographs, 84 of 78 people in the paper.

    Who is who is not published with the photographs: lines `image identity` in a file identities.txt beside
    them say so; a photograph that it does not name (every one where there is none) counts as another person.

    Args:
        folder: with photographs at any depth.
        networks: whose features are wanted.
        **options: see FaceOptions.
    """

    kind = "mofa"

    def __init__(
        self, folder: Path, networks: Sequence[RecognitionNetwork] = (), **options: Unpack[FaceOptions]
    ) -> None:
        super().__init__(networks, **options)
        self.folder = Path(folder)

    def photographs(self) -> list[Path]:
        """All photographs, sorted by path."""
        return list_photographs(self.folder)

    def setup(self, stage: str | None = None) -> None:
        """Open the cache; sets `people`, their names, and `identity` [N], each face's person."""
        super().setup(stage)
        labels = read_labels(self.folder / IDENTITIES) if (self.folder / IDENTITIES).is_file() else {}
        names = [path.relative_to(self.folder).as_posix() for path in self.dataset.paths]
        unknown = set(labels) - set(names)
        if unknown:
            raise ValueError(
                f"{self.folder / IDENTITIES} names {len(unknown)} photographs that are not there, such as "
                f"{min(unknown)}"
            )
        people = [labels.get(name, name) for name in names]
        self.people, identity = np.unique(people, return_inverse=True)
        self.people = self.people.tolist()
        self.identity = identity.astype(np.int64)[self.dataset.faces.photograph]
