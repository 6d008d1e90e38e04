"""One training run: stage 1 on synthetic faces, stage 2 on photographs, each loss with its switch.

    python ablations/run.py --no-loopback
    python ablations/run.py --photographs DIR --preset standard
    python ablations/run.py --method paper --dry-run

Without arguments: the open morphable model, embedded networks, and rendered stand-ins for photographs; some
minutes on two cores. The same command continues a run that was stopped, and prints the result of one that is
finished.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    # Read when torch is loaded: how long its idle threads spin on a core that compiled kernels wait for.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import torch

from ablations.runs import components, run_report, wandb_runs
from ablations.runs.curves import LOGS
from ablations.runs.execution import Execution, check_options, identity_of, unusual_execution
from ablations.runs.fitting import (
    BEST,
    CHECKPOINTS,
    FINAL,
    LAST,
    PROFILE,
    SHOWN_STAGE_1,
    check_final,
    fit,
    seed,
    starting_point,
    tell,
    without_noise,
)
from ablations.runs.output_folders import alone_in, claim
from ablations.runs.preparing import prepare_share
from ablations.runs.processes import together
from ablations.runs.published_results import BEST_BY, publish_finished, sheet_to_send
from ablations.runs.settings import Settings
from ablations.runs.shared_folders import folders_to_share
from ablations.runs.shared_stage_1 import one_run_at_a_time
from ablations.runs.shown_settings import preview
from ablations.runs.stage_2 import provenance_of, regression_of
from ablations.runs.termination import stopped_by_termination
from datamodules.long_work.shares import Share
from datamodules.photographs import Photographs
from datamodules.training_data import TrainingData
from evaluation.reporting.provenance import commit
from evaluation.reporting.results import (
    Results,
    default_output,
    finished_results,
    plain,
    read_results,
    write_results,
)
from lightning_modules.callbacks import CoefficientHistograms, ImageGrid, TrainingFailed
from lightning_modules.checkpoint_schema import check_resumable
from lightning_modules.checkpoints import (
    check_same,
    checkpoint_content,
    content_of,
    load_weights,
    read_checkpoint,
)
from lightning_modules.distributed import is_first_process
from lightning_modules.initialisation import amplify, standardise, start_first_albedo, start_linearly
from lightning_modules.losses import OF_SYNTHETIC
from lightning_modules.optimisation import Optimisation
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.prediction import Prediction
from lightning_modules.pretraining import Pretraining
from lightning_modules.regression import Regression
from lightning_modules.regressor import Regressor
from lightning_modules.teachers import Teachers

COMMAND, STAGE_1 = "run", "pretraining"
FAILED = wandb_runs.FAILED
PICTURES, HISTOGRAMS = "pictures", "histograms.csv"
# What a stage makes in its folder.
OWN = (
    FINAL, f"{CHECKPOINTS}/{LAST}", f"{CHECKPOINTS}/{BEST}", f"{LOGS}/from_step_*/*", PROFILE,
    run_report.SHEET, run_report.SHEET_OF_RENDERINGS, f"{PICTURES}/step_*.png", HISTOGRAMS,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, train, report; exit status 0, 1 where training failed, 2 for bad input, 130 interrupted."""
    with one_sentence_for_bad_input(), stopped_by_termination(), without_noise():
        settings, execution = parse_settings(
            (Settings, Execution), argv, program="run.py", description=str(__doc__)
        )
        if not is_first_process():
            execution = replace(execution, progress=False)
        if execution.dry_run:
            print(preview(settings, execution, COMMAND))
            return 0
        try:
            with wandb_runs.ended_with_exit_status():
                results, folder = run(settings.resolved(), execution)
        except TrainingFailed as error:
            tell(f"error: {error}")
            return FAILED
        if results is not None:
            run_report.show(results, folder)
    return 0


def run(settings: Settings, execution: Execution) -> tuple[Results | None, Path]:
    """The results of a run and its folder; trains what is not yet trained.

    No results for a fast dev run, or where a share is prepared.
    """
    check_options(settings, execution)
    if execution.share is not None:
        components.check_sources(settings, execution)
        prepare_share(settings, execution, execution.share)
        return None, Path()
    identity = identity_of(settings, execution)
    output = folder_of(execution.output or default_output(COMMAND, identity), COMMAND)
    folder = output.path
    # One process lists the photographs: on network storage that takes long.
    inputs = components.inputs_of(settings, execution) if is_first_process() else ()
    output.check(inputs, overwrite=execution.overwrite)
    finished = finished_before(output, settings, execution)
    if finished is not None:
        return finished, folder
    components.check_sources(settings, execution)
    if execution.resume is not None:
        check_resumable(read_checkpoint(execution.resume), str(execution.resume))
        if execution.overwrite and execution.resume.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"--overwrite would delete {execution.resume}; give another --output")
    if execution.fast_dev_run:
        return work(settings, execution, output), folder
    with alone_in(folder, "run.py"):
        # By now another run may have finished here.
        finished = finished_before(output, settings, execution)
        return finished or work(settings, execution, output), folder


