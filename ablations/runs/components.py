"""The parts of a training run: morphable model, networks, data, and what photographs say before training."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment.mediapipe_landmarks import FaceMesh, find_landmark_model
from datamodules.cheeks import cheek_colours
from datamodules.face_data import FaceBatch
from datamodules.lfw import lfw_folder
from datamodules.lfw_lists import find_images
from datamodules.long_work.cores import available_cores
from datamodules.long_work.shares import Share
from datamodules.photographs import Photographs
from datamodules.stand_in_photographs import StandInPhotographs
from datamodules.synthetic_faces import SyntheticBatch, SyntheticFaces
from evaluation.metrics.skin_tone import lab
from lightning_modules.distributed import is_first_process
from lightning_modules.faces.loading import check_specification, load_morphable_model, place_of_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import check_network, network_name, place_of_network
from lightning_modules.recognition.networks import as_encoder, load_network
from lightning_modules.recognition.rounding import LOWEST_COSINE, lowest_cosine, multiplies_bfloat16
from lightning_modules.recognition.similarity import MINIMUM_FOR_A_CENTRE, Centre, estimate_centre
from lightning_modules.regression import OF_RENDERINGS
from lightning_modules.rendered_faces import render_randomly
from lightning_modules.skin_tone import ToneTarget
from lightning_modules.teachers import Teachers

from .execution import Execution
from .fitting import tell
from .settings import Settings

# Tones and centres are read off so many training photographs at most.
PHOTOGRAPHS_READ = 5000
# The same for synthetic faces of a pool, and where every one has to be rendered.
FACES_READ, FRESH_FACES = 100_000, 2048
# By which it is seen whether a network may round.
FACES_TRIED = 32
# Enough for a centre after the validation share is held back.
STAND_INS = 640


class Learnt(NamedTuple):
    """What the training photographs say before training.

    Attributes:
        centres: by network; none where there are too few photographs.
        tone: what their skin tone asks for, or None where no loss wants it.
        landmarks: what their landmarks are compared with, likewise.
        faces: the training photographs that it was learnt from, at most PHOTOGRAPHS_READ.
    """

    centres: dict[str, Centre]
    tone: ToneTarget | None
    landmarks: LandmarkTarget | None
    faces: FaceBatch


def load_teachers(settings: Settings, execution: Execution) -> Teachers:
    """The frozen morphable model and networks, each network once."""
    model = load_morphable_model(
        settings.morphable_model,
        shape_components=settings.shape_components or None,
        albedo_components=settings.albedo_components or None,
    )
    networks: dict[str, RecognitionNetwork] = {}
    for name in (*settings.training_networks, settings.judge):
        if name not in networks:
            networks[name] = load_network(name)
    for name in settings.training_networks:
        if not networks[name].differentiable:
            raise ValueError(f"{name} lets no gradient through to the image: it can only be a --judge")
    return teachers_of(model, networks, settings).to(execution.own_device())


def teachers_of(
    model: MorphableModel, networks: dict[str, RecognitionNetwork], settings: Settings
) -> Teachers:
    """The networks in their roles; where the encoder also trains identity, one network has both."""
    encoder = as_encoder(
        networks[settings.encoder], crops=settings.encoder_crops or 1, coloured=bool(settings.cheek_colour)
    )
    roles = networks | {settings.encoder: encoder}
    encoder, identity, *second = (roles[name] for name in settings.training_networks)
    return Teachers(model, encoder, identity, roles[settings.judge], *second)


def rounded_networks(teachers: Teachers, settings: Settings, execution: Execution) -> dict[str, torch.dtype]:
    """The networks whose convolutions a step may round under bf16-mixed, by name, and to what."""
    device = teachers.model.shape_mean.device
    if execution.precision != "bf16-mixed" or not settings.weights.on & OF_RENDERINGS:
        return {}
    if not multiplies_bfloat16(device):
        tell("bf16-mixed: the networks stay in float32, in which this processor is faster")
        return {}
    return networks_that_may_round(teachers, settings, execution)


def networks_that_may_round(
    teachers: Teachers, settings: Settings, execution: Execution
) -> dict[str, torch.dtype]:
    """The networks to whose features and embeddings of rendered faces bfloat16 makes hardly a difference.

    See LOWEST_COSINE; says so of each that is tried.
    """
    model, crop = teachers.model, teachers.crop
    drawn = model.sample(FACES_TRIED, torch.Generator().manual_seed(settings.seed))
    faces = Prediction(drawn.shape, drawn.albedo)
    with torch.no_grad():
        images = render_randomly(
            model, faces, crop, views=1, seed=settings.seed, step=0, samples=range(FACES_TRIED),
            backend=execution.rasterizer,
        )[:, 0]  # fmt: skip
    rounded: dict[str, torch.dtype] = {}
    for network in teachers.training_networks:
        cosine = lowest_cosine(network, images, torch.bfloat16)
        if cosine >= LOWEST_COSINE:
            rounded[network.name] = torch.bfloat16
        kept = "run in bfloat16" if network.name in rounded else "stay in float32"
        tell(f"bf16-mixed: the convolutions of {network.name} {kept} (cosine to float32 {cosine:.5f})")
    return rounded


def photographs_of(settings: Settings, execution: Execution, teachers: Teachers) -> Photographs:
    """The data module of --photographs."""
    networks = list(teachers.training_networks)
    options: dict[str, Any] = {
        "judge": teachers.judge,
        "batch_size": settings.photographs_per_step,
        "validation_fraction": settings.validation_fraction,
        "validation_photographs": settings.validation_photographs,
        "seed": settings.seed,
        "cache_folder": execution.cache_folder,
        "workers": aligning_processes(execution),
        "progress": execution.progress,
        "landmark_detector": FaceMesh() if "landmark" in settings.weights.on else None,
    }
    if settings.photographs == "stand-in":
        return StandInPhotographs(
            teachers.model, networks, count=STAND_INS, backend=execution.rasterizer, **options
        )
    return Photographs(photograph_folder(settings), networks, trusting=execution.trust_manifest, **options)


def aligning_processes(execution: Execution) -> int | None:
    """How many processes align for this one: its part of the cores, where several train on one machine."""
    count = len(execution.device_numbers)
    # SLURM gives each task cores of its own.
    if execution.workers is not None or count == 1 or "SLURM_LOCALID" in os.environ:
        return execution.workers
    return max(1, available_cores() // count)


def photograph_folder(settings: Settings) -> Path:
    """The folder or list of --photographs, where it is no stand-in."""
    kind, _, folder = settings.photographs.rpartition(":")
    if kind == "lfw":
        return find_images(lfw_folder(folder))
    return Path(settings.photographs.removeprefix("photographs:"))


def photograph_files(settings: Settings) -> Sequence[Path] | None:
    """The files of --photographs as they are now; None of a stand-in, or where there are none any more."""
    if settings.photographs == "stand-in":
        return None
    try:
        return Photographs(photograph_folder(settings)).photographs()
    except (ValueError, OSError):
        return None


def check_sources(settings: Settings, execution: Execution) -> None:
    """Refuse photographs, morphable models and networks that are not there, before anything is loaded.

    Raises:
        FileNotFoundError: if a file or folder is missing.
        ValueError: if the folder holds no photograph, or a name is not known.
    """
    check_specification(settings.morphable_model)
    place = place_of_model(settings.morphable_model)
    if place is not None and not place.exists():
        raise FileNotFoundError(f"--morphable-model {settings.morphable_model}: there is no {place}")
    for network in (*settings.training_networks, settings.judge):
        check_network(network)
    if network_name(settings.judge) in map(network_name, settings.training_networks):
        raise ValueError(
            f"the judge {settings.judge} also trains, in a copy of its file; a network scores its own "
            "training too well: give another --judge"
        )
    if settings.landmark_weight and settings.stage != "1":
        find_landmark_model()
    if settings.photographs != "stand-in" and settings.stage != "1":
        Photographs(
            photograph_folder(settings),
            cache_folder=execution.cache_folder,
            trusting=execution.trust_manifest,
        ).require_some()


def inputs_of(settings: Settings, execution: Execution) -> Iterable[Path | None]:
    """The files and folders that a run reads; a checkpoint to resume from may be its own.

    Where the manifest is trusted, of photographs their folder alone.
    """
    yield place_of_model(settings.morphable_model)
    for network in (*settings.training_networks, settings.judge):
        yield place_of_network(network)
    if settings.photographs != "stand-in":
        yield Path(settings.photographs.partition(":")[2] or settings.photographs)
        yield Path(settings.photographs)
        if not execution.trust_manifest:
            yield from photograph_files(settings) or ()


def prepare(photographs: Photographs, settings: Settings) -> None:
    """Align photographs and compute their features once; refuse too few of them before anything is trained.

    Raises:
        ValueError: saying how many there are, and which option to lower or raise.
    """
    photographs.prepare_data()
    photographs.setup()
    # The trainer prepares them again; what there is to say has been said.
    photographs.progress = False
    if not is_first_process():
        return  # the first one says what is wrong, and ends the others
    trained, held_back = len(photographs.training), len(photographs.judged_validation)
    if trained < settings.photographs_per_step:
        raise ValueError(
            f"a step takes {settings.photographs_per_step} photographs, and {photographs.folder} has "
            f"{trained} faces to train on ({held_back} more are held back); add photographs, or give "
            f"--photographs-per-step and --rendered (which divides it) of at most {trained}"
        )
    if held_back < 2:
        raise ValueError(
            f"{held_back} of the {len(photographs.dataset)} faces of {photographs.folder} are held back to "
            "validate on, at least 2 are needed; add photographs, or raise --validation-fraction "
            f"({settings.validation_fraction:g})"
        )


def synthetic_of(
    settings: Settings,
    execution: Execution,
    model: MorphableModel,
    encoder: RecognitionNetwork,
    *,
    stage: int,
    share: Share | None = None,
) -> SyntheticFaces:
    """The synthetic faces of a stage; both stages share a pool, of which a process renders its share."""
    return SyntheticFaces(
        model,
        encoder,
        batch_size=settings.synthetic_per_pretraining_step if stage == 1 else settings.synthetic_per_step,
        pool_size=settings.synthetic_faces or None,
        first_fresh=0 if stage == 1 else faces_of_stage_1(settings, execution),
        seed=settings.seed,
        ranges=settings.scene_ranges,
        backend=execution.rasterizer,
        cache_folder=execution.cache_folder,
        progress=execution.progress,
        share=share,
    )


def faces_of_stage_1(settings: Settings, execution: Execution) -> int:
    """How many fresh faces stage 1 sees; those that its input is standardised by are the first of them."""
    batches = execution.trainer.accumulate_grad_batches * settings.pretraining_steps
    seen = batches * settings.synthetic_per_pretraining_step if settings.pretraining else 0
    return max(seen, FRESH_FACES)


def known_faces(synthetic: SyntheticFaces) -> SyntheticBatch:
    """Synthetic faces whose features standardise a network's input, and to which a linear start is fitted."""
    if synthetic.pool_size is None:
        return synthetic.render(range(FRESH_FACES))
    return synthetic.pooled(np.arange(min(FACES_READ, synthetic.pool_size)))


