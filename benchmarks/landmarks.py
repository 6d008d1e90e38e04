"""Landmarks of the open model against a face detector's five points, the detector's own bias taken off.

Run from the repository's root: `python -m benchmarks.landmarks --ict FaceXModel`. It writes landmarks.md
beside itself. The landmarks were marked before any detector was run, and are never moved towards one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.morphable_model import machine
from datamodules.detection import Detector, load_detector
from lightning_modules.faces.command_line import run_command
from lightning_modules.faces.landmarks import five_points
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.show import frontal_cameras, studio_lights
from lightning_modules.rendering.camera import project
from lightning_modules.rendering.renderer import render

RESULTS = Path(__file__).with_suffix(".md")
YAWS = (0.0, 25.0, -45.0)
POINTS = ("right eye", "left eye", "nose tip", "right mouth corner", "left mouth corner")
BOUNDS = (0.05, 0.05, 0.08, 0.08, 0.08)
LEAST_FOUND = 0.99
SIZE = 400
# The detector's points depend on how the face lies on its grid, by up to a tenth of the interocular distance:
# each picture is looked at in several scales and places, and its answers are averaged.
LOOKS = tuple((0.5 + 0.07 * index, 11 * index % 32, 19 * index % 32) for index in range(12))


class Offsets(NamedTuple):
    """Where the detector sees the five points.

    Attributes:
        found: [S, Y] whether it found a face in most looks, by sample and yaw.
        values: [S, Y, 5, 2] detected minus ours, x right and y down, in interocular distances; NaN where
            it found none.
    """

    found: NDArray[np.bool_]
    values: NDArray[np.float64]


def measure(ict: Path | None = None, samples: int = 100, seed: int = 0, bias_samples: int = 40) -> None:
    """Render random faces, find them with YuNet, and compare its five points with ours.

    Args:
        ict: ICT-FaceKit's FaceXModel folder, whose own landmarks measure the detector's bias.
        samples: random faces of the open model.
        seed: of these faces.
        bias_samples: random faces of ICT-FaceKit.
    """
    offsets = detected_offsets(load_morphable_model("open"), samples, seed)
    bias, bias_lines = (
        np.zeros((len(YAWS), 5, 2)),
        ["The detector's bias was not measured: no `--ict` was given."],
    )
    if ict is not None:
        model = load_morphable_model(f"ict:{ict}", ict_subset="face+eyes", ict_albedo="open")
        reference = detected_offsets(model, bias_samples, seed)
        bias = np.nanmean(reference.values, axis=0)
        title = f"Its mean offset on {bias_samples} random faces of ICT-FaceKit, their own landmark vertices"
        bias_lines = bias_table(f"{title}, the open model's albedo", reference)
    lines = ["# Landmarks of the open model against YuNet", "", machine("benchmarks.landmarks"), ""]
    lines += [
        f"{samples} random faces, {SIZE} px, {len(LOOKS)} looks each, in units of the interocular distance.",
        "",
    ]
    lines += found_table(offsets) + distance_table(offsets.values, bias)
    lines += bias_table("The detector's mean offset on the open model", offsets) + bias_lines
    RESULTS.write_text("\n".join(lines) + "\n")
    print(RESULTS.read_text())


@torch.no_grad()
def detected_offsets(model: MorphableModel, samples: int, seed: int) -> Offsets:
    """Offsets of the detector's points from the model's landmarks on random neutral faces."""
    detect = load_detector("yunet")
    drawn = model.sample(samples, torch.Generator().manual_seed(seed))
    found = np.zeros((samples, len(YAWS)), dtype=bool)
    values = np.full((samples, len(YAWS), 5, 2), np.nan)
    for sample in range(samples):
        vertices = model.vertices(drawn.shape[sample : sample + 1])
        albedo = model.albedo(drawn.albedo[sample : sample + 1])
        for view, yaw in enumerate(YAWS):
            image, ours, interocular = _picture(model, vertices, albedo, yaw)
            seen = [_seen(detect, image, *look) for look in LOOKS]
            seen = [points for points in seen if points is not None]
            found[sample, view] = len(seen) > len(LOOKS) / 2
            if found[sample, view]:
                values[sample, view] = (np.mean(seen, axis=0) - ours) / interocular
    return Offsets(found, values)


def _seen(
    detect: Detector, image: NDArray[np.uint8], scale: float, right: int, down: int
) -> NDArray[np.float64] | None:
    """The five points of the surest face in the image scaled and moved, in the image's own pixels."""
    looked_at = cv2.warpAffine(
        image,
        np.array([[scale, 0, right], [0, scale, down]]),
        (round(SIZE * scale) + 32, round(SIZE * scale) + 32),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_REPLICATE,
    )
    detections = detect(looked_at)
    if not detections:
        return None
    best = max(detections, key=lambda each: each.score)
    return (np.asarray(best.points) - (right, down)) / scale


