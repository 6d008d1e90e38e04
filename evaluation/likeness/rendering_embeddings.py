"""The judge's embeddings of renderings, computed once and kept: similarity and clustering share them."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datamodules.alignment.face_rows import KEY, face_keys
from datamodules.face_data import FaceDataset
from datamodules.long_work.progress import progress_bar
from datamodules.long_work.row_files import RowFiles
from datamodules.stand_in_photographs import StandInPhotographs
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.files import as_bytes
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.rendered_faces import render_for_judge

# Part of the cache's name: raise it when the same faces give other renderings.
VERSION = 2
AT_ONCE = 16
REASON = np.dtype("S160")
NOT_FINITE = "coefficients are not finite"


class Embedded(NamedTuple):
    """What the judge sees in renderings.

    Attributes:
        embeddings: [N, D] of unit length; NaN where there is no rendering.
        reasons: [N], why not; empty where there is one.
    """

    embeddings: Tensor
    reasons: list[str]

    @property
    def usable(self) -> np.ndarray:
        """[N], whether there is a rendering."""
        return np.array([not reason for reason in self.reasons], bool)


# The descriptors [B, D] of some items, by their places in the list of all, and why an item has none ("").
Describe = Callable[[np.ndarray], tuple[np.ndarray, list[str]]]


def embed_all(
    folder: Path, keys: np.ndarray, width: int, describe: Describe, *, progress: bool = True
) -> Embedded:
    """The embeddings of all items: those that were computed before, the others now, some at a time.

    A process that is stopped loses the items of one call of `describe` at most.

    Args:
        folder: where they are kept.
        keys: [N], of the items; equal keys mean equal renderings.
        width: D.
        describe: see Describe.
        progress: whether to show a bar.
    """
    columns = {"descriptors": np.dtype((np.float32, width)), "reasons": REASON, "keys": KEY}
    files = RowFiles(folder, columns)
    # Another process may be computing for hours; who needs nothing new does not wait for it.
    if len(_missing(files, keys)) or files.damage():
        _compute(files, keys, describe, progress=progress)
    row = {key: number for number, key in enumerate(files.column("keys").tolist())}
    rows = np.array([row[key] for key in keys.tolist()], int)
    descriptors = torch.from_numpy(files.column("descriptors")[rows])
    reasons = [reason.decode(errors="ignore") for reason in files.column("reasons")[rows].tolist()]
    return Embedded(functional.normalize(descriptors, dim=1), reasons)


def _compute(files: RowFiles, keys: np.ndarray, describe: Describe, *, progress: bool) -> None:
    with files.appending() as append:
        missing = _missing(files, keys)
        with progress_bar("Rendering faces for the judge", len(missing), visible=progress) as advance:
            for start in range(0, len(missing), AT_ONCE):
                some = missing[start : start + AT_ONCE]
                descriptors, reasons = describe(some)
                encoded = np.array([as_bytes(reason)[: REASON.itemsize] for reason in reasons], REASON)
                append(descriptors=descriptors, reasons=encoded, keys=keys[some])
                advance(len(some))


def _missing(files: RowFiles, keys: np.ndarray) -> np.ndarray:
    """The first place of each key that has no row yet."""
    places, known = dict[Any, int](), set(files.column("keys").tolist())
    for place, key in enumerate(keys.tolist()):
        if key not in known:
            places.setdefault(key, place)
    return np.array(list(places.values()), int)


def embed_reconstructions(
    reconstructor: Reconstructor,
    checkpoint_sha256: str,
    dataset: FaceDataset,
    judge: RecognitionNetwork,
    indices: np.ndarray,
    *,
    retouched: bool = True,
    cache_folder: Path | None = None,
    backend: str | None = None,
    progress: bool = True,
) -> Embedded:
    """The judge's embeddings of a checkpoint's faces of photographs, each seen from the front.

    Args:
        reconstructor: the checkpoint with its parts.
        checkpoint_sha256: of its file.
        dataset: of the photographs, with the encoder's features.
        judge: the network.
        indices: which faces of the data set.
        retouched: see `render_for_judge`.
        cache_folder: the user's if None.
        backend: of the rasterizer.
        progress: whether to show a bar.
    """

    @torch.no_grad()
    def describe(places: np.ndarray) -> tuple[np.ndarray, list[str]]:
        features = dataset.batch(indices[places]).features[reconstructor.encoder.name]
        decoded = reconstructor.coefficients(features)
        return describe_faces(reconstructor, judge, decoded, retouched=retouched, backend=backend)

    keys = face_keys(dataset.faces)[indices]
    folder = rendering_folder(cache_folder, checkpoint_sha256, judge, retouched=retouched)
    return embed_all(folder, keys, judge.embedding_width, describe, progress=progress)


def describe_faces(
    reconstructor: Reconstructor,
    judge: RecognitionNetwork,
    decoded: Prediction,
    *,
    retouched: bool = True,
    backend: str | None = None,
) -> tuple[np.ndarray, list[str]]:
    """The judge's descriptors [B, D] of faces; where one cannot be rendered NaN, and why."""
    descriptors = np.full((len(decoded.shape), judge.embedding_width), np.nan, np.float32)
    finite = torch.cat(decoded, 1).isfinite().all(1).cpu().numpy()
    reasons = ["" if good else NOT_FINITE for good in finite]
    render = partial(render_for_judge, reconstructor.model, backend=backend, retouched=retouched)
    for places, images in _renderable(render, decoded, np.flatnonzero(finite), reasons):
        descriptors[places] = judge(images).descriptor.float().cpu().numpy()
    return descriptors, reasons


