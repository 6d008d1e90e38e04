"""Landmarks of the open model against a face detector's points, the detector's own bias taken off.

Run from the repository's root: `python -m benchmarks.landmarks --ict FaceXModel --scan LeePerrySmith`. It
writes landmarks.md beside itself. The landmarks were marked before any detector was run, and are never moved
towards one. The detector's bias is what it says where landmarks are known independently
(`detector_offsets.py`), the mean over both sources.

The detector pulls a face's proportions towards a usual face's, so its bias depends on them. It is taken off
twice: as it is on faces of the model's proportions, and as one constant, from the sources as they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.detector_offsets import (
    CORNERS,
    LOOKS,
    MOUTH,
    NOSE,
    POINTS,
    SIX_LANDMARKS,
    SIZE,
    YAWS,
    Measured,
    Source,
    heights_of,
    ict_sources,
    measured,
    scan_source,
    seven_points,
    source_of,
    with_foremost_nose,
)
from benchmarks.morphable_model import machine
from lightning_modules.faces.landmarks.ibug import GROUPS as LANDMARK_GROUPS
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import PositiveInt, SeedInt

RESULTS = Path(__file__).with_suffix(".md")
GROUPS = {  # points, bound
    "eyes, corners": (CORNERS, 0.05),
    "eyes, six landmarks": (SIX_LANDMARKS, 0.05),
    "nose": (NOSE, 0.08),
    "mouth corners": (MOUTH, 0.08),
}
LEAST_FOUND = 0.99
MISPLACED = 0.1  # of the interocular distance, where the power to see a misplaced mark is tried
AT_OURS, CONSTANT = "at the model's proportions", "constant"


class Seen(NamedTuple):
    """A source as it is, with its nose and mouth half-way to our heights, and at them."""

    own: Measured
    half_way: Measured
    at_ours: Measured


@dataclass(frozen=True)
class Measurement:
    """What is measured.

    Attributes:
        ict: ICT-FaceKit's FaceXModel folder, whose own landmarks measure the detector's bias.
        scan: folder of Lee Perry-Smith's head scan, whose marked landmarks measure it too.
        samples: random faces of the open model.
        seed: of these faces.
        bias_samples: random faces of ICT-FaceKit.
    """

    ict: Path
    scan: Path
    samples: PositiveInt = 100
    seed: SeedInt = 0
    bias_samples: PositiveInt = 40


def measure(asked: Measurement) -> None:
    """Render random faces, find them with YuNet, and compare its points with ours."""
    ict, scan, samples, seed, bias_samples = astuple(asked)
    model = load_morphable_model("open")
    faces = source_of(model, samples, seed)
    ours = measured(faces)
    mean = model.neutral_mean.view(1, -1, 3)
    heights = heights_of(seven_points(with_foremost_nose(model).on(mean)))[0]
    filed, foremost = ict_sources(ict, bias_samples, seed)
    target = seven_points(model.landmarks.on(mean))[0]
    sources = {"ICT": foremost, "scan": scan_source(scan, target, faces.cameras)}
    seen = {name: seen_towards(source, heights) for name, source in sources.items()}
    biases = {
        AT_OURS: mean_bias(each.at_ours for each in seen.values()),
        CONSTANT: mean_bias(each.own for each in seen.values()),
    }
    single = {"ICT, its own landmark as nose tip": measured(filed)}
    for name, each in seen.items():
        single |= {name: each.own, f"{name}, half-way": each.half_way, f"{name}, our heights": each.at_ours}
    lines = [
        "# Landmarks of the open model against YuNet",
        "",
        machine("benchmarks.landmarks"),
        "",
        f"{samples} random faces of {model.provenance.name}, {SIZE} px, {len(LOOKS)} looks each, in units of "
        "the interocular distance. The detector's bias is the mean of that on "
        f"{bias_samples} faces of ICT-FaceKit and that on a head's scan and its mirror image.",
        "",
        *found_table(ours),
        *verdict(ours.offsets, biases, model),
        *pull_table({"open model": ours} | single, seen),
        *control_table(seen),
        *power_table(ours.offsets, biases, sources.values(), heights),
        *remains_table(ours.offsets, biases, {"open model": ours} | single),
        *source_table(ours.offsets, single),
    ]
    for name, bias in biases.items():
        lines += distance_table(name, ours.offsets, bias)
    for name, each in ({"open model": ours} | single).items():
        lines += bias_table(name, each)
    RESULTS.write_text("\n".join(lines) + "\n")
    print(RESULTS.read_text())


def seen_towards(source: Source, heights: NDArray[np.float64]) -> Seen:
    """A source's faces on their way to `heights` [2]."""
    own = measured(source)
    half_way = (own.heights.mean(0) + heights) / 2
    return Seen(own, measured(source, half_way), measured(source, heights))


