"""How far reconstructions lie from face scans: MICC, its stand-in, or any other scans.

    python evaluation/micc.py ckpt.ckpt --data DIR
    python evaluation/micc.py --meshes DIR --data micc:DIR --protocol all

Videos' frames are detected, described by the encoder and averaged; one face is decoded for each video and
scored against the subject's scan under a published protocol. Another method's meshes (OBJ, PLY or GLB, any
topology and unit) are scored in the same way. Beside them stand the morphable model's mean, a random face and
the model fitted to the scan itself. With --groups the mean errors by group, too.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from datamodules.alignment.crops import Selection
from datamodules.alignment.detection import DetectorName
from evaluation.groups.options import Groups, settings_of_groups, sources_of
from evaluation.metrics.group_means import LEAST_PEOPLE
from evaluation.metrics.scan_protocols import Scaling
from evaluation.reporting.results import Results, plain
from evaluation.scans.evaluation import KINDS, ScanEvaluation
from evaluation.scans.methods import Average
from evaluation.scans.table_1 import LAYOUT
from evaluation.shared.dashboard_run import publish
from evaluation.shared.data_places import notice, place_of
from evaluation.shared.lifecycle import checked_folder, evaluate, exit_status
from evaluation.shared.scored_method import what_is_scored
from lightning_modules.dashboard import PROJECT
from lightning_modules.faces.mesh_files.units import Unit
from lightning_modules.plain.command_line import run_command
from lightning_modules.plain.devices import chosen_device

# Options that the result does not depend on.
NO_SETTINGS = {
    "checkpoint", "meshes", "also", "data", "output", "overwrite", "device", "cache_folder", "workers",
    "heat_maps", "show", "wandb", "project", "progress", "subjects", "groups", "group_columns",
    "smallest_group",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; the exit status is 0, or 1 where a score is missing."""
    return exit_status(run_command(micc, argv, positional=False, leading="checkpoint"))


def micc(
    *,
    checkpoint: Path | None = None,
    meshes: Path | None = None,
    also: list[Path] | None = None,
    data: str | None = None,
    protocol: str = "genova",
    scale: Scaling | None = None,
    radius_mm: float | None = None,
    radius_overrides_mm: dict[int, float] | None = None,
    frames: int | Literal["all"] = "all",
    average: Average = "embeddings",
    subjects: int | None = None,
    unit: Unit = "auto",
    scan_unit: Unit = "auto",
    landmarks: Path | None = None,
    mesh_landmarks: Path | None = None,
    method: str | None = None,
    morphable_model: str | None = None,
    encoder_weights: Path | None = None,
    detector: DetectorName = "yunet",
    faces: Selection = "largest",
    groups: tuple[str, ...] = (),
    group_columns: tuple[str, ...] = (),
    smallest_group: int = LEAST_PEOPLE,
    heat_maps: int = 4,
    show: bool = False,
    seed: int = 0,
    wandb: bool = False,
    project: str = PROJECT,
    output: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    cache_folder: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Results:
    """Distances between reconstructions and scans in mm, in results.json, tables, curves and heat-maps.

    Args:
        checkpoint: of ablations/run.py; may come first, without its name.
        meshes: a folder of another method's meshes instead: <subject>.obj, or one for each condition as
            <subject>/<condition>.obj or <condition>/<subject>.obj; .ply and .glb as well.
        also: more such folders, scored beside.
        data: micc:DIR (or DIR), scans:DIR, or stand-in; by default what MICC_DIR or the configuration file
            names, else the stand-in.
        protocol: genova, tran, ganfit, deng, now, fg2018, or all of them.
        scale: isotropic, global or none instead of the protocol's own.
        radius_mm: of the crop around the nose tip instead of the protocol's own.
        radius_overrides_mm: another radius for some subjects, by their number, as {28: 60}.
        frames: of each video, so many evenly spread, or all.
        average: embeddings (decoded once), coefficients or meshes.
        subjects: the first so many; all by default, 12 of the stand-in.
        unit: of the meshes: mm, cm, m, or auto, which guesses from their size; .glb is in metres anyway.
        scan_unit: of the scans, likewise.
        landmarks: a folder of the scans' landmark files, where they lie neither beside the scans nor in
            MICC_landmarks (landmarks, with other scans).
        mesh_landmarks: a landmark file of the meshes' shared topology (68, 51, 8 or 7 vertex ids).
        method: its name in tables; the checkpoint's or folder's name by default.
        morphable_model: where the checkpoint's does not lie in its place; of the baselines beside meshes.
        encoder_weights: the encoder's weight file, where it does not lie in its usual place.
        detector: yunet or mtcnn; finds faces in frames, and landmarks where there are none.
        faces: which face of a frame.
        groups: show mean errors by group, too: a CSV file (a header; a subject's name, then labels such as
            sex or age; numbers in a column named age are put in bands), or skin-tone (of the cheeks in the
            first condition's footage), or both, separated by a blank.
        group_columns: which of the file's labels, such as sex age; all if not given.
        smallest_group: groups of fewer people are shown but not compared.
        heat_maps: of so many subjects.
        show: open scan, mesh and heat-map of the first subject in a window (extra open3d).
        seed: of the random faces and the stand-in.
        wandb: add numbers and figures to the checkpoint's run.
        project: of W&B.
        output: folder of the results; runs/micc/<digest of the settings> by default.
        overwrite: compute anew although the output folder is finished.
        device: auto (a GPU where there is one), cpu, cuda, or cuda:1.
        cache_folder: root of all caches; the user's cache folder if not given.
        workers: processes; all cores by default.
        progress: whether to show bars.
    """
    device = str(chosen_device(device))
    options = dict(locals())
    scored = what_is_scored(checkpoint, meshes, None, method=method)
    place = place_of(data, KINDS)
    by_group = Groups(groups, group_columns, smallest_group)
    sources = sources_of(by_group)
    run = ScanEvaluation(scored, place, options, sources)
    settings = plain(
        {name: value for name, value in options.items() if name not in NO_SETTINGS}
        | scored.settings()
        | settings_of_groups(by_group, sources)
        | {"data": str(place), "subjects": run.limit, "also": [str(folder) for folder in also or ()]}
    )
    where: dict[str, Any] = {"inputs": run.inputs, "output": output, "overwrite": overwrite}
    checked_folder("micc", settings, **where)
    if not place.is_stand_in:
        run.subjects  # noqa: B018 - missing data is told before anything is written
    content = run.reconstructor.content if wandb and scored.kind == "checkpoint" else None
    results = evaluate(
        "micc",
        settings,
        lambda folder: run.report(folder, settings),
        **where,
        layout=LAYOUT,
        notice=notice(place),
        publish=(lambda results, folder: publish(results, folder, content, project)) if wandb else None,
    )
    if show:
        run.show()
    return results


if __name__ == "__main__":
    sys.exit(main())
