"""Labeled Faces in the Wild."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Unpack

import numpy as np

from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.folder_walk import visible_files
from lightning_modules.recognition.network import RecognitionNetwork

from .face_data import FaceDataModule, FaceOptions
from .lfw_lists import SOURCE, find_images, find_list, read_pairs, read_people

PairList = Literal["pairs", "pairsDevTrain", "pairsDevTest"]


class PairTable(NamedTuple):
    """Pairs of faces of a data set.

    Attributes:
        first: [P], index of a face, -1 where the photograph has none.
        second: [P], likewise.
        same: [P], whether both show one person.
        fold: [P].
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    fold: np.ndarray


class RetrievalSubset(NamedTuple):
    """The project's protocol for retrieval: indices of faces.

    Attributes:
        query: [I], the first photograph of each person.
        gallery: [2 I], the first and second photograph of each.
        identity: [2 I], person of each gallery entry; query i shows person i.
    """

    query: np.ndarray
    gallery: np.ndarray
    identity: np.ndarray


DOWNLOAD = "download"  # in place of a folder


class LFW(FaceDataModule):
    """LFW's photographs, people and pairs; of each photograph the face nearest its middle.

    Args:
        folder: with or without its lfw-deepfunneled, lists inside or beside. None: scikit-learn's data_home.
        networks: whose features are wanted.
        data_home: scikit-learn's data folder, where no folder is named.
        download: whether to download there what is missing (needs scikit-learn).
        **options: see FaceOptions.
    """

    kind = "lfw"

    def __init__(
        self,
        folder: Path | None = None,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        data_home: Path | None = None,
        download: bool = False,
        **options: Unpack[FaceOptions],
    ) -> None:
        options.setdefault("faces", "central")
        super().__init__(networks, **options)
        self.folder = scikit_learn_folder(data_home) if folder is None else Path(folder)
        self.data_home, self.download = data_home, download and folder is None

    def photographs(self) -> list[Path]:
        """All photographs, sorted by name."""
        return sorted(visible_files(find_images(self.folder), "*/*.jpg"))

    def prepare_data(self) -> None:
        """Download if asked to, then align and compute features once."""
        if self.download:
            download_with_scikit_learn(self.data_home)
        super().prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache; sets `people`, their names, and `identity` [N], each face's person."""
        super().setup(stage)
        names = [path.parent.name for path in self.dataset.paths]
        self.people = sorted(set(names))
        number = {name: index for index, name in enumerate(self.people)}
        photographs = self.dataset.faces.photograph
        self.identity = np.array([number[name] for name in names], np.int64)[photographs]
        self._face_of = {_name(self.dataset.paths[p]): face for face, p in enumerate(photographs)}

    def pairs(self, name: PairList = "pairs") -> PairTable:
        """The pairs of a list: `pairs` with its ten folds is the test, the others are for development.

        Raises:
            ValueError: if the list names photographs that the folder lacks.
        """
        file = find_list(self.folder, f"{name}.txt")
        pairs = read_pairs(file)
        known = {_name(path) for path in self.dataset.paths}
        missing = sorted({photo for pair in pairs for photo in pair[:2]} - known)
        if missing:
            raise ValueError(
                f"{file} names {len(missing)} photographs that {find_images(self.folder)} lacks, such as "
                f"{missing[0]}; expected all of {SOURCE}"
            )
        return PairTable(
            np.array([self._face_of.get(pair.first, -1) for pair in pairs]),
            np.array([self._face_of.get(pair.second, -1) for pair in pairs]),
            np.array([pair.same for pair in pairs]),
            np.array([pair.fold for pair in pairs]),
        )

    def development_people(self) -> set[str]:
        """The people of peopleDevTrain.txt, on whom choices are made; no reported figure uses them.

        Raises:
            FileNotFoundError: if there is no such list.
            ValueError: if it is no such list, or names nobody of this folder, so that development people
                would be taken for others.
        """
        file = find_list(self.folder, "peopleDevTrain.txt")
        names = set(read_people(file))
        folder = find_images(self.folder)
        if not any((folder / name).is_dir() for name in names):
            raise ValueError(
                f"none of the {len(names)} names in {file}, such as {min(names)}, is a folder in {folder}; "
                f"expected {SOURCE}"
            )
        return names

    def retrieval_subset(self, count: int = 300, *, development: bool = False) -> RetrievalSubset:
        """People with at least two photographs, sorted by name, `count` (or as many as exist) taken evenly.

        Args:
            count: of people.
            development: take them from peopleDevTrain, for searches and defaults; reported figures take
                everybody else.
        """
        excluded_or_only = self.development_people()
        wanted = np.array([(name in excluded_or_only) == development for name in self.people])
        return two_photographs_each(self.identity, count, wanted, contents=self.dataset.faces.digest)


def two_photographs_each(
    identity: np.ndarray,
    count: int,
    wanted: np.ndarray | None = None,
    *,
    contents: np.ndarray | None = None,
) -> RetrievalSubset:
    """People with at least two photographs, in order, `count` (or as many as exist) taken evenly.

    A copy of a photograph is no second one: it would be found by itself.

    Args:
        identity: [N], each face's person.
        count: of people.
        wanted: [people], who may be taken; everybody if not given.
        contents: [N], equal for copies; without them nobody's photographs are.
    """
    groups = [np.flatnonzero(identity == person) for person in range(int(identity.max()) + 1)]
    if contents is not None:
        groups = [faces[np.sort(np.unique(contents[faces], return_index=True)[1])] for faces in groups]
    allowed = np.full(len(groups), True) if wanted is None else wanted[: len(groups)]
    eligible = [faces[:2] for faces, may in zip(groups, allowed, strict=True) if may and len(faces) >= 2]
    chosen = np.array([eligible[place] for place in evenly_chosen(len(eligible), count)]).reshape(-1, 2)
    return RetrievalSubset(chosen[:, 0], chosen.reshape(-1), np.repeat(np.arange(len(chosen)), 2))


def scikit_learn_folder(data_home: Path | None) -> Path:
    """Where scikit-learn keeps LFW."""
    try:
        from sklearn.datasets import get_data_home
    except ImportError as error:
        raise ImportError(
            "no LFW folder is named and scikit-learn, which could download it, is not installed; name a "
            "folder, or pip install -e '.[lfw]'"
        ) from error
    return Path(get_data_home(data_home)) / "lfw_home"


def lfw_folder(place: str | Path) -> Path:
    """The folder of `lfw:PLACE`; where it is `download`, scikit-learn's, which downloads what is missing.

    Raises:
        ImportError: if scikit-learn is wanted and not installed.
        ValueError: if the download fails.
    """
    folder = Path(place).expanduser()
    if str(place) != DOWNLOAD or folder.exists():
        return folder
    folder = scikit_learn_folder(None)
    try:
        find_images(folder)
    except FileNotFoundError:
        print(f"scikit-learn downloads Labeled Faces in the Wild (about 230 MB) to {folder}")
        download_with_scikit_learn(None)
    return folder


def download_with_scikit_learn(data_home: Path | None) -> None:
    """Let scikit-learn download LFW's funnelled images and pair lists.

    Raises:
        ValueError: if it cannot.
    """
    from sklearn.datasets import fetch_lfw_people

    try:
        # It also loads the images of people with so many; only one has 500.
        fetch_lfw_people(data_home=data_home, min_faces_per_person=500)
    except OSError as error:
        raise ValueError(
            f"scikit-learn could not download Labeled Faces in the Wild ({error}); try again, or get it "
            f"elsewhere and give its folder: expected {SOURCE}"
        ) from error


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
