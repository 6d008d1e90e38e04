"""Landmarks of the open model against a face detector's five points, the detector's own bias taken off.

Run from the repository's root: `python -m benchmarks.landmarks --ict FaceXModel --scan LeePerrySmith`. It
writes landmarks.md beside itself. The landmarks were marked before any detector was run, and are never moved
towards one. The detector's bias is what it says where landmarks are known independently: on ICT-FaceKit's own
landmark vertices and on a real head's scan (`head_scan.py`). What is judged is the distance after the mean of
both biases, which was decided before either was measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
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
    offsets = offsets_from(sight, five_points(model.landmarks.on(vertices)), cameras)
    sources = {} if ict is None else ict_offsets(ict, bias_samples, seed)
    if scan is not None:
        sources[SCAN] = scan_offsets(scan, model, cameras)
    biases = {name: np.nanmean(values, axis=0) for name, values in sources.items()}
    judges = [biases[name] for name in JUDGED_SOURCES if name in biases]
    judged = np.mean(judges, axis=0) if judges else np.zeros((len(YAWS), 5, 2))
    lines = [
        "# Landmarks of the open model against YuNet",
        "",
        machine("benchmarks.landmarks"),
        "",
        f"{samples} random faces of {model.provenance.name}, {SIZE} px, {len(LOOKS)} looks each, in units of "
        "the interocular distance.",
        "",
        *found_table(sight),
        *judged_table(offsets, biases, judged, len(judges)),
        *remains_table(offsets, judged, sources),
        *distance_table(offsets, judged),
        *bias_table("The detector's mean offset on the open model", offsets),
    ]
    for name, values in sources.items():
        lines += bias_table(f"Its mean offset on the {len(values)} faces of the source {name!r}", values)
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


def ict_offsets(folder: Path, samples: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Offsets from ICT-FaceKit's own landmarks, its nose tip as filed and at its foremost point.

    It wears the open model's albedo, having none of its own.
    """
    model = load_morphable_model(f"ict:{folder}", ict_subset="face+eyes", ict_albedo="open")
    cameras = yawed_cameras(model)
    vertices, albedo = random_faces(model, samples, seed)
    sight = seen(faces_of(model, vertices, albedo), cameras)
    markings = {ICT_FILED: model.landmarks, ICT_FOREMOST: with_foremost_nose(model)}
    return {
        name: offsets_from(sight, five_points(landmarks.on(vertices)), cameras)
        for name, landmarks in markings.items()
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


def scan_offsets(folder: Path, model: MorphableModel, cameras: Cameras) -> NDArray[np.float64]:
    """Offsets from the marks on the head scan and on its mirror image, placed where the model's mean is."""
    scan = read_head_scan(folder)
    target = five_points(model.landmarks.on(model.neutral_mean.view(1, -1, 3)))[0]
    scale = (target[1] - target[0]).norm() / (scan.points[1] - scan.points[0]).norm()
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    faces, points = [], []
    for side, order in ((torch.ones(3), [0, 1, 2, 3, 4]), (mirror, [1, 0, 2, 4, 3])):
        marks = scale * side * scan.points[order]
        shift = target.mean(0) - marks.mean(0)
        vertices = (scale * side * scan.vertices + shift)[None]
        faces.append(Face(vertices, scan.triangles, (side * scan.normals)[None], scan.colours[None]))
        points.append(marks + shift)
    return offsets_from(seen(faces, cameras), torch.stack(points), cameras)


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


def offsets_from(sight: Sight, points: Tensor, cameras: Cameras) -> NDArray[np.float64]:
    """Detected minus marked [S, Y, 5, 2], x right and y down, in frontal interocular distances.

    Args:
        sight: what was detected.
        points: [S, 5, 3] the faces' own five points, in mm.
        cameras: [1, Y], those of the sight.
    """
    projected = project(Cameras(*(part.expand(len(points), *part.shape[1:]) for part in cameras)), points)
    interocular_mm = (points[:, 0] - points[:, 1]).norm(dim=-1)[:, None]  # [S, 1]
    interocular = interocular_mm * cameras.focal_lengths / projected[:, :, :2, 2].mean(-1)  # [S, Y]
    return (sight.points - projected[..., :2].double().numpy()) / interocular.numpy()[..., None, None]


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


def judged_table(
    offsets: NDArray[np.float64],
    biases: dict[str, NDArray[np.float64]],
    judged: NDArray[np.float64],
    judges: int,
) -> list[str]:
    """Mean distances after each source's bias, and after the bias that counts."""
    columns = {"raw": np.zeros_like(judged), **biases}
    title = (
        "Mean distance over samples and yaws, raw, after the bias of each source, and, what is judged, after "
        f"the mean bias of {' and '.join(map(repr, JUDGED_SOURCES))}:"
        if judges == len(JUDGED_SOURCES)
        else f"Mean distance over samples and yaws. {judges} of {len(JUDGED_SOURCES)} sources of the "
        "detector's bias were given: nothing here is the judged figure."
    )
    rows = []
    for group, (points, bound) in GROUPS.items():
        cells = " | ".join(f"{mean_distance(offsets - bias, points):.3f}" for bias in columns.values())
        distance = mean_distance(offsets - judged, points)
        rows.append(f"| {group} | {cells} | {distance:.3f} | {bound:.2f}: {_held(distance <= bound)} |")
    header = "| points | " + " | ".join(columns) + " | mean bias | bound |"
    return [title, "", header, "|---" * (len(columns) + 3) + "|", *rows, ""]


def remains_table(
    offsets: NDArray[np.float64], judged: NDArray[np.float64], sources: dict[str, NDArray[np.float64]]
) -> list[str]:
    """The two parts of the distance: a mean offset that the bias leaves, and scatter over the faces."""
    remaining = np.linalg.norm(np.nanmean(offsets, axis=0) - judged, axis=-1)  # [Y, 5]
    scattered = {"open model": offsets, **sources}
    rows = []
    for group, (points, _) in GROUPS.items():
        cells = " | ".join(
            f"{mean_distance(values - np.nanmean(values, axis=0), points):.3f}"
            for values in scattered.values()
        )
        rows.append(f"| {group} | {remaining[:, points].mean():.3f} | {cells} |")
    return [
        "Its two parts: the length of the mean offset that the mean bias leaves, and the scatter, the mean "
        "distance of single faces from their own model's mean offset at that yaw, which no bias takes off:",
        "",
        "| points | mean offset left | " + " | ".join(f"scatter, {name}" for name in scattered) + " |",
        "|---" * (len(scattered) + 2) + "|",
        *rows,
        "",
    ]


def distance_table(offsets: NDArray[np.float64], bias: NDArray[np.float64]) -> list[str]:
    """Mean distance of each point before and after the judged bias is taken off, by yaw and over all."""
    raw = np.nanmean(np.linalg.norm(offsets, axis=-1), axis=0)  # [Y, 5]
    free = np.nanmean(np.linalg.norm(offsets - bias, axis=-1), axis=0)
    header = "| point | " + " | ".join(f"{yaw:+.0f} raw | {yaw:+.0f}" for yaw in YAWS) + " | all |"
    rows = []
    for index, name in enumerate(POINTS):
        cells = " | ".join(f"{a:.3f} | {b:.3f}" for a, b in zip(raw[:, index], free[:, index], strict=True))
        rows.append(f"| {name} | {cells} | {free[:, index].mean():.3f} |")
    title = "Mean distance by point and yaw, raw and after the mean bias:"
    return [title, "", header, "|---" * (2 * len(YAWS) + 2) + "|", *rows, ""]


def bias_table(title: str, offsets: NDArray[np.float64]) -> list[str]:
    """Mean offset of the detector's points from a model's landmarks, by yaw."""
    header = "| point | " + " | ".join(f"{yaw:+.0f}" for yaw in YAWS) + " |"
    shares = (~np.isnan(offsets[:, :, 0, 0])).mean(0)
    found = ", ".join(f"{share:.0%} at {yaw:+.0f}" for yaw, share in zip(YAWS, shares, strict=True))
    lines = [f"{title} (x right, y down; found: {found}):", "", header, "|---" * (len(YAWS) + 1) + "|"]
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
