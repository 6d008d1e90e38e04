"""Landmarks of the open model against a face detector's five points, the detector's own bias taken off.

Run from the repository's root: `python -m benchmarks.landmarks --ict FaceXModel --scan LeePerrySmith`. It
writes landmarks.md beside itself. The landmarks were marked before any detector was run, and are never moved
towards one. The detector's bias is what it says where landmarks are known independently: on ICT-FaceKit's own
landmark vertices and on a real head's scan (`head_scan.py`). What is judged is the distance after the mean of
both biases, which was decided before either was measured.

The detector pulls a face's proportions towards a usual face's, so its bias depends on them: both sources are
also measured after their noses and mouths were brought to the heights that the open model has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from benchmarks.head_scan import read_head_scan
from benchmarks.morphable_model import machine
from datamodules.detection import Detector, load_detector
from lightning_modules.faces.command_line import run_command
from lightning_modules.faces.landmarks import Landmarks, five_points
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.show import frontal_cameras, studio_lights
from lightning_modules.rendering.camera import Cameras, project
from lightning_modules.rendering.renderer import render

RESULTS = Path(__file__).with_suffix(".md")
YAWS = (0.0, 25.0, -45.0)
POINTS = ("right eye", "left eye", "nose tip", "right mouth corner", "left mouth corner")
GROUPS = {"eyes": ([0, 1], 0.05), "nose": ([2], 0.08), "mouth corners": ([3, 4], 0.08)}  # points, bound
LEAST_FOUND = 0.99
SIZE = 400
NOSE_TIP = 30
# The detector's points depend on how the face lies on its grid, by up to a tenth of the interocular distance:
# each picture is looked at in several scales and places, and its answers are averaged.
LOOKS = tuple((0.5 + 0.07 * index, 11 * index % 32, 19 * index % 32) for index in range(12))
ICT_FILED, ICT_FOREMOST, SCAN = "ICT, nose as filed", "ICT, foremost nose", "scan"
JUDGED_SOURCES = (ICT_FOREMOST, SCAN)
ICT_MATCHED, SCAN_MATCHED = "ICT, our heights", "scan, our heights"
MATCHED_SOURCES = (ICT_MATCHED, SCAN_MATCHED)
MEAN, MEAN_MATCHED = "mean of both (judged)", "mean of both, our heights"
MATCHED_REACH_MM = 40.0  # below the mouth and above the eyes; what lies beyond moves as a whole


class Face(NamedTuple):
    """A face to be drawn: vertices, normals and albedo [1, V, 3], triangles [T, 3]."""

    vertices: Tensor
    triangles: Tensor
    normals: Tensor
    albedo: Tensor


class Sight(NamedTuple):
    """What the detector sees of S faces in Y views.

    Attributes:
        found: [S, Y] whether it found a face in most looks.
        points: [S, Y, 5, 2] its five points in pixels; NaN where it found none.
    """

    found: NDArray[np.bool_]
    points: NDArray[np.float64]


class Measured(NamedTuple):
    """Offsets of the detector on S faces, and these faces' proportions.

    Attributes:
        offsets: [S, Y, 5, 2] detected minus marked, x right and y down, in frontal interocular distances; NaN
            where no face was found.
        heights: [S, 2] how far nose tip and mouth corners lie below the eyes, in interocular distances.
    """

    offsets: NDArray[np.float64]
    heights: NDArray[np.float64]


def measure(
    ict: Path | None = None,
    scan: Path | None = None,
    samples: int = 100,
    seed: int = 0,
    bias_samples: int = 40,
) -> None:
    """Render random faces, find them with YuNet, and compare its five points with ours.

    Args:
        ict: ICT-FaceKit's FaceXModel folder, whose own landmarks measure the detector's bias.
        scan: folder of Lee Perry-Smith's head scan, whose marked landmarks measure it too.
        samples: random faces of the open model.
        seed: of these faces.
        bias_samples: random faces of ICT-FaceKit.
    """
    model = load_morphable_model("open")
    cameras = yawed_cameras(model)
    vertices, albedo = random_faces(model, samples, seed)
    sight = seen(faces_of(model, vertices, albedo), cameras)
    ours = measured(sight, five_points(model.landmarks.on(vertices)), cameras)
    mean = model.neutral_mean.view(1, -1, 3)
    heights = heights_of(five_points(with_foremost_nose(model).on(mean)))[0]
    sources = {} if ict is None else ict_offsets(ict, bias_samples, seed, heights)
    if scan is not None:
        sources |= scan_offsets(scan, five_points(model.landmarks.on(mean))[0], cameras, heights)
    biases = {name: np.nanmean(source.offsets, axis=0) for name, source in sources.items()}
    for title, names in ((MEAN, JUDGED_SOURCES), (MEAN_MATCHED, MATCHED_SOURCES)):
        if all(name in biases for name in names):
            biases[title] = np.mean([biases[name] for name in names], axis=0)
    lines = [
        "# Landmarks of the open model against YuNet",
        "",
        machine("benchmarks.landmarks"),
        "",
        f"{samples} random faces of {model.provenance.name}, {SIZE} px, {len(LOOKS)} looks each, in units of "
        "the interocular distance.",
        "",
        *found_table(sight),
        *judged_table(ours.offsets, biases),
        *remains_table(ours.offsets, biases, sources),
        *pull_table({"open model": ours} | sources),
        *reading(ours.offsets, biases),
    ]
    for name in (MEAN, MEAN_MATCHED):
        if name in biases:
            lines += distance_table(name, ours.offsets, biases[name])
    for name, source in ({"open model": ours} | sources).items():
        lines += bias_table(name, source.offsets)
    RESULTS.write_text("\n".join(lines) + "\n")
    print(RESULTS.read_text())


def yawed_cameras(model: MorphableModel) -> Cameras:
    """Cameras [1, Y] around the model's mean face."""
    return Cameras(*(part.transpose(0, 1) for part in frontal_cameras(model, torch.tensor(YAWS), SIZE)))


