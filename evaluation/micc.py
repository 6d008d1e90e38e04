"""How far reconstructions lie from face scans: MICC, its stand-in, NoW, FG2018, or any other scans.

    python evaluation/micc.py ckpt.ckpt --data DIR
    python evaluation/micc.py --meshes DIR --data micc:DIR --protocol all
    python evaluation/micc.py ckpt.ckpt --data now:DIR

Videos' frames are detected, described by the encoder and averaged; one face is decoded for each video and
scored against the subject's scan under a published protocol. Another method's meshes (OBJ, PLY or GLB, any
topology and unit) are scored in the same way. Beside them stand the morphable model's mean, a random face and
the model fitted to the scan itself. With --groups the mean errors by group, too.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from evaluation.groups.options import settings_of_groups, sources_of
from evaluation.reporting.results import Results, plain
from evaluation.reporting.tables import Layout
from evaluation.scans.data_kinds import KINDS, default_protocol
from evaluation.scans.evaluation import ScanEvaluation
from evaluation.scans.options import GROUPS_OF_OPTIONS, ScanEvaluationOptions
from evaluation.scans.submission import LAYOUT as SUBMISSION_LAYOUT
from evaluation.scans.submission import require_whole
from evaluation.scans.table_1 import LAYOUT, PHOTOGRAPHS_LAYOUT
from evaluation.shared.data_places import notice, place_of
from evaluation.shared.lifecycle import checked_folder, evaluate, exit_status
from evaluation.shared.scored_method import what_is_scored
from lightning_modules.checkpoints import load_regressor
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; the exit status is 0, or 1 where a score is missing."""
    with one_sentence_for_bad_input():
        options = parse_settings(
            GROUPS_OF_OPTIONS, argv, program="micc.py", description=str(__doc__), leading="checkpoint"
        )
        return exit_status(micc(ScanEvaluationOptions(*options)))


def micc(options: ScanEvaluationOptions) -> Results:
    """Distances between reconstructions and scans in mm, in results.json, tables, curves and heat-maps."""
    options = replace(options, machine=options.machine.resolved())
    scored = what_is_scored(
        options.scored.checkpoint, options.scored.meshes, None, method=options.scored.method
    )
    place, sources = place_of(options.scans.data, tuple(KINDS)), sources_of(options.groups)
    if options.protocol.protocol is None:
        options = replace(options, protocol=replace(options.protocol, protocol=default_protocol(place.kind)))
    run = ScanEvaluation(scored, place, options, sources)
    settings = plain(
        options.settings()
        | scored.settings()
        | settings_of_groups(options.groups, sources)
        | {"data": str(place), "subjects": run.limit}
        | {"also": [str(folder) for folder in options.scored.also or ()]}
    )
    folder = checked_folder("micc", settings, inputs=run.inputs, output=options.output)
    run.check()
    if run.for_submission and not options.output.overwrite:
        require_whole(folder.path)
    is_published = options.dashboard.wandb and scored.kind == "checkpoint"
    published = load_regressor(scored.path)[1] if is_published else None
    results = evaluate(
        "micc",
        settings,
        lambda folder: run.report(folder, settings),
        inputs=run.inputs,
        output=options.output,
        layout=layout_of(run),
        notice=notice(place),
        dashboard=options.dashboard,
        checkpoint=published,
    )
    if options.pictures.show:
        run.show()
    return results


def layout_of(run: ScanEvaluation) -> Layout:
    """How the tables look."""
    if run.for_submission:
        return SUBMISSION_LAYOUT
    return PHOTOGRAPHS_LAYOUT if run.by_photograph else LAYOUT


if __name__ == "__main__":
    sys.exit(main())