def _picture(
    model: MorphableModel, vertices: Tensor, albedo: Tensor, yaw: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """An image [H, W, 3], our five points in it, and the frontal interocular distance in pixels."""
    cameras = frontal_cameras(model, torch.tensor([yaw]), SIZE)
    images = render(
        vertices,
        model.triangles,
        model.normals(vertices),
        albedo,
        cameras,
        studio_lights(cameras),
        (SIZE, SIZE),
        background=torch.full((3, 1, 1), 0.5),
        samples_per_axis=2,
    )
    points = five_points(model.landmarks.on(vertices))  # [1, 5, 3]
    projected = project(cameras, points)[0, 0]
    interocular_mm = float((points[0, 0] - points[0, 1]).norm())
    pixels_per_mm = float(cameras.focal_lengths[0, 0] / projected[:2, 2].mean())
    pixels = (images[0, 0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(pixels), projected[:, :2].double().numpy(), interocular_mm * pixels_per_mm


def found_table(offsets: Offsets) -> list[str]:
    """Share of faces found at each yaw."""
    shares = offsets.found.mean(0)
    rows = [
        f"| {yaw:+.0f} | {share:.0%} | {_held(share >= LEAST_FOUND)} |"
        for yaw, share in zip(YAWS, shares, strict=True)
    ]
    return ["| yaw, degrees | found | at least 99 % |", "|---|---|---|", *rows, ""]


def distance_table(values: NDArray[np.float64], bias: NDArray[np.float64]) -> list[str]:
    """Mean distance of each point before and after the bias is taken off, by yaw and over all."""
    raw = np.nanmean(np.linalg.norm(values, axis=-1), axis=0)  # [Y, 5]
    free = np.nanmean(np.linalg.norm(values - bias, axis=-1), axis=0)
    header = "| point | " + " | ".join(f"{yaw:+.0f} raw | {yaw:+.0f}" for yaw in YAWS) + " | all | bound |"
    rows = []
    for index, (name, bound) in enumerate(zip(POINTS, BOUNDS, strict=True)):
        cells = " | ".join(f"{a:.3f} | {b:.3f}" for a, b in zip(raw[:, index], free[:, index], strict=True))
        mean = free[:, index].mean()
        rows.append(f"| {name} | {cells} | {mean:.3f} | {bound:.2f}: {_held(mean <= bound)} |")
    lines = [
        "Mean distance, raw and with the detector's bias taken off:",
        "",
        header,
        "|---" * (2 * len(YAWS) + 3) + "|",
    ]
    return [*lines, *rows, ""]


def bias_table(title: str, offsets: Offsets) -> list[str]:
    """Mean offset of the detector's points from a model's landmarks, by yaw."""
    found = ", ".join(
        f"{share:.0%} at {yaw:+.0f}" for yaw, share in zip(YAWS, offsets.found.mean(0), strict=True)
    )
    header = "| point | " + " | ".join(f"{yaw:+.0f}" for yaw in YAWS) + " |"
    lines = [f"{title} (x right, y down; found: {found}):", "", header, "|---" * (len(YAWS) + 1) + "|"]
    for index, name in enumerate(POINTS):
        cells = " | ".join(f"{x:+.3f} {y:+.3f}" for x, y in np.nanmean(offsets.values, axis=0)[:, index])
        lines.append(f"| {name} | {cells} |")
    return [*lines, ""]


def _held(held: bool) -> str:
    return "held" if held else "MISSED"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and measure."""
    run_command(measure, argv)


if __name__ == "__main__":
    main()
