"""The columns of the paper's Table 2: similarities of one method on one data set, whatever its kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datamodules.micc import MICC, Sighting
from datamodules.scan_folders import Subject as ScannedPerson
from evaluation.likeness.comparison import MEAN_FACE, SCAN, SHUFFLED, Measured, Setting, paired_cosines
from evaluation.likeness.options import face_options
from evaluation.likeness.other_methods import describe_pictures, embed_files, frontal_picture
from evaluation.likeness.photographs_of_people import other_people
from evaluation.likeness.rendering_embeddings import describe_faces, mean_face_embedding
from evaluation.reporting.results import Counts
from evaluation.shared.data_places import Place
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from lightning_modules.recognition.similarity import centred


class DataSetColumn(NamedTuple):
    """Similarities of one method on one data set.

    Attributes:
        kind: of the data set.
        name: in tables.
        total: photographs of the data set, with or without a face.
        similarities: by method; each with the person [N] of every value.
        items: a line for each photograph, or for each video.
        counts: of them.
        data: provenance.
        trained_on: how many of the photographs the checkpoint was trained on, see `trained_on`.
    """

    kind: str
    name: str
    total: int
    similarities: Mapping[str, tuple[np.ndarray, np.ndarray]]
    items: pd.DataFrame
    counts: Counts
    data: Mapping[str, Any]
    trained_on: str = ""


class Video(NamedTuple):
    """One person's video, the method's rendering of it, and the scan's.

    Attributes:
        frames: [F, D], unit embeddings of the frames.
        ours: [D], of the rendering; NaN where there is none.
        scan: [D], likewise.
        reason: why there is no rendering.
        scan_reason: why there is no rendering of the scan.
    """

    frames: Tensor
    ours: Tensor
    scan: Tensor
    reason: str
    scan_reason: str


def column_of(measured: Measured) -> DataSetColumn:
    """The column of photographs of people."""
    people = measured.people
    return DataSetColumn(
        measured.place.kind, measured.name, len(people.dataset.paths),
        {method: (values, measured.identity) for method, values in measured.similarities().items()},
        measured.items, measured.counts, people.provenance(), measured.trained_on,
    )  # fmt: skip


def scan_column(setting: Setting, place: Place) -> DataSetColumn:
    """The column of MICC: every frame of a video against the rendering of the one face that it gives.

    The encoder's features are averaged over a video and decoded once, as for its error in mm; the ceiling is
    the person's scan, rendered and aligned as other methods' meshes are.

    Raises:
        ValueError: if no video has a rendering.
    """
    parts = setting.parts
    options: dict[str, Any] = dict(face_options(setting.scoring, setting.execution))
    encoders = [] if parts.reconstructor is None else [parts.reconstructor.encoder]
    networks = list({network.name: network for network in (parts.judge, *encoders)}.values())
    assert place.folder is not None
    data = MICC(place.folder, networks, **options)
    data.prepare_data()
    sightings, videos, person = [], [], []
    for number, subject in enumerate(data.subjects()):
        scan = scan_embedding(setting, subject)
        for condition in data.conditions:
            sightings.append(data.sighting(subject, condition))
            videos.append(video_of(setting, sightings[-1], scan))
            person.append(number)
    reasons = [video.reason for video in videos if video.reason]
    if len(reasons) == len(videos):
        raise ValueError(f"none of the {len(videos)} videos of {place} has a rendering: {reasons[0]}")
    similarities = {
        method: compared(videos, faces, np.array(person), setting)
        for method, faces in shown_faces(setting, videos, np.array(person)).items()
        if faces
    }
    used = len(videos) - len(reasons)
    failed = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    return DataSetColumn(
        "micc", f"MICC, {used} videos", len(videos), similarities, video_items(setting, sightings, videos),
        Counts(len(videos), used, failed), data.provenance(),
    )  # fmt: skip


def shown_faces(
    setting: Setting, videos: Sequence[Video], person: np.ndarray
) -> dict[str, dict[int, Tensor]]:
    """By method, what stands for each video: our rendering, the scan's, another person's, the mean face's."""
    good = np.array([number for number, video in enumerate(videos) if not video.reason])
    others = good[other_people(person[good])]
    mean_face = mean_face_embedding(setting.model(), setting.parts.judge, **setting.shown())
    return {
        setting.subject.scored.method: {number: videos[number].ours for number in good},
        SCAN: {number: videos[number].scan for number in good if not videos[number].scan_reason},
        SHUFFLED: {number: videos[other].ours for number, other in zip(good, others, strict=True)},
        MEAN_FACE: dict.fromkeys(good, mean_face),
    }