def mean_bias(sources: Iterable[Measured]) -> NDArray[np.float64]:
    """The mean [Y, 7, 2] of several sources' biases, each counted once."""
    return np.mean([source.bias() for source in sources], axis=0)


def mean_distance(offsets: NDArray[np.float64], points: list[int]) -> float:
    """Mean length of offsets over samples, yaws and some of the points."""
    return float(np.nanmean(np.linalg.norm(offsets[..., points, :], axis=-1)))


def found_table(ours: Measured) -> list[str]:
    """Share of faces found at each yaw."""
    rows = [
        [f"{yaw:+.0f}", f"{share:.0%}", _held(share >= LEAST_FOUND)]
        for yaw, share in zip(YAWS, ours.found(), strict=True)
    ]
    return table(["yaw, degrees", "found", "at least 99 %"], rows)


def verdict(
    offsets: NDArray[np.float64], biases: dict[str, NDArray[np.float64]], model: MorphableModel
) -> list[str]:
    """Mean distances after each bias and without one, whether the bounds hold, and which rule came first."""
    none = {"none taken off": np.zeros_like(offsets[0])}
    return [
        "The detector's bias is a function of a face's proportions: it pulls a nose, and less a mouth, to "
        "the height that they have in a usual face. Mean distance over samples and yaws after that bias, "
        "taken where it is on faces of the model's proportions; after the mean bias of the sources as they "
        "are, as if it were one constant; and without either:",
        "",
        *table(["bias", *titles()], [[name, *judged(offsets - b)] for name, b in (biases | none).items()]),
        "The rule fixed before anything was measured was the constant, with eyes by six landmarks. The bias "
        "at the model's proportions, and eyes by their corners, were chosen after its figures were known, "
        "for the reasons below.",
        "",
        "Eyes by their corners: the scan's eyes are closed. Closing an eye lowers the mean of its six "
        f"landmarks by a third of the lid opening, {lid_opening(model) / 3:.3f} on our mean face, and leaves "
        "its corners (the canthi) where they are; so their middle is the eye's place in all three kinds of "
        "face, and heights are measured from it.",
        "",
    ]


def lid_opening(model: MorphableModel) -> float:
    """How far the right eye of a model's mean face is open, in interocular distances."""
    points = model.landmarks.on(model.neutral_mean.view(1, -1, 3))
    lids = points[0, list(LANDMARK_GROUPS["right_eye"]), 1]
    right, left = seven_points(points)[0, SIX_LANDMARKS]
    return float((lids[1:3].mean() - lids[4:].mean()) / (right - left).norm())


def pull_table(faces: dict[str, Measured], seen: dict[str, Seen]) -> list[str]:
    """How the detector's heights of nose and mouth follow the true ones, seen from the front."""
    rows = []
    for name, each in faces.items():
        true, answered = each.heights, detected_heights(each)
        cells = []
        for part in (0, 1):
            slope = np.polyfit(true[:, part], answered[:, part], 1)[0] if len(true) > 2 else np.nan
            cells += [f"{true[:, part].mean():.3f}", f"{answered[:, part].mean():.3f}", _slope(slope)]
        rows.append([name, *cells])
    moved = [[name, *(_slope(slope) for slope in moved_slopes(each))] for name, each in seen.items()]
    header = ["faces", "nose", "detected", "slope", "mouth", "detected", "slope"]
    return [
        "## Why no constant: the same faces with other proportions",
        "",
        "Heights below the eyes' corners at yaw 0, true and detected, and the slope of the detected over the "
        "true one among a source's faces: a detector that measured heights would have a slope of 1, one that "
        "knew only a usual face would have 0. The sources are also shown with their noses and mouths moved "
        "half-way to our mean face's heights, and to them, landmarks and all.",
        "",
        *table(header, rows),
        "The slope when nothing but the heights of the same faces changes, from their own to ours; among "
        "faces, other differences go with the heights:",
        "",
        *table(["faces", "nose", "mouth"], moved),
    ]