def training_sample(photographs: Photographs) -> np.ndarray:
    """Numbers of the training photographs from which statistics are taken: many, evenly spread."""
    return photographs.training[evenly_chosen(len(photographs.training), PHOTOGRAPHS_READ)]


def learn_from_photographs(
    settings: Settings, execution: Execution, photographs: Photographs, teachers: Teachers
) -> Learnt:
    """Centres of the networks and the targets of tone and landmarks, from training photographs alone."""
    training = training_sample(photographs)
    faces = photographs.dataset.batch(training)
    encoder, trained = teachers.encoder.name, [network.name for network in teachers.identity_networks]
    judged = photographs.judged_training.batch(np.arange(len(photographs.judged_training))).embeddings
    judge = teachers.judge.name
    sources: dict[str, Tensor] = {judge: judged[judge]}
    if settings.centred:
        sources |= {name: faces.embeddings[name] for name in trained}
    networks = {network.name: network for network in teachers.by_role.values()}
    centres = {
        name: estimate_centre(
            values, network=name, sha256=networks[name].sha256, source=f"{photographs.kind}, training"
        )
        for name, values in sources.items()
        if len(values) >= MINIMUM_FOR_A_CENTRE
    }
    if settings.centred and not centres.keys() >= set(trained):
        tell(
            f"fewer than {MINIMUM_FOR_A_CENTRE} training photographs: the identity loss compares raw cosines"
        )
    tone = None
    if "tone" in settings.weights.on:
        colours = cheek_colours(photographs.dataset, training, progress=execution.progress)
        own = teachers.cheeks(faces.features[encoder])
        tone = ToneTarget.fit(faces.embeddings[encoder], lab(colours), teachers.model, own)
    landmarks = None
    if faces.landmarks is not None:
        landmarks = LandmarkTarget.fit(faces.landmarks, teachers.model)
    return Learnt(centres, tone, landmarks, faces)