def video_items(setting: Setting, sightings: Sequence[Sighting], videos: Sequence[Video]) -> pd.DataFrame:
    """A line for each video: its person, the mean similarity of its frames, or why it failed."""
    centre = setting.parts.centre
    means = [
        None if video.reason else float((centred(video.frames, centre) @ centred(video.ours, centre)).mean())
        for video in videos
    ]
    return pd.DataFrame(
        {
            "data": "micc",
            "photograph": [f"{sighting.subject}/{sighting.condition}" for sighting in sightings],
            "person": [sighting.subject for sighting in sightings],
            "reason": [video.reason or video.scan_reason or None for video in videos],
            f"similarity, {setting.subject.scored.method}": means,
        }
    )


def video_of(setting: Setting, sighting: Sighting, scan: tuple[Tensor, str]) -> Video:
    """A sighting with the embedding of its rendering."""
    judge, reconstructor = setting.parts.judge, setting.parts.reconstructor
    nothing = torch.full((judge.embedding_width,), torch.nan)
    if sighting.faces is None or len(sighting.faces.frames) == 0:
        reason = sighting.reason or "no face in any frame"
        return Video(nothing[None][:0], nothing, scan[0], reason, scan[1])
    frames = sighting.faces.embeddings(judge.name)
    if reconstructor is None:
        found = embed_files(
            setting.subject.scored, [f"{sighting.subject}/{sighting.condition}"], judge,
            unit=setting.scoring.unit, detector=setting.scoring.detector, progress=False,
            cache_folder=setting.execution.cache_folder, **setting.shown(),
        )  # fmt: skip
        return Video(frames, found.embeddings[0], scan[0], found.reasons[0], scan[1])
    mean = sighting.faces.features[reconstructor.encoder.name].mean(0, keepdim=True)
    descriptors, reasons = describe_faces(
        reconstructor, judge, reconstructor.coefficients(mean), **setting.shown()
    )
    ours = torch.nn.functional.normalize(torch.from_numpy(descriptors[0]), dim=0)
    return Video(frames, ours, scan[0], reasons[0], scan[1])


def scan_embedding(setting: Setting, person: ScannedPerson) -> tuple[Tensor, str]:
    """The judge's embedding [D] of a person's first scan seen from the front, or NaN and why not."""
    judge = setting.parts.judge
    if not person.scans:
        return torch.full((judge.embedding_width,), torch.nan), person.missing or "no scan"

    def read(file: Path) -> np.ndarray:
        return frontal_picture(read_mesh_in_mm(file).mesh, backend=setting.execution.rasterizer)

    descriptors, reasons = describe_pictures(
        [person.scans[0].path], read, judge, setting.scoring.detector, retouched=setting.subject.retouched
    )
    return torch.nn.functional.normalize(torch.from_numpy(descriptors[0]), dim=0), reasons[0]


def compared(
    videos: Sequence[Video], faces: Mapping[int, Tensor], person: np.ndarray, setting: Setting
) -> tuple[np.ndarray, np.ndarray]:
    """The cosine of every frame and the face shown for its video, and each frame's person."""
    centre = setting.parts.centre
    values = [
        paired_cosines(centred(videos[n].frames, centre), centred(face, centre).expand_as(videos[n].frames))
        for n, face in faces.items()
    ]
    people = [np.full(len(videos[number].frames), person[number]) for number in faces]
    return np.concatenate(values), np.concatenate(people)
