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
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from evaluation.groups.options import settings_of_groups, sources_of
from evaluation.reporting.results import Results, plain
from evaluation.scans.evaluation import KINDS, ScanEvaluation
from evaluation.scans.options import GROUPS_OF_OPTIONS, ScanOptions
from evaluation.scans.table_1 import LAYOUT
from evaluation.shared.dashboard_run import publish
from evaluation.shared.data_places import notice, place_of
from evaluation.shared.lifecycle import checked_folder, evaluate, exit_status
from evaluation.shared.scored_method import what_is_scored
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.output_folder import OutputFolder


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; the exit status is 0, or 1 where a score is missing."""
    with one_sentence_for_bad_input():
        options = parse_settings(
            GROUPS_OF_OPTIONS, argv, program="micc.py", description=str(__doc__), leading="checkpoint"
        )
        return exit_status(micc(ScanOptions(*options)))


def micc(options: ScanOptions) -> Results:
    """Distances between reconstructions and scans in mm, in results.json, tables, curves and heat-maps."""
    options = replace(options, machine=options.machine.resolved())
    scored = what_is_scored(
        options.scored.checkpoint, options.scored.meshes, None, method=options.scored.method
    )
    place, sources = place_of(options.scans.data, KINDS), sources_of(options.groups)
    run = ScanEvaluation(scored, place, options, sources)
    settings = plain(
        options.settings()
        | scored.settings()
        | settings_of_groups(options.groups, sources)
        | {"data": str(place), "subjects": run.limit}
        | {"also": [str(folder) for folder in options.scored.also or ()]}
    )
    where: dict[str, Any] = {
        "inputs": run.inputs, "output": options.output.output, "overwrite": options.output.overwrite,
    }  # fmt: skip
    checked_folder("micc", settings, **where)
    run.check()
    dashboard = options.dashboard
    content = run.reconstructor.content if dashboard.wandb and scored.kind == "checkpoint" else None

    def publish_to_run(results: Results, folder: OutputFolder) -> str:
        return publish(results, folder, content, dashboard.wandb_project)

    results = evaluate(
        "micc",
        settings,
        lambda folder: run.report(folder, settings),
        **where,
        layout=LAYOUT,
        notice=notice(place),
        publish=publish_to_run if dashboard.wandb else None,
    )
    if options.pictures.show:
        run.show()
    return results


if __name__ == "__main__":
    sys.exit(main())