@torch.no_grad()
def random_faces(model: MorphableModel, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Vertices and albedo [S, V, 3] of random neutral faces."""
    drawn = model.sample(samples, torch.Generator().manual_seed(seed))
    return model.vertices(drawn.shape), model.albedo(drawn.albedo)


def faces_of(model: MorphableModel, vertices: Tensor, albedo: Tensor) -> Iterator[Face]:
    """A model's meshes one by one."""
    for shape, colours in zip(vertices[:, None], albedo[:, None], strict=True):
        yield Face(shape, model.triangles, model.normals(shape), colours)


def ict_offsets(folder: Path, samples: int, seed: int, heights: NDArray[np.float64]) -> dict[str, Measured]:
    """Offsets from ICT-FaceKit's own landmarks, its nose tip as filed and at its foremost point.

    Also on the same faces with nose and mouth at the given heights. They wear the open model's albedo, having
    none of their own.
    """
    model = load_morphable_model(f"ict:{folder}", ict_subset="face+eyes", ict_albedo="open")
    cameras = yawed_cameras(model)
    vertices, albedo = random_faces(model, samples, seed)
    sight = seen(faces_of(model, vertices, albedo), cameras)
    foremost = with_foremost_nose(model)
    points = five_points(foremost.on(vertices))
    moved = brought_to(heights, points.mean(0))(vertices)
    matched = seen(faces_of(model, moved, albedo), cameras)
    return {
        ICT_FILED: measured(sight, five_points(model.landmarks.on(vertices)), cameras),
        ICT_FOREMOST: measured(sight, points, cameras),
        ICT_MATCHED: measured(matched, five_points(foremost.on(moved)), cameras),
    }


def with_foremost_nose(model: MorphableModel) -> Landmarks:
    """A model's landmarks, the nose tip moved along the midline to the mean face's foremost point.

    That point, the top of a parabola through the foremost vertex and its neighbours, is what anatomy calls
    pronasale when the head is in the Frankfort horizontal. It is kept as a mean of two vertices.
    """
    landmarks, mean = model.landmarks, model.neutral_mean.view(-1, 3)
    tip = landmarks.on(mean[None])[0, NOSE_TIP]
    midline = ((mean - tip).norm(dim=1) < 8) & ((mean[:, 0] - tip[0]).abs() < 0.3)
    ids = midline.nonzero().flatten()
    ids = ids[mean[ids, 1].argsort()]
    middle = int(mean[ids, 2].argmax())
    three = ids[middle - 1 : middle + 2]
    heights, depths = mean[three, 1].double().numpy(), mean[three, 2].double().numpy()
    square, linear, _ = np.polyfit(heights - heights[1], depths, 2)
    top = -linear / (2 * square)
    other = 2 if top > 0 else 0
    share = top / (heights[other] - heights[1])
    vertex_ids, weights = landmarks.vertex_ids.clone(), landmarks.weights.clone()
    vertex_ids[NOSE_TIP] = three[[1, other, 1]]
    weights[NOSE_TIP] = torch.tensor([1 - share, share, 0.0])
    return Landmarks(vertex_ids, weights, landmarks.sources)


def scan_offsets(
    folder: Path, target: Tensor, cameras: Cameras, heights: NDArray[np.float64]
) -> dict[str, Measured]:
    """Offsets from the marks on the head scan and on its mirror image, as it is and with the given heights.

    Args:
        folder: of the scan.
        target: [5, 3] five points, in mm, on which the scan is placed.
        cameras: [1, Y].
        heights: [2], of `heights_of`.
    """
    scan = read_head_scan(folder)
    scale = (target[1] - target[0]).norm() / (scan.points[1] - scan.points[0]).norm()
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    sources = {}
    for name in (SCAN, SCAN_MATCHED):
        faces, points = [], []
        for side, order in ((torch.ones(3), [0, 1, 2, 3, 4]), (mirror, [1, 0, 2, 4, 3])):
            marks = scale * side * scan.points[order]
            shift = target.mean(0) - marks.mean(0)
            move = brought_to(heights, marks + shift) if name == SCAN_MATCHED else torch.Tensor.clone
            vertices = move(scale * side * scan.vertices + shift)
            faces.append(
                Face(vertices[None], scan.triangles, (side * scan.normals)[None], scan.colours[None])
            )
            points.append(move(marks + shift))
        sources[name] = measured(seen(faces, cameras), torch.stack(points), cameras)
    return sources


def heights_of(points: Tensor) -> NDArray[np.float64]:
    """How far nose tip and mouth corners lie below the eyes of points [S, 5, 3], in eye distances, [S, 2]."""
    below = points[:, :2, 1].mean(1, keepdim=True) - points[..., 1]  # [S, 5]
    heights = torch.stack([below[:, 2], below[:, 3:].mean(1)], 1)
    return (heights / (points[:, :1] - points[:, 1:2]).norm(dim=-1)).double().numpy()


def brought_to(heights: NDArray[np.float64], points: Tensor) -> Callable[[Tensor], Tensor]:
    """A smooth monotone change of y that brings the nose and mouth of `points` [5, 3] to `heights` [2].

    The eyes' height stays, and so do x and z.
    """
    interocular = float((points[0] - points[1]).norm())
    eyes, nose, mouth = float(points[:2, 1].mean()), float(points[2, 1]), float(points[3:, 1].mean())
    old = np.array([mouth, nose, eyes])
    new = np.array([eyes - heights[1] * interocular, eyes - heights[0] * interocular, eyes])
    low, high = old[0] - MATCHED_REACH_MM, old[2] + MATCHED_REACH_MM
    curve = PchipInterpolator([low, *old, high], [new[0] - MATCHED_REACH_MM, *new, new[2] + MATCHED_REACH_MM])

    def moved(vertices: Tensor) -> Tensor:
        y = vertices[..., 1].double().numpy()
        inside = np.clip(y, low, high)
        changed = torch.from_numpy(curve(inside) + y - inside).to(vertices)
        return torch.stack([vertices[..., 0], changed, vertices[..., 2]], -1)

    return moved


@torch.no_grad()
def seen(faces: Iterable[Face], cameras: Cameras) -> Sight:
    """What the detector sees of faces through cameras [1, Y]."""
    detect = load_detector("yunet")
    found, points = [], []
    for face in faces:
        images = render(
            *face,
            cameras,
            studio_lights(cameras),
            (SIZE, SIZE),
            background=torch.full((3, 1, 1), 0.5),
            samples_per_axis=2,
        )
        pictures = (images[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        looks = [_looks(detect, np.ascontiguousarray(picture)) for picture in pictures]
        certain = [len(each) > len(LOOKS) / 2 for each in looks]
        found.append(certain)
        missing = np.full((5, 2), np.nan)
        points.append(
            [np.mean(a, axis=0) if sure else missing for a, sure in zip(looks, certain, strict=True)]
        )
    return Sight(np.array(found), np.array(points))


def _looks(detect: Detector, image: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """The five points of the surest face in each look that has one, in the image's own pixels."""
    found = []
    for scale, right, down in LOOKS:
        looked_at = cv2.warpAffine(
            image,
            np.array([[scale, 0, right], [0, scale, down]]),
            (round(SIZE * scale) + 32, round(SIZE * scale) + 32),
            flags=cv2.INTER_AREA,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if detections := detect(looked_at):
            best = max(detections, key=lambda each: each.score)
            found.append((np.asarray(best.points) - (right, down)) / scale)
    return found


def measured(sight: Sight, points: Tensor, cameras: Cameras) -> Measured:
    """The detector's offsets from marked points.

    Args:
        sight: what was detected.
        points: [S, 5, 3] the faces' own five points, in mm.
        cameras: [1, Y], those of the sight.
    """
    projected = project(Cameras(*(part.expand(len(points), *part.shape[1:]) for part in cameras)), points)
    interocular_mm = (points[:, 0] - points[:, 1]).norm(dim=-1)[:, None]  # [S, 1]
    interocular = interocular_mm * cameras.focal_lengths / projected[:, :, :2, 2].mean(-1)  # [S, Y]
    offsets = (sight.points - projected[..., :2].double().numpy()) / interocular.numpy()[..., None, None]
    return Measured(offsets, heights_of(points))


def found_table(sight: Sight) -> list[str]:
    """Share of faces found at each yaw."""
    rows = [
        f"| {yaw:+.0f} | {share:.0%} | {_held(share >= LEAST_FOUND)} |"
        for yaw, share in zip(YAWS, sight.found.mean(0), strict=True)
    ]
    return ["| yaw, degrees | found | at least 99 % |", "|---|---|---|", *rows, ""]


def mean_distance(offsets: NDArray[np.float64], points: list[int]) -> float:
    """Mean length of offsets over samples, yaws and some of the points."""
    return float(np.nanmean(np.linalg.norm(offsets[..., points, :], axis=-1)))


def judged_table(offsets: NDArray[np.float64], biases: dict[str, NDArray[np.float64]]) -> list[str]:
    """Mean distances, raw and after each bias, and whether the bounds hold after it."""
    rows = []
    for name, bias in ({"raw": np.zeros(offsets.shape[1:])} | biases).items():
        cells = []
        for points, bound in GROUPS.values():
            distance = mean_distance(offsets - bias, points)
            cells.append(f"{distance:.3f} {_held(distance <= bound)}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    titles = [f"{group}, at most {bound:.2f}" for group, (_, bound) in GROUPS.items()]
    return [
        "Mean distance over samples and yaws, raw and after a bias was taken off. The judged figure needs "
        "both `--ict` and `--scan`.",
        "",
        "| bias from | " + " | ".join(titles) + " |",
        "|---" * (len(titles) + 1) + "|",
        *rows,
        "",
    ]


def remains_table(
    offsets: NDArray[np.float64],
    biases: dict[str, NDArray[np.float64]],
    sources: dict[str, Measured],
) -> list[str]:
    """The two parts of the distance: a mean offset that a bias leaves, and scatter over the faces."""
    rows = []
    for name in (MEAN, MEAN_MATCHED):
        if name in biases:
            left = np.linalg.norm(np.nanmean(offsets, axis=0) - biases[name], axis=-1)  # [Y, 5]
            cells = " | ".join(f"{left[:, points].mean():.3f}" for points, _ in GROUPS.values())
            rows.append(f"| mean offset left by the {name} | {cells} |")
    scattered = {"open model": offsets} | {name: source.offsets for name, source in sources.items()}
    for name, values in scattered.items():
        scatter = values - np.nanmean(values, axis=0)
        cells = " | ".join(f"{mean_distance(scatter, points):.3f}" for points, _ in GROUPS.values())
        rows.append(f"| scatter on {name} | {cells} |")
    return [
        "Its two parts: the mean offset that a bias leaves, averaged over yaws, and the scatter of single "
        "faces about their own model's mean offset, which no bias takes off:",
        "",
        "| part | " + " | ".join(GROUPS) + " |",
        "|---" * (len(GROUPS) + 1) + "|",
        *rows,
        "",
    ]


def pull_table(faces: dict[str, Measured]) -> list[str]:
    """How the detector's heights of nose and mouth follow the true ones, seen from the front."""
    rows = []
    for name, (offsets, heights) in faces.items():
        down = offsets[:, YAWS.index(0.0), :, 1]  # [S, 5]
        eyes = down[:, :2].mean(1)
        cells = []
        for true, moved in zip(heights.T, (down[:, 2] - eyes, down[:, 3:].mean(1) - eyes), strict=True):
            found = np.isfinite(moved)
            slope = np.polyfit(true[found], (true + moved)[found], 1)[0] if found.sum() > 2 else np.nan
            seen_at = (true + moved)[found].mean()
            cells += [f"{true.mean():.3f}", f"{seen_at:.3f}", "" if np.isnan(slope) else f"{slope:.2f}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return [
        "Heights below the eyes at yaw 0, true and detected, and the slope of the detected over the true one "
        "among a source's faces: a detector that measured heights would have a slope of 1, one that knew "
        "only a usual face would have 0.",
        "",
        "| faces | nose | detected | slope | mouth | detected | slope |",
        "|---" * 7 + "|",
        *rows,
        "",
    ]


def reading(offsets: NDArray[np.float64], biases: dict[str, NDArray[np.float64]]) -> list[str]:
    """What the tables above say together, once both sources were measured."""
    if MEAN_MATCHED not in biases:
        return []
    nose, _ = GROUPS["nose"]
    figures = [
        mean_distance(offsets + np.array([0, down]) - biases[MEAN_MATCHED], nose) for down in (0.1, 0, -0.1)
    ]
    return [
        "The detector hardly follows a nose's height: it pulls it to a usual face's. The noses of both "
        "sources lie nearer to their eyes than ours, so it sees theirs too low and ours too high, and their "
        "bias is not the one it has on our faces. Once their noses and mouths are at our heights, its mean "
        "offsets on them are nearly those on ours. This was looked for after the judged figures were known, "
        "which stay what they are.",
        "",
        "The noses are brought to the height of our mean's foremost point, found on the mesh and not by the "
        "mark, so the figure at our heights sees a misplaced nose mark in full: one that lay 0.1 higher "
        f"would have {figures[0]:.3f} instead of {figures[1]:.3f}, one 0.1 lower {figures[2]:.3f}. Mouths "
        "and eyes are matched by the marks themselves: of an error of theirs it sees only about the mouth's "
        "slope above.",
        "",
        "The scan's eyes are closed. Closing an eye lowers the mean of its six landmarks by a third of the "
        "lid opening, 0.05 on our mean face; where the detector answers as if they were open, its bias at "
        "the eyes is too large by that.",
        "",
    ]


def distance_table(title: str, offsets: NDArray[np.float64], bias: NDArray[np.float64]) -> list[str]:
    """Mean distance of each point before and after a bias is taken off, by yaw and over all."""
    raw = np.nanmean(np.linalg.norm(offsets, axis=-1), axis=0)  # [Y, 5]
    free = np.nanmean(np.linalg.norm(offsets - bias, axis=-1), axis=0)
    header = "| point | " + " | ".join(f"{yaw:+.0f} raw | {yaw:+.0f}" for yaw in YAWS) + " | all |"
    rows = []
    for index, name in enumerate(POINTS):
        cells = " | ".join(f"{a:.3f} | {b:.3f}" for a, b in zip(raw[:, index], free[:, index], strict=True))
        rows.append(f"| {name} | {cells} | {free[:, index].mean():.3f} |")
    lines = [f"Mean distance by point and yaw, raw and after the bias {title!r}:", "", header]
    return [*lines, "|---" * (2 * len(YAWS) + 2) + "|", *rows, ""]


def bias_table(name: str, offsets: NDArray[np.float64]) -> list[str]:
    """Mean offset of the detector's points from some faces' landmarks, by yaw."""
    header = "| point | " + " | ".join(f"{yaw:+.0f}" for yaw in YAWS) + " |"
    shares = (~np.isnan(offsets[:, :, 0, 0])).mean(0)
    found = ", ".join(f"{share:.0%} at {yaw:+.0f}" for yaw, share in zip(YAWS, shares, strict=True))
    title = f"The detector's mean offset, x right and y down, on {len(offsets)} faces of: {name}"
    lines = [f"{title} (found: {found}).", "", header, "|---" * (len(YAWS) + 1) + "|"]
    for index, name in enumerate(POINTS):
        cells = " | ".join(f"{x:+.3f} {y:+.3f}" for x, y in np.nanmean(offsets, axis=0)[:, index])
        lines.append(f"| {name} | {cells} |")
    return [*lines, ""]


def _held(held: bool) -> str:
    return "held" if held else "MISSED"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and measure."""
    run_command(measure, argv)


if __name__ == "__main__":
    main()