def folder_of(path: Path, command: str) -> OutputFolder:
    """An output folder whose manifest the first of all processes keeps."""
    return OutputFolder(path, command, registers=is_first_process())


def finished_before(output: OutputFolder, settings: Settings, execution: Execution) -> Results | None:
    """The results of the same run in its folder; None where it has to start or to continue.

    Says on standard error that nothing is trained, and where there are other photographs by now. W&B is told
    of the run if it does not know it.

    Raises:
        ValueError: if the folder holds another run, one that is finished and should go on from --resume, or
            one whose final checkpoint was damaged since.
    """
    folder, identity = output.path, identity_of(settings, execution)
    finished = finished_results(folder, COMMAND, identity, overwrite=execution.overwrite)
    if finished is None:
        return None
    check_final(folder, finished.settings)
    if execution.resume is not None:
        raise ValueError(
            f"{folder} holds this run finished, so nothing goes on from --resume; give another --output, or "
            "--overwrite"
        )
    tell(f"{folder} was finished before: nothing is trained; --overwrite trains anew")
    files = None if execution.trust_manifest else components.photograph_files(settings)
    if files is not None and len(files) != finished.counts.total and settings.stage != "1":
        tell(
            f"{settings.photographs} holds {len(files)} photographs by now, the run had "
            f"{finished.counts.total}"
        )
    publish_finished(finished, settings, execution, output)
    return finished


def work(settings: Settings, execution: Execution, folder: OutputFolder) -> Results | None:
    """Train what is not yet trained, and report. No results for a fast dev run."""
    if settings.warning and settings.stage != "1":
        tell(settings.warning)
    teachers = components.load_teachers(settings, execution)
    photographs = None
    if settings.stage != "1":
        photographs = components.photographs_of(settings, execution, teachers)
    places = folders_to_share(settings, execution, folder.path, default_output(STAGE_1, {}).parent)
    with together(execution, places) as share:
        if photographs is not None:
            photographs.share = share
            components.prepare(photographs, settings)
        if not execution.fast_dev_run:
            identity = identity_of(settings, execution)
            claim(folder, identity, overwrite=execution.overwrite, older=OWN)
        if share is not None:
            share.wait()  # now nothing of an earlier run is left that could be taken for this one's
        return stages(teachers, photographs, settings, execution, folder, share)


def stages(
    teachers: Teachers,
    photographs: Photographs | None,
    settings: Settings,
    execution: Execution,
    folder: OutputFolder,
    share: Share | None,
) -> Results | None:
    """Train the stages that are wanted and not yet trained, and report."""
    seed(settings)
    regressor = Regressor(
        teachers.encoder.feature_width,
        teachers.model.shape_variance.numel(),
        teachers.model.albedo_variance.numel(),
        hidden_width=settings.hidden_width, linear_path=settings.linear_path,
        last_layer_scale=settings.last_layer_scale,
    )  # fmt: skip
    # Stage 2 that continues has stage 1's weights in its checkpoint.
    if settings.pretraining and (
        photographs is None or starting_point(folder.path, execution.resume) is None
    ):
        shared = default_output(STAGE_1, identity_of_stage_1(settings, execution, teachers))
        with nullcontext() if execution.fast_dev_run else one_run_at_a_time(shared, share):
            pretrain(regressor, teachers, settings, execution, share)
        if photographs is not None and settings.linear_path:
            amplify(regressor, settings.linear_start)
    if photographs is None:
        if not execution.fast_dev_run and is_first_process():
            with written_atomically(folder.claim(FINAL)) as temporary:
                shutil.copyfile(shared / FINAL, temporary)
        return run_report.of_stage_1(regressor, teachers, settings, execution, folder)
    return train(regressor, teachers, photographs, settings, execution, folder, share)


def identity_of_stage_1(settings: Settings, execution: Execution, teachers: Teachers) -> dict:
    """What the result of stage 1 depends on."""
    own = {"model": teachers.model.provenance.sha256, "encoder": teachers.encoder.sha256}
    return settings.of_stage_1() | unusual_execution(execution) | own


def pretrain(
    regressor: Regressor,
    teachers: Teachers,
    settings: Settings,
    execution: Execution,
    share: Share | None = None,
) -> None:
    """Stage 1, or the weights of a finished one with the same settings."""
    own = identity_of_stage_1(settings, execution, teachers)
    folder = folder_of(default_output(STAGE_1, own), STAGE_1)
    final = folder.path / FINAL
    content = checkpoint_content(
        stage=1, regressor=regressor, model=teachers.model, networks={"encoder": teachers.encoder},
        centres={}, settings=plain(own), commit=commit(),
    )  # fmt: skip
    if not final.is_file():
        if settings.stage == "2":
            raise ValueError(
                f"--stage 2 needs a finished stage 1 of the same settings in {folder.path}; run with --stage "
                "1 or both, or give --no-pretraining"
            )
        if not execution.fast_dev_run:
            folder.begin(older=OWN)
        fit_known_faces(regressor, teachers, settings, execution, folder, content, share)
        if execution.fast_dev_run:
            return
    checkpoint = read_checkpoint(final)
    check_same(content_of(checkpoint), content)
    load_weights(regressor, checkpoint)


