"""Options and parts that similarity.py and clustering.py share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datamodules.alignment.detection import DetectorName
from datamodules.face_data import FaceOptions
from evaluation.shared.data_places import Place, place_of
from evaluation.shared.judge import (
    centre_of_photographs,
    judge_name,
    kept_centre,
    settings_of_retouching,
    shows_retouched,
)
from evaluation.shared.options import NO_SETTING, Machine, settings_of_options
from evaluation.shared.present_inputs import (
    require_centre,
    require_data,
    require_files,
    require_optional_file,
)
from evaluation.shared.scored_method import Scored, what_is_scored
from lightning_modules.checkpoints import load_regressor
from lightning_modules.faces.mesh_files.units import Unit
from lightning_modules.plain.number_types import NonNegativeInt
from lightning_modules.recognition.encoder_names import underlying
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import NetworkName, network_name, place_of_network
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.similarity import Centre
from lightning_modules.recognition.vggface import Descriptor
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for

KINDS = ("lfw", "identities", "mofa")


@dataclass(frozen=True)
class Scoring:
    """What is scored, on which photographs, by which judge.

    Attributes:
        checkpoint: of ablations/run.py; also as the first argument, without its name.
        meshes: instead, a folder of another method's OBJ, PLY or GLB files, named as the photographs are
            (Name/Name_0001.obj or Name_0001.obj), of any topology.
        renderings: instead, a folder of its pictures, named so.
        method: its name in tables; the file's or folder's name if not given.
        data: lfw:DIR, identities:DIR (a folder a person), mofa:DIR, or stand-in; by default what LFW_DIR or
            the configuration file names, or else the stand-in.
        judge: dlib, sface, facenet, vggface, arcface:FILE, onnx:FILE or torch:FILE; by default the
            checkpoint's own judge, or sface.
        judge_weights: its weight file, where it does not lie in its usual place.
        descriptor_layer: of vggface: fc6, fc6-relu, fc7 or fc7-relu.
        descriptor_crops: of vggface: 1 crop, or the mean over 10 (corners and middle, each also mirrored).
        allow_training_network: let a network judge what it has trained; its scores are too good.
        centred: subtract the judge's centre, which the checkpoint keeps, before cosines.
        centre_from: instead of the checkpoint's, estimate it from a folder of training photographs.
        retouched: whether faces are softened, and black above the forehead, before the judge sees them; by
            default as in the checkpoint's training, and meshes are. Another method's pictures never are.
        morphable_model: of the checkpoint, where it does not lie where it did in training; for meshes and
            renderings, whose mean face is the floor: open by default.
        unit: of meshes: mm, cm, dm, m, um, inch, a number of millimetres, or auto.
        detector: yunet or mtcnn.
        people: score the project's reporting protocol on so many people instead of all photographs; 0 is off.
    """

    checkpoint: Path | None = field(default=None, metadata=NO_SETTING)
    meshes: Path | None = field(default=None, metadata=NO_SETTING)
    renderings: Path | None = field(default=None, metadata=NO_SETTING)
    method: str | None = None
    data: str | None = None
    judge: NetworkName | None = None
    judge_weights: Path | None = None
    descriptor_layer: Descriptor = "fc7-relu"
    descriptor_crops: Literal[1, 10] = 1
    allow_training_network: bool = field(default=False, metadata=NO_SETTING)
    centred: bool = False
    centre_from: Path | None = None
    retouched: bool | None = field(default=None, metadata=NO_SETTING)  # what it means is one
    morphable_model: str | None = None
    unit: Unit = "auto"
    detector: DetectorName = "yunet"
    people: NonNegativeInt = 0


@dataclass(frozen=True)
class RenderingMachine(Machine):
    """What a command works with; its results do not depend on it.

    Attributes:
        device: auto (a GPU where there is one), cpu, cuda, or cuda:1.
        cache_folder: root of all caches; the user's cache folder if not given.
        workers: processes that align photographs; all cores if not given.
        progress: whether to show progress bars.
        rasterizer: numba, warp, pytorch3d or torch; chosen by the device if not given.
    """

    rasterizer: str | None = None


class JudgedMethod(NamedTuple):
    """What a command is about, before anything heavy is loaded.

    Attributes:
        scored: see `scored.Scored`.
        place: of the photographs.
        judge: its name.
        content: of the checkpoint, or None.
        retouched: whether faces are retouched for the judge.
    """

    scored: Scored
    place: Place
    judge: NetworkName
    content: Mapping[str, Any] | None
    retouched: bool = True


class Parts(NamedTuple):
    """What a command loads.

    Attributes:
        judge: the network.
        reconstructor: of a checkpoint, or None.
        centre: of the judge, or None for raw cosines.
    """

    judge: RecognitionNetwork
    reconstructor: Reconstructor | None
    centre: Centre | None


def subject_of(scoring: Scoring) -> JudgedMethod:
    """Who scores what on what; refuses what cannot be before anything heavy is loaded."""
    scored = what_is_scored(scoring.checkpoint, scoring.meshes, scoring.renderings, method=scoring.method)
    content = load_regressor(scored.path)[1] if scored.kind == "checkpoint" else None
    judge = judge_name(scoring.judge, content, allow_training_network=scoring.allow_training_network)
    if judge != "vggface" and scoring.descriptor_crops != 1:
        raise ValueError(f"--descriptor-crops is of vggface, the judge is {judge}; leave it out")
    if scoring.centred and scoring.centre_from is None:
        if content is None:
            raise ValueError("--centred takes the checkpoint's centre; without one give --centre-from DIR")
        if network_name(judge) not in map(underlying, content["centres"]):
            raise ValueError(f"the checkpoint keeps no centre of {judge}; give --centre-from DIR")
    place = place_of(scoring.data, KINDS)
    require_files(scored)
    require_data(place, development_list=bool(scoring.people))
    require_centre(scoring.centre_from)
    require_optional_file(scoring.judge_weights, f"the weights of {judge}")
    return JudgedMethod(scored, place, judge, content, shows_retouched(scoring.retouched, content))


def inputs_of(scoring: Scoring, subject: JudgedMethod) -> list[Path | None]:
    """The files and folders that a command reads for these options."""
    return [
        *read_for(subject.scored.path, scoring.morphable_model),
        subject.place.folder,
        scoring.judge_weights,
        place_of_network(subject.judge),
        scoring.centre_from,
    ]


def settings_of(scoring: Scoring, subject: JudgedMethod, **more: object) -> dict[str, Any]:
    """Everything that the result depends on."""
    without_effect: set[str] = set()
    if subject.judge != "vggface":
        without_effect |= {"descriptor_layer", "descriptor_crops"}
    if subject.scored.kind == "checkpoint":
        without_effect |= {"unit", "morphable_model"}
    given = settings_of_options(scoring)
    return {
        **{name: value for name, value in given.items() if name not in without_effect},
        **subject.scored.settings(),
        "method": subject.scored.method,
        "data": str(subject.place),
        "judge": subject.judge,
        **settings_of_retouching(subject.retouched),
        **more,
    }


def load_parts(scoring: Scoring, execution: RenderingMachine, subject: JudgedMethod) -> Parts:
    """The judge, the checkpoint with its frozen parts, the centre."""
    judge = load_network(
        subject.judge,
        scoring.judge_weights,
        descriptor_layer=scoring.descriptor_layer,
        descriptor_crops=scoring.descriptor_crops,
    ).to(execution.device)
    reconstructor = None
    if subject.scored.kind == "checkpoint":
        reconstructor = load_reconstructor(
            subject.scored.path, morphable_model=scoring.morphable_model, device=execution.device
        )
    return Parts(judge, reconstructor, _centre(scoring, execution, subject, judge))


def face_options(scoring: Scoring, execution: RenderingMachine) -> FaceOptions:
    """Of all photographs."""
    return {
        "detector": scoring.detector,
        "cache_folder": execution.cache_folder,
        "workers": execution.workers,
        "progress": execution.progress,
    }


def written_centre(centre: Centre | None) -> str:
    """How cosines are compared, for titles."""
    return "raw cosines" if centre is None else f"centre of {centre.count:,} photographs ({centre.source})"


def _centre(
    scoring: Scoring, execution: RenderingMachine, subject: JudgedMethod, judge: RecognitionNetwork
) -> Centre | None:
    if scoring.centre_from is not None:
        return centre_of_photographs(scoring.centre_from, judge, **face_options(scoring, execution))
    if not scoring.centred:
        return None
    return None if subject.content is None else kept_centre(subject.content, judge)