def detected_heights(faces: Measured) -> NDArray[np.float64]:
    """Where the detector sees noses and mouths below the eyes at yaw 0, [S, 2]."""
    down = faces.offsets[:, YAWS.index(0.0), :, 1]  # [S, 7]
    eyes = down[:, CORNERS].mean(1)
    return faces.heights + np.stack([down[:, group].mean(1) - eyes for group in (NOSE, MOUTH)], 1)


def moved_slopes(source: Seen) -> NDArray[np.float64]:
    """How far noses and mouths are seen to move, of how far they were moved, [2]."""
    seen = (detected_heights(source.at_ours) - detected_heights(source.own)).mean(0)
    return seen / (source.at_ours.heights - source.own.heights).mean(0)


def control_table(seen: dict[str, Seen]) -> list[str]:
    """Both rules on faces whose marks are right: one source, at our proportions, by the other's bias."""
    rows = []
    for tested, faces in seen.items():
        (judge,) = (name for name in seen if name != tested)
        for rule, bias in ((AT_OURS, seen[judge].at_ours), (CONSTANT, seen[judge].own)):
            rows.append([tested, judge, rule, *judged(faces.at_ours.offsets - bias.bias())])
    return [
        "## Control: faces of our proportions whose marks are right",
        "",
        "Each source at our heights in the open model's place, by the other source's bias. Nothing of ours "
        "is in it but the heights. Its marks are known, so a rule should let it pass; one source's bias is "
        "a rougher judge than the mean of two.",
        "",
        *table(["faces", "judge", "bias", *titles()], rows),
    ]


def power_table(
    offsets: NDArray[np.float64],
    biases: dict[str, NDArray[np.float64]],
    sources: Iterable[Source],
    heights: NDArray[np.float64],
) -> list[str]:
    """What both rules say of a model whose marks are wrong by MISPLACED."""
    sources = list(sources)
    # Our mean's nose height is that of its foremost vertex, not of the mark; all heights start at the eyes.
    follows = {"eyes, corners": (-1, -1), "nose": (0, 0), "mouth corners": (0, 1)}
    rows, passed = [], []
    for group, follow in follows.items():
        points, bound = GROUPS[group]
        cells: dict[str, list[str]] = {rule: [] for rule in biases}
        for down in (-MISPLACED, 0.0, MISPLACED):
            asked = down * np.array(follow)
            anew = {}
            if asked.any():
                anew[AT_OURS] = mean_bias(measured(source, heights + asked) for source in sources)
            for rule, bias in (biases | anew).items():
                distance = mean_distance(offsets - np.array([0, down]) - bias, points)
                cells[rule].append(_figure(distance, bound))
                if down and distance <= bound:
                    passed.append(f"{group} {MISPLACED} {'lower' if down > 0 else 'higher'} ({rule})")
        rows += [[group, rule, *figures] for rule, figures in cells.items()]
    return [
        "## Power: would a misplaced mark be seen?",
        "",
        "The same figures if our marks lay elsewhere. The model's nose is as high as the foremost point of "
        "its mesh, whatever its mark, so the bias at its proportions stays. The height of its mouth, and "
        "that of its eyes, from which the others are measured, are known by the marks alone: for those the "
        "sources are brought to the wrong heights too and measured anew, and an error is seen only by the "
        "slope above. The constant sees every error in full.",
        "",
        *table(
            ["marks", "bias", f"{MISPLACED} higher", "as they are", f"{MISPLACED} lower"],
            rows,
        ),
        f"Not seen: {', '.join(passed) or 'none of them'}.",
        "",
    ]


