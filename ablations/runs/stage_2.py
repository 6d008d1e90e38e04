"""Stage 2 as a run's settings have it, and what its checkpoints say of themselves."""

from typing import Any

from datamodules.photograph_digests import CONTENT, kept_digests
from datamodules.photographs import Photographs
from evaluation.reporting.provenance import commit
from evaluation.reporting.results import plain
from lightning_modules.checkpoints import checkpoint_content
from lightning_modules.optimisation import Optimisation
from lightning_modules.regression import Regression, Rendering
from lightning_modules.regressor import Regressor
from lightning_modules.teachers import Teachers

from .components import Learnt
from .execution import Execution
from .settings import Settings


def regression_of(
    regressor: Regressor,
    teachers: Teachers,
    learnt: Learnt,
    settings: Settings,
    execution: Execution,
) -> Regression:
    """Stage 2 as the settings have it."""
    rendering = Rendering(
        settings.rendered,
        settings.views,
        backend=execution.rasterizer,
        seed=settings.seed,
        ranges=settings.scene_ranges,
        jitter=settings.jitter,
        retouched=settings.retouched,
    )
    optimisation = Optimisation(
        settings.learning_rate,
        settings.weight_decay,
        settings.warmup_steps,
        settings.max_steps,
        fused=execution.updates_in_one_pass,
        decoupled=settings.decoupled_decay,
    )
    return Regression(
        regressor,
        teachers,
        settings.weights,
        rendering,
        optimisation,
        centres=learnt.centres,
        tone=learnt.tone,
        landmarks=learnt.landmarks,
        gradient_norm_interval=execution.gradient_norm_interval,
    )


def provenance_of(module: Regression, photographs: Photographs, identity: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint of stage 2 says of itself."""
    teachers, tone = module.teachers, module.tone
    known = {} if tone is None else {"tone": {"mean": tone.mean, "variance": tone.variance}}
    return checkpoint_content(
        stage=2,
        regressor=module.regressor,
        model=teachers.model,
        networks=teachers.by_role,
        centres=module.centres,
        settings=plain(identity),
        training_data=photographs.provenance(),
        commit=commit(),
        **{CONTENT: kept_digests(photographs.dataset.faces.digest[photographs.training])},
        **known,
    )
