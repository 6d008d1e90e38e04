"""A stand-in for MICC: people that the open model cannot make, scanned and filmed by ourselves."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.morphable_model import Faces, MorphableModel
from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.files import is_text, written_atomically
from lightning_modules.plain.one_at_a_time import one_at_a_time
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.recognition.network import RecognitionNetwork

from .long_work.progress import progress_bar
from .micc import MICC, ScanOptions
from .sampling import mixed_seed
from .scan_folders import FRONTAL, MICC_CONDITIONS, MICC_SUBJECTS, Subject
from .stand_in.photograph import Person, draw_expression, draw_person, photographs_of_faces
from .stand_in.ranges import StandInRanges
from .stand_in.scanner import draw_people, scan
from .stand_in_photographs import single_thread

# Part of the folder's name: raise it when the same settings give other scans or videos.
VERSION = 1
# Purposes in `mixed_seed` that no training data has.
PEOPLE, PERSON, SCAN, VIDEO = 201, 202, 203, 204
FRAMES = 6  # of each video
FRAMES_PER_SECOND = 25
LABEL = labelled(
    "synthetic scans and videos, made by this project; no figure from them is one of MICC's.\n", stand_in=True
)
TRUTH = "truth.ply"  # beside a subject's Model folder: the neutral face itself, in the open model's topology

_COOPERATIVE = StandInRanges(
    expression_share=0.1,
    expression_deviations=0.8,
    yaw_deviation_degrees=9.0,
    pitch_deviation_degrees=4.0,
    roll_deviation_degrees=3.0,
    near_share=0.0,
    frame_height_mm=(330.0, 390.0),
    placement=(-0.04, 0.04),
    glasses_share=0.0,
    scarf_share=0.0,
    hand_share=0.0,
    defocus_pixels=(0.0, 0.7),
    motion_share=0.0,
    noise_levels=(0.5, 2.0),
    side_pixels=(256.0, 256.0),
)
_INDOOR = replace(
    _COOPERATIVE,
    expression_share=0.2,
    yaw_deviation_degrees=18.0,
    pitch_deviation_degrees=9.0,
    frame_height_mm=(420.0, 560.0),
    placement=(-0.1, 0.1),
    defocus_pixels=(0.4, 1.4),
    motion_share=0.15,
    noise_levels=(2.0, 6.0),
    side_pixels=(176.0, 176.0),
    jpeg_quality=(40.0, 70.0),
)
_OUTDOOR = replace(
    _INDOOR,
    expression_share=0.3,
    yaw_deviation_degrees=26.0,
    ambient_share=(0.04, 0.12),
    light_azimuth_degrees=(-170.0, 170.0),
    hand_share=0.05,
    defocus_pixels=(0.6, 1.8),
    motion_share=0.35,
    noise_levels=(3.0, 8.0),
    vignette=(0.0, 0.2),
    side_pixels=(144.0, 144.0),
)
RANGES = {"cooperative": _COOPERATIVE, "indoor": _INDOOR, "outdoor": _OUTDOOR}


class _Cast(NamedTuple):
    """Everybody: neutral faces [53, V, 3] mm, and what else belongs to the person."""

    faces: NDArray[np.float64]
    people: list[Person]


class StandInScans(MICC):
    """Synthetic people in MICC's own layout, from 3-D faces outside the open model; labelled STAND-IN.

    `prepare_data` makes what is missing of the first `limit` of 53 subjects: two scans with marked landmarks,
    three videos of rising difficulty, and the truth. A run that is stopped continues there. Every result that
    comes from them must say STAND-IN in its title: `provenance` says so.

    Args:
        model: the open model of level 1 with all its components, which the people are kept out of.
        networks: whose features of the frames are wanted.
        seed: of everything.
        **options: see ScanOptions.
    """

    kind = "stand-in"

    def __init__(
        self,
        model: MorphableModel,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        seed: int = 0,
        **options: Unpack[ScanOptions],
    ) -> None:
        if model.provenance.kind != "open":
            raise ValueError(
                f"stand-in scans are made with the open model, got {model.provenance.name}; load `open`"
            )
        self.model, self.seed = model, seed
        folders = CacheFolders.below(options.get("cache_folder"))
        super().__init__(folders.stand_in_scans / self._digest(), networks, **options)

    def subjects(self) -> list[Subject]:
        """The first `limit` people."""
        wanted = MICC_SUBJECTS[: self.limit]
        return [subject for subject in self._found() if subject.name in wanted]

    def prepare_data(self) -> None:
        """Make what is missing, then look at the videos as for any footage."""
        self.make_missing()
        super().prepare_data()

    def provenance(self) -> dict[str, Any]:
        """Which scans these are, labelled as a stand-in."""
        return {**super().provenance(), "stand_in": True, "seed": self.seed}

    def make_missing(self) -> None:
        """Scan and film whoever has not been yet; other processes wait meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(self.folder / "lock", "makes the same scans"):
            (self.folder / "STAND-IN.txt").write_text(LABEL)
            missing = [
                number
                for number, name in enumerate(MICC_SUBJECTS[: self.limit])
                if not (self.folder / name / TRUTH).is_file()
            ]
            with progress_bar(
                "Making STAND-IN scans and videos", len(missing), visible=self.progress
            ) as advance:
                for number in missing:
                    with single_thread():
                        self._make(number)
                    advance(1)

    @cached_property
    def _cast(self) -> _Cast:
        count = len(MICC_SUBJECTS)
        faces = draw_people(count, mixed_seed(self.seed, PEOPLE, 0), self.model)
        seeds = [mixed_seed(self.seed, PERSON, number) for number in range(count)]
        return _Cast(faces, [draw_person(self.model, seed, _COOPERATIVE) for seed in seeds])

    def _make(self, number: int) -> None:
        """All of a subject's files; the truth is written last, and says that the others are whole."""
        face, person = self._cast.faces[number], self._cast.people[number]
        folder = self.folder / MICC_SUBJECTS[number]
        albedo = self.model.albedo(person.coefficients.albedo)[0].clamp(0, 1)
        for index, name in enumerate(FRONTAL):
            chance = np.random.default_rng(mixed_seed(self.seed, SCAN, 2 * number + index))
            scanned = scan(face, albedo.double().numpy(), person.hair_colour.clip(0, 1), self.model, chance)
            path = folder / "Model" / name / "obj" / f"{number + 1:02d}{index + 1}.ply"
            write_mesh(scanned.mesh, path)
            with written_atomically(path.with_suffix(".ljson")) as temporary:
                temporary.write_text(ljson_text(scanned.landmarks))
        for index, (condition, name) in enumerate(MICC_CONDITIONS.items()):
            seed = mixed_seed(self.seed, VIDEO, len(MICC_CONDITIONS) * number + index)
            frames = self._film(torch.from_numpy(face).float(), person, RANGES[condition], seed)
            write_video(folder / "Video" / f"{name}.avi", frames)
        truth = Mesh(torch.from_numpy(face).float(), self.model.triangles, albedo)
        write_mesh(truth, folder / TRUTH)

    @torch.no_grad()
    def _film(
        self, face: torch.Tensor, person: Person, ranges: StandInRanges, seed: int
    ) -> list[NDArray[np.uint8]]:
        chances = np.random.default_rng(seed).spawn(FRAMES)
        expressions = torch.cat([draw_expression(self.model, chance, ranges) for chance in chances])
        none = self.model.shape_mean.new_zeros(FRAMES, 0)
        moved = self.model.vertices(none, expressions) - self.model.vertices(none)
        albedo = self.model.albedo(person.coefficients.albedo).expand(FRAMES, -1, -1)
        photographs = photographs_of_faces(
            self.model, Faces(face + moved, albedo), [person] * FRAMES, chances, ranges
        )
        return [photograph.pixels for photograph in photographs]

    def _digest(self) -> str:
        """Of everything that the scans and videos depend on."""
        settings = {"version": VERSION, "model": self.model.describe(), "seed": self.seed}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def ljson_text(landmarks: NDArray[np.float64]) -> str:
    """Landmarks as LJSON, version 3, as GANFit's marks of MICC are."""
    points = {"points": landmarks.round(4).tolist(), "connectivity": []}
    return json.dumps({"version": 3, "groups": {"LJSON": {"labels": [], "landmarks": points}}})


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
    """Frames [H, W, 3], RGB, 8 bits, of one size, as a video of JPEGs, whole or not at all."""
    height, width = frames[0].shape[:2]
    if not is_text(path):
        raise OSError(f"OpenCV cannot write the video {path}, whose name is not UTF-8; name another folder")
    with written_atomically(path) as temporary:
        code = cv2.VideoWriter.fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(temporary), code, FRAMES_PER_SECOND, (width, height))
        if not writer.isOpened():
            raise OSError(f"OpenCV cannot write the video {path}; its build lacks Motion JPEG")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
        writer.release()