def remains_table(
    offsets: NDArray[np.float64], biases: dict[str, NDArray[np.float64]], faces: dict[str, Measured]
) -> list[str]:
    """The two parts of the distance: a mean offset that a bias leaves, and scatter over the faces."""
    rows = []
    for name, bias in biases.items():
        left = np.linalg.norm(np.nanmean(offsets, axis=0) - bias, axis=-1)  # [Y, 7]
        rows.append([f"left by the bias {name}", *(f"{left[:, p].mean():.3f}" for p, _ in GROUPS.values())])
    for name, each in faces.items():
        scatter = each.offsets - each.bias()
        rows.append([f"scatter on {name}", *(f"{mean_distance(scatter, p):.3f}" for p, _ in GROUPS.values())])
    return [
        "## In detail",
        "",
        "The distance's two parts: the mean offset that a bias leaves, averaged over yaws, and the scatter "
        "of single faces about their own kind's mean offset, which no bias takes off:",
        "",
        *table(["part", *GROUPS], rows),
    ]


def source_table(offsets: NDArray[np.float64], sources: dict[str, Measured]) -> list[str]:
    """Mean distances after each single source's bias."""
    rows = [[name, *judged(offsets - source.bias())] for name, source in sources.items()]
    return ["Mean distance by the bias on each source alone:", "", *table(["bias on", *titles()], rows)]


def distance_table(title: str, offsets: NDArray[np.float64], bias: NDArray[np.float64]) -> list[str]:
    """Mean distance of each point before and after a bias is taken off, by yaw and over all."""
    raw = np.nanmean(np.linalg.norm(offsets, axis=-1), axis=0)  # [Y, 7]
    free = np.nanmean(np.linalg.norm(offsets - bias, axis=-1), axis=0)
    header = ["point", *(title for yaw in YAWS for title in (f"{yaw:+.0f} raw", f"{yaw:+.0f}")), "all"]
    rows = [
        [name, *(f"{value:.3f}" for pair in zip(before, after, strict=True) for value in pair),
         f"{after.mean():.3f}"]
        for name, before, after in zip(POINTS, raw.T, free.T, strict=True)
    ]  # fmt: skip
    return [f"Mean distance by point and yaw, raw and after the bias {title}:", "", *table(header, rows)]


def bias_table(name: str, faces: Measured) -> list[str]:
    """Mean offset of the detector's points from some faces' landmarks, by yaw."""
    found = ", ".join(f"{share:.0%} at {yaw:+.0f}" for yaw, share in zip(YAWS, faces.found(), strict=True))
    rows = [
        [point, *(f"{x:+.3f} {y:+.3f}" for x, y in by_yaw)]
        for point, by_yaw in zip(POINTS, faces.bias().swapaxes(0, 1), strict=True)
    ]
    return [
        f"The detector's mean offset, x right and y down, on {len(faces.offsets)} faces of: {name} "
        f"(found: {found}).",
        "",
        *table(["point", *(f"{yaw:+.0f}" for yaw in YAWS)], rows),
    ]


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table and the empty one after it."""
    written = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return [written[0], "|---" * len(header) + "|", *written[1:], ""]


def titles() -> list[str]:
    """Column titles of `judged`."""
    return [f"{group}, at most {bound:.2f}" for group, (_, bound) in GROUPS.items()]


def judged(offsets: NDArray[np.float64]) -> list[str]:
    """The mean distance of each group and whether its bound holds."""
    return [_figure(mean_distance(offsets, points), bound) for points, bound in GROUPS.values()]


def _figure(distance: float, bound: float) -> str:
    return f"{distance:.3f} {_held(distance <= bound)}"


def _held(held: bool) -> str:
    return "held" if held else "MISSED"


def _slope(slope: float) -> str:
    return "" if np.isnan(slope) else f"{slope:.2f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and measure."""
    with one_sentence_for_bad_input():
        (asked,) = parse_settings(
            (Measurement,), argv, program="landmarks.py", description=str(measure.__doc__)
        )
        measure(asked)


if __name__ == "__main__":
    main()
