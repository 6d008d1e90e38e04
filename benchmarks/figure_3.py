"""What studies of the paper's figure 3 say, as Markdown, with curves and faces as pictures.

    python -m benchmarks.figure_3 --studies suite=runs/figure_3/suite,paper=runs/figure_3/paper

Reads finished studies of `ablations/factorial.py --config ablations/figure_3.yaml`; it trains and measures
nothing. Parts of the report about studies that are not given stay as they are. Of each it writes means and
differences, the smallest effects that its design would have seen, the mean curves of its trainings, and
renderings of the same people by every variant.
"""

import argparse
import io
import json
from pathlib import Path

import pandas as pd
from PIL import Image

from ablations.studies.cell_results import PEOPLE, RUN, curves_of
from ablations.studies.html_report import CURVES, mean_curve
from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.results import read_results
from lightning_modules.contact_sheets import contact_sheet
from lightning_modules.plain.output_file import check_new

REPORT = Path(__file__).with_suffix(".md")
INTRODUCTION = (
    "`python -m benchmarks.figure_3`, of studies by the commands of [docs/studies.md](../docs/studies.md"
    "#the-papers-figure-3): the full method, and without the batch distribution, the loopback loss, and "
    "several views. What it says of the paper: [docs/results.md](../docs/results.md"
    "#what-the-papers-three-losses-do-here)."
)
PICTURES = REPORT.parent / "pictures"
SHOWN = tuple(CURVES)[:4]  # likeness and moments
SIDE, PEOPLE_SHOWN, CURVE_DPI = 150, 6, 80


def main(arguments: list[str] | None = None) -> None:
    """Read the studies, write the report and its pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", required=True, help="NAME=FOLDER,NAME=FOLDER")
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    check_new(options.output, but=REPORT)
    pictures = PICTURES if options.output == REPORT else options.output.parent
    parts = parts_of(options.output)
    for name, place in (item.split("=", 1) for item in options.studies.split(",")):
        parts[name] = "\n".join(study_lines(name, Path(place), pictures, options.output.parent))
    report = "\n".join(["# Figure 3 of the paper", "", INTRODUCTION, "", *parts.values()])
    options.output.write_text(report, encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))


def parts_of(report: Path) -> dict[str, str]:
    """A report's parts by the names of their studies; none if there is no report yet."""
    if not report.is_file():
        return {}
    _, *parts = report.read_text(encoding="utf-8").split("\n## ")
    return {part.split("\n", 1)[0]: f"## {part.rstrip()}\n" for part in parts}


def study_lines(name: str, folder: Path, pictures: Path, beside: Path) -> list[str]:
    """A study's part of the report; its pictures are written.

    Args:
        name: of the study.
        folder: its output folder.
        pictures: where pictures go.
        beside: the folder that links are relative to.
    """
    results = read_results(folder)
    if results.counts.failed:
        raise SystemExit(f"error: {folder} is not finished: {results.counts.failed}")
    means, differences = (pd.read_csv(folder / f"{table}.csv") for table in ("means", "differences"))
    variants = list(means.variant.drop_duplicates())
    seeds = [column.removeprefix("seed_") for column in means.columns if column.startswith("seed_")]
    cells = {variant: [folder / variant / f"seed-{seed}" for seed in seeds] for variant in variants}
    commits = sorted(
        {read_results(cell / RUN).provenance["commit"][:12] for own in cells.values() for cell in own}
    )
    seconds = [
        sum(json.loads((cell / "state.json").read_text(encoding="utf-8"))["seconds"].values())
        for own in cells.values()
        for cell in own
    ]
    curves, faces = pictures / f"figure_3_{name}_curves.png", pictures / f"figure_3_{name}_faces.png"
    curve_sheet(cells).save(curves, optimize=True)
    face_sheet(cells).save(faces, optimize=True)
    return [
        f"## {name}",
        "",
        f"{results.title}. {results.counts.used} cells at commit {', '.join(commits)}; a cell took "
        f"{min(seconds) / 60:.0f} to {max(seconds) / 60:.0f} minutes.",
        "",
        "Mean ± standard deviation over seeds:" if len(seeds) > 1 else "One seed:",
        "",
        *mean_table(means, variants),
        "",
        "Each variant minus full, with its 95 % interval over people and Holm's p; \\* marks what both "
        "resolve. Then the smallest effects that this comparison would see in 80 % of repetitions, over "
        "people / over seeds:",
        "",
        *difference_table(differences),
        "",
        f"![Validation curves]({curves.relative_to(beside).as_posix()})",
        "",
        "*Curves over steps, each the mean over seeds.*",
        "",
        f"![The same people by every variant]({faces.relative_to(beside).as_posix()})",
        "",
        f"*Renderings of {PEOPLE_SHOWN} people's faces, a row a person, seed {seeds[0]}.*",
        "",
    ]