def _renderable(
    render: Callable[[Prediction], Tensor],
    decoded: Prediction,
    places: np.ndarray,
    reasons: list[str],
) -> Sequence[tuple[np.ndarray, Tensor]]:
    """Images of the faces at these places: all at once, or each by itself where one fails."""
    if len(places) == 0:
        return []
    chosen = Prediction(*(part[torch.from_numpy(places).to(part.device)] for part in decoded))
    try:
        return [(places, render(chosen))]
    except ValueError as error:
        if len(places) == 1:
            reasons[places[0]] = f"cannot be rendered ({error})"
            return []
    halves = np.array_split(places, 2)
    return [part for half in halves for part in _renderable(render, decoded, half, reasons)]


@torch.no_grad()
def mean_face_embedding(
    model: MorphableModel,
    judge: RecognitionNetwork,
    *,
    retouched: bool = True,
    backend: str | None = None,
) -> Tensor:
    """The judge's embedding [D] of a morphable model's mean face, shown as the faces beside it are."""
    zero = model.shape_mean.new_zeros(1, 0)
    image = render_for_judge(model, Prediction(zero, zero), backend=backend, retouched=retouched)
    return judge(image).embedding[0].cpu()


@torch.no_grad()
def embed_true_faces(
    people: StandInPhotographs,
    judge: RecognitionNetwork,
    faces: np.ndarray,
    *,
    retouched: bool = True,
    backend: str | None = None,
) -> Tensor:
    """The judge's embeddings [N, D] of the neutral faces that a stand-in's photographs were made of.

    Args:
        people: the stand-in.
        judge: the network.
        faces: [N], which faces of the data set.
        retouched: see `render_for_judge`.
        backend: of the rasterizer.
    """
    embeddings: dict[int, Tensor] = {}
    people_of = people.identity[faces].tolist()
    for person, number in zip(people_of, people.dataset.faces.photograph[faces].tolist(), strict=True):
        if person not in embeddings:
            shape, albedo, _ = people.person(number).coefficients
            image = render_for_judge(
                people.model, Prediction(shape, albedo), backend=backend, retouched=retouched
            )
            embeddings[person] = judge(image).embedding[0].cpu()
    return torch.stack([embeddings[person] for person in people_of])


def rendering_folder(
    cache_folder: Path | None, digest: str, judge: RecognitionNetwork, *, retouched: bool = True
) -> Path:
    """Where the embeddings of one method's renderings by one judge are kept."""
    layer, shown = getattr(judge, "descriptor_layer", None), None if retouched else "as-rendered"
    parts = (digest[:16], judge.name, layer, judge.sha256[:16], str(VERSION), shown)
    name = "-".join(part for part in parts if part)
    return CacheFolders.below(cache_folder).renderings / name


def file_keys(files: Sequence[Path]) -> np.ndarray:
    """The key [N] of each file, from its content."""
    digests = [hashlib.sha256(file.read_bytes()).digest() + b"\0" for file in files]
    return np.array(digests, KEY)