def fit_known_faces(
    regressor: Regressor,
    teachers: Teachers,
    settings: Settings,
    execution: Execution,
    folder: OutputFolder,
    content: dict,
    share: Share | None,
) -> None:
    """Fit stage 1's synthetic faces, whose coefficients are known."""
    synthetic = components.synthetic_of(
        settings, execution, teachers.model, teachers.encoder, stage=1, share=share
    )
    synthetic.prepare_data()
    synthetic.setup()
    if settings.standardised or settings.linear_path:
        known = components.known_faces(synthetic)
        if settings.standardised:
            standardise(regressor, known.features)
        if settings.linear_path:
            start_linearly(regressor, known.features, Prediction(known.shape, known.albedo))
    optimisation = Optimisation(
        settings.pretraining_learning_rate, settings.pretraining_weight_decay, settings.warmup_steps,
        settings.pretraining_steps, fused=execution.updates_in_one_pass, decoupled=settings.decoupled_decay,
    )  # fmt: skip
    alone = settings.stage == "1"
    # Runs share stage 1: at W&B it is a run of its own, and none of a sweep of runs of both stages.
    with nullcontext() if alone else wandb_runs.outside_any_sweep():
        fit(
            Pretraining(regressor, settings.weights, optimisation),
            synthetic,
            name=SHOWN_STAGE_1, folder=folder, steps=settings.pretraining_steps,
            images_per_step=settings.synthetic_per_pretraining_step, settings=settings,
            execution=execution if alone else replace(execution, resume=None), content=content,
            resume=execution.resume if alone else None,
        )  # fmt: skip


def train(
    regressor: Regressor,
    teachers: Teachers,
    photographs: Photographs,
    settings: Settings,
    execution: Execution,
    folder: OutputFolder,
    share: Share | None = None,
) -> Results | None:
    """Stage 2, on photographs that are prepared."""
    seed(settings)  # the same whether stage 1 was trained just now, or before
    synthetic = None
    if settings.weights.on & OF_SYNTHETIC:
        synthetic = components.synthetic_of(
            settings, execution, teachers.model, teachers.encoder, stage=2, share=share
        )
        if share is not None:
            synthetic.prepare_data()  # of several processes, the trainer would ask one alone
    if settings.standardised and not settings.pretraining:
        first = photographs.dataset.batch(photographs.training[:4096])
        standardise(regressor, first.features[teachers.encoder.name])
    learnt = components.learn_from_photographs(settings, execution, photographs, teachers)
    module = regression_of(regressor, teachers, learnt, settings, execution)
    module.rounded = components.rounded_networks(teachers, settings, execution)
    data = TrainingData(
        photographs, synthetic, rendered=settings.rendered, scenes=module.draw_scenes,
        prepared=share is not None,
    )  # fmt: skip
    if learnt.tone is not None and settings.linear_path:
        features = learnt.faces.features[teachers.encoder.name]
        start_first_albedo(regressor, features, module.tone_target(learnt.faces))
    content = provenance_of(module, photographs, identity_of(settings, execution))
    fit(
        module,
        data,
        name="stage 2",
        folder=folder,
        steps=settings.max_steps,
        images_per_step=settings.rendered,
        settings=settings,
        execution=execution,
        content=content,
        callbacks=[
            ImageGrid(
                photographs.dataset.images,
                folder.below(PICTURES),
                stand_in=content["training_data"]["stand_in"],
                sends_photographs=execution.wandb_photographs,
            ),
            *([] if execution.fast_dev_run else [CoefficientHistograms(folder.claim(HISTOGRAMS))]),
        ],
        best_by=BEST_BY,
        resume=execution.resume,
    )
    if execution.fast_dev_run or not module.trainer.is_global_zero:
        return None
    return report(module, photographs, settings, execution, content, folder)


def report(
    module: Regression,
    photographs: Photographs,
    settings: Settings,
    execution: Execution,
    content: dict,
    folder: OutputFolder,
) -> Results:
    """Measure what was trained, write its results, and log them."""
    with torch.inference_mode():
        told = content | run_report.resumed_from(execution)
        results = run_report.of_run(module, photographs, settings, told, folder)
    write_results(results, folder)
    sheet = sheet_to_send(folder.path, execution, results)
    wandb_runs.log_results(module.trainer.loggers, results, sheet)
    return read_results(folder.path)


if __name__ == "__main__":
    sys.exit(main())
