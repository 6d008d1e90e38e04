"""The validity certificate: does a protocol's score rank reconstructions as their true errors do?

    python evaluation/validity.py

Scan protocols measure to closest points, after an alignment by closest points: what they print is not how far
a reconstruction is from the truth. Here the truth is known. Synthetic subjects of the morphable model are
scanned, and reconstructions that are wrong in six ways, by graded amounts, alike in their true error over the
ways, are scored under every protocol. For each protocol: the rank correlation of its score with the true
error, its bias in mm, and how far apart its scores of equally wrong reconstructions lie.

M3DFB (2025) and REALY (2022) found that closest-point scores can rank methods wrongly.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import pandas as pd
from rich.progress import track

from evaluation.known_truth.certificate_figure import validity_figure
from evaluation.known_truth.certificate_rows import protocol_rows
from evaluation.known_truth.wrong_reconstructions import (
    KINDS,
    FaceModel,
    SyntheticPerson,
    face_model,
    make_subject,
    reconstruction,
)
from evaluation.metrics.scan_protocols import PROTOCOLS
from evaluation.metrics.scan_score import prepare_scan, score_protocols
from evaluation.metrics.true_error import true_error_mm
from evaluation.reporting.blocks import blocks_by_protocol
from evaluation.reporting.provenance import model_entry, provenance
from evaluation.reporting.results import Counts, Results
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import Output, settings_of_options
from lightning_modules.faces.loading import load_morphable_model, place_of_model
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.failures import counted_by_kind
from lightning_modules.plain.files import write_whole
from lightning_modules.plain.number_types import AtLeastTwo, PositiveFinite, SeedInt
from lightning_modules.plain.output_folder import OutputFolder

COLUMNS = [
    "subject", "kind", "level_mm", "protocol", "score_mm", "failure", "kept_fraction", "shape_error_mm",
    "size_error_mm", "reference_mm",
]  # fmt: skip
LEVELS_MM = (0.5, 1.0, 1.5, 2.0, 3.0)
LAYOUT = Layout(
    partial(blocks_by_protocol, details=("kept",), corner="Protocol"),
    "scores",
    "standard deviation over subjects",
)
PACKAGES = ("numpy", "scipy", "libigl", "torch")


@dataclass(frozen=True)
class KnownErrors:
    """Which subjects are drawn, and how wrong their reconstructions are.

    Attributes:
        morphable_model: that subjects are drawn from: open, open:2, basel:FILE or another.
        subjects: how many; at least 2.
        levels_mm: true errors of the reconstructions, root mean square in mm.
        seed: of subjects and errors.
    """

    morphable_model: str = "open"
    subjects: AtLeastTwo = 6
    levels_mm: list[PositiveFinite] = field(default_factory=lambda: list(LEVELS_MM))
    seed: SeedInt = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; the exit status is 0, or 1 where a reconstruction could not be scored."""
    with one_sentence_for_bad_input():
        known, output = parse_settings(
            (KnownErrors, Output), argv, program="validity.py", description=str(__doc__)
        )
        return exit_status(certify(known, output))


def certify(known: KnownErrors, output: Output) -> Results:
    """Rank correlation with the true error and bias of every protocol, in results.json."""
    if len(known.levels_mm) < 2:
        raise ValueError(f"--levels-mm must be at least two, got {known.levels_mm}")
    settings = settings_of_options(known)
    return evaluate(
        "validity",
        settings,
        lambda folder: compute(folder, settings),
        inputs=[place_of_model(known.morphable_model)],
        output=output,
        layout=LAYOUT,
    )


def compute(folder: OutputFolder, settings: dict) -> Report:
    """The report; each subject's scores are kept in the folder, where a second start finds them."""
    model = load_morphable_model(settings["morphable_model"], albedo_components=0, expression_components=0)
    faces = face_model(model)
    tables = []
    for number in track(range(settings["subjects"]), "subjects"):
        name = f"subjects/{number:03d}.csv"
        file = folder.path / name
        table = kept_scores(file)
        if table is None:
            subject = make_subject(faces, settings["seed"] + number)
            table = scores_of(subject, faces, settings["levels_mm"], number)
            write_whole(folder.claim(name), table.to_csv(index=False))
            table = kept_scores(file)
        tables.append(table)
    scores = pd.concat(tables, ignore_index=True)
    results = Results(
        command="validity",
        title=f"Scan protocols against known errors: {settings['subjects']} synthetic subjects of the model "
        f"{settings['morphable_model']}",
        settings=settings,
        counts=counted(scores),
        rows=[row for name in PROTOCOLS for row in protocol_rows(scores[scores.protocol == name], name)],
        provenance=provenance(
            packages=PACKAGES,
            morphable_model=model_entry(
                model.provenance.kind,
                model.provenance.name,
                model.provenance.sha256,
                components={"shape": model.components("shape").basis.shape[1]},
            ),
        ),
    )
    return Report(results, {"scores": scores}, {"validity": validity_figure(scores)})


def kept_scores(file: Path) -> pd.DataFrame | None:
    """A subject's scores from a file of an earlier start; None, with a warning, of one that is damaged."""
    if not file.is_file():
        return None
    try:
        table = pd.read_csv(file, keep_default_na=False, na_values=[""])
    except (ValueError, OSError):  # pandas' errors are ValueErrors, too
        table = pd.DataFrame()
    if list(table.columns) == COLUMNS and len(table):
        return table
    print(f"{file} is damaged and is computed again", file=sys.stderr)
    return None


def scores_of(
    subject: SyntheticPerson, faces: FaceModel, levels_mm: Sequence[float], number: int
) -> pd.DataFrame:
    """All protocols' scores of all wrong reconstructions of one subject, a line a score.

    Columns: subject, kind, level_mm, protocol, score_mm, failure, kept_fraction; the true error, root mean
    square, after the best similarity (shape_error_mm) and after the best rigid motion (size_error_mm);
    reference_mm, the shape error by the protocol's own statistic.
    """
    scan, protocols, lines = prepare_scan(subject.scan), list(PROTOCOLS.values()), []
    for kind in KINDS:
        for level in levels_mm:
            mesh, vertices = reconstruction(subject, faces, kind, level, seed=number)
            errors = {
                "shape_error_mm": true_error_mm(vertices, subject.truth),
                "size_error_mm": true_error_mm(vertices, subject.truth, scaled=False),
            }
            for protocol, score in zip(protocols, score_protocols(scan, mesh, protocols), strict=True):
                lines.append(
                    {"subject": number, "kind": kind, "level_mm": level, "protocol": protocol.name}
                    | {"score_mm": score.value_mm, "failure": score.failure}
                    | {"kept_fraction": score.kept_fraction}
                    | errors
                    | {"reference_mm": true_error_mm(vertices, subject.truth, statistic=protocol.statistic)}
                )
    return pd.DataFrame(lines)


def counted(scores: pd.DataFrame) -> Counts:
    """How many scores there are, and why some are not."""
    failed = counted_by_kind(scores.failure.dropna())
    return Counts(len(scores), len(scores) - sum(failed.values()), failed)


if __name__ == "__main__":
    sys.exit(main())