def mean_table(means: pd.DataFrame, variants: list[str]) -> list[str]:
    """Markdown: a row a figure, a column a variant."""
    lines = [f"| | {' | '.join(variants)} |", f"|---|{'---|' * len(variants)}"]
    for heading, rows in means.groupby(headings(means), sort=False):
        of = rows.set_index("variant")
        cells = (mean_cell(of["mean"][v], of.sd_over_seeds[v]) for v in variants)
        lines.append(f"| {heading} | {' | '.join(cells)} |")
    return lines


def mean_cell(mean: float, deviation: float) -> str:
    """A mean with its deviation over seeds, where there is more than one seed."""
    return f"{mean:.4g}" if pd.isna(deviation) else f"{mean:.4g} ± {deviation:.2g}"


def difference_table(differences: pd.DataFrame) -> list[str]:
    """Markdown: a row a figure, a column a variant."""
    variants = list(differences.variant.drop_duplicates())
    lines = [f"| | {' | '.join(variants)} |", f"|---|{'---|' * len(variants)}"]
    for heading, rows in differences.groupby(headings(differences), sort=False):
        lines.append(f"| {heading} | {' | '.join(difference_cell(row) for row in rows.itertuples())} |")
    return lines


def difference_cell(row: object) -> str:
    """A difference with its interval, p and smallest effects."""
    star = "\\*" if row.resolved == "yes" else ""
    p = "p < .001" if row.p_holm < 0.001 else f"p {row.p_holm:.3f}"
    smallest = " / ".join(
        "not known" if pd.isna(value) else f"{value:.2g}"
        for value in (row.smallest_over_people, row.smallest_over_seeds)
    )
    value, low, high = (round(number, 9) for number in (row.value, row.low, row.high))  # sums leave 1e-15
    return f"{value:+.3g}{star} [{low:+.3g}, {high:+.3g}], {p}; {smallest}"


def headings(table: pd.DataFrame) -> pd.Series:
    """What each line of a table measures, for Markdown."""
    stand_in = table.source.str.startswith("stand-in").map({True: "STAND-IN ", False: ""})
    return (stand_in + table.metric).str.replace("|", "\\|", regex=False)


def curve_sheet(cells: dict[str, list[Path]]) -> Image.Image:
    """The mean curves of every variant, two figures beside each other."""
    logged = {variant: [curves_of(cell, list(SHOWN)) for cell in own] for variant, own in cells.items()}
    drawn = []
    for name in SHOWN:
        lines = [
            Line(caption(variant), *mean_curve([of[name] for of in seeds]))
            for variant, seeds in logged.items()
        ]
        figure, _ = line_figure("", "step", CURVES[name], lines, y_from_zero=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=CURVE_DPI)
        drawn.append(Image.open(buffer).convert("RGB"))
    width, height = drawn[0].size
    sheet = Image.new("RGB", (2 * width, 2 * height), "white")
    for number, image in enumerate(drawn):
        sheet.paste(image, (number % 2 * width, number // 2 * height))
    return sheet


def face_sheet(cells: dict[str, list[Path]]) -> Image.Image:
    """Renderings of the same people by every variant, of the first seed."""
    folders = [own[0] / PEOPLE / "renderings" for own in cells.values()]
    names = [file.name for file in sorted(folders[0].glob("*.png"))][:PEOPLE_SHOWN]
    rows = [
        [
            Image.open(folder / name).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            for folder in folders
        ]
        for name in names
    ]
    return contact_sheet(rows, columns=[caption(variant) for variant in cells])


def caption(variant: str) -> str:
    """A variant's name as pictures have room for it, such as `no batch, views`."""
    words = variant.replace("-distribution", "").replace("multi-view", "views").replace("no-", "").split("+")
    return variant if variant == "full" else f"no {', '.join(words)}"


if __name__ == "__main__":
    main()
