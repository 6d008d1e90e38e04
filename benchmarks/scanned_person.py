"""One real person: a head's scan, photographed by rendering, reconstructed, and scored against itself.

    python -m benchmarks.scanned_person --scan DIR --checkpoint FILE

Renders Lee Perry-Smith's scan from five sides in four lights, makes one face of all twenty pictures and one
of each, in each reading that the checkpoint keeps, and scores them and the model's mean face against the
scan. It is one person, with closed eyes and without hair: no more than a check on real geometry. Writes
scanned_person.md beside itself.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.head_scan import HeadScan, read_head_scan
from benchmarks.morphable_model import machine
from benchmarks.scanned_heads import real_head
from datamodules.chosen_faces import ChosenFaces
from evaluation.metrics.marked_mesh import MarkedMesh, known
from evaluation.metrics.scan_protocols import GENOVA, PROTOCOLS, ScanProtocol
from evaluation.metrics.scan_score import PreparedScan, ScanScore, prepare_scan, score_protocols
from evaluation.scans.methods import MEAN_FACE, model_mesh
from lightning_modules.plain.files import sha256_of_file, write_whole
from lightning_modules.plain.output_file import check_new
from lightning_modules.reconstruction import Reconstructor, load_reconstructor
from lightning_modules.rendering.camera import Cameras
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.shading import Lights

RESULTS = Path(__file__).with_suffix(".md")
SIZE, SAMPLES_PER_AXIS = 384, 2
EYE_DISTANCE_MM = 63.0  # an adult's, about; the scan has no unit
FRAME_MM, DISTANCE_MM, BACKGROUND = 400.0, 1_500.0, 0.55
YAWS_DEGREES = (-40.0, -20.0, 0.0, 20.0, 40.0)
# Those that know the scan's seven marks; the others need one below the nose, or the brows.
SCORED = ("genova", "tran", "ganfit", "deng")
# Of `genova`: 95 mm is the protocol's, and takes in ears, the throat and the skull above the forehead.
RADII_MM = (95.0, 80.0, 65.0, 50.0)


class Light(NamedTuple):
    """Two point lights beside the camera (x right, y down, z forward, mm), their strengths, ambient light."""

    key: tuple[float, float, float]
    fill: tuple[float, float, float]
    strengths: tuple[float, float]
    ambient: float


LIGHTS = {
    "studio": Light((-900.0, -900.0, 0.0), (1100.0, -200.0, 0.0), (0.62, 0.28), 0.22),
    "from the left": Light((-1500.0, -300.0, 300.0), (1100.0, -200.0, 0.0), (0.75, 0.05), 0.2),
    "from the right": Light((1500.0, -300.0, 300.0), (-1100.0, -200.0, 0.0), (0.75, 0.05), 0.2),
    "flat": Light((0.0, -500.0, -200.0), (0.0, 300.0, 0.0), (0.3, 0.2), 0.45),
}


class Scored(NamedTuple):
    """A method's scores in mm; NaN where there is none.

    Attributes:
        method: its name.
        by_protocol: under each protocol.
        by_radius: under `genova`, by radius.
        marks_mm: how far the face's landmarks lie from the scan's, as `genova` aligns it, root mean square.
    """

    method: str
    by_protocol: Mapping[str, float]
    by_radius: Mapping[float, float]
    marks_mm: float


def main(argv: Sequence[str] | None = None) -> None:
    """Render, reconstruct, score, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scan", type=Path, required=True, help="folder of Lee Perry-Smith's head scan")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    check_new(options.output, but=RESULTS)
    loaded = load_reconstructor(options.checkpoint).readings["likeness"]
    features = features_of(photographs_of(read_head_scan(options.scan)), loaded)
    scan = prepare_scan(real_head(options.scan))
    together = [scored(method, mesh, scan) for method, mesh in faces_of(features, loaded).items()]
    single = single_scores(features, loaded, scan)
    name, digest = options.checkpoint.name, sha256_of_file(options.checkpoint)[:12]
    command = machine("benchmarks.scanned_person --scan DIR --checkpoint FILE")
    text = page_of(f"{name} ({digest})", command, len(features), together, single)
    write_whole(options.output, text)
    print(text)


@torch.no_grad()
def photographs_of(scan: HeadScan, size: int = SIZE) -> dict[str, Image.Image]:
    """The scan from every side in every light, by name."""
    unit_mm = EYE_DISTANCE_MM / float((scan.points[1] - scan.points[0]).norm())
    vertices, target = unit_mm * scan.vertices[None], unit_mm * scan.points[:5].mean(0)
    pictures = {}
    for name, light in LIGHTS.items():
        for yaw in YAWS_DEGREES:
            poses = frontal_poses((1, 1), distance_mm=DISTANCE_MM, frame_height_mm=FRAME_MM, like=vertices)
            poses = poses._replace(yaw_degrees=poses.yaw_degrees + yaw)
            cameras = cameras_from_poses(poses, (size, size), target=target)
            image = render(
                vertices,
                scan.triangles,
                scan.normals[None],
                scan.colours[None],
                cameras,
                lights_of(light, cameras),
                (size, size),
                background=torch.full((3, 1, 1), BACKGROUND),
                samples_per_axis=SAMPLES_PER_AXIS,
            )[0, 0]
            pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
            pictures[f"{name}, {yaw:+.0f} degrees"] = Image.fromarray(pixels)
    return pictures


def lights_of(light: Light, cameras: Cameras) -> Lights:
    """A light beside each camera [B, N]."""
    batch, like = cameras.focal_lengths.shape, cameras.translations
    positions = like.new_tensor([light.key, light.fill]) - like[..., None, :]
    return Lights(
        positions @ cameras.rotations,
        like.new_ones(*batch, 2, 3),
        like.new_tensor(light.strengths).expand(*batch, 2),
        like.new_full((*batch, 3), light.ambient),
    )


def features_of(pictures: Mapping[str, Image.Image], loaded: Reconstructor) -> Tensor:
    """The encoder's features [N, D] of pictures, found and aligned as any photograph.

    Raises:
        ValueError: if one of them shows no face.
    """
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number, picture in enumerate(pictures.values()):
            paths.append(Path(name) / f"{number:02d}.png")
            picture.save(paths[-1])
        data = ChosenFaces(
            paths,
            [loaded.encoder],
            face="largest",
            cache_folder=Path(name) / "cache",
            workers=0,
            progress=False,
        )
        data.prepare_data()
        data.setup()
        if len(data.dataset) < len(paths):
            lost = [list(pictures)[number] for number, _ in data.dataset.faces.failures]
            raise ValueError(f"no face is found in the renderings: {'; '.join(lost)}")
        return data.dataset.batch(np.arange(len(paths))).features[loaded.encoder.name].clone()


@torch.no_grad()
def faces_of(features: Tensor, loaded: Reconstructor) -> dict[str, MarkedMesh]:
    """The mean face, and one face of all photographs [N, D] in each reading."""
    mean = features.mean(0, keepdim=True)
    faces = {MEAN_FACE: model_mesh(loaded.model, loaded.model.neutral_mean.view(-1, 3))}
    for reading, each in loaded.readings.items():
        shape = each.coefficients(mean).shape
        faces[reading] = model_mesh(loaded.model, loaded.model.vertices(shape)[0])
    return faces


def scored(method: str, mesh: MarkedMesh, scan: PreparedScan) -> Scored:
    """Every score of a face."""
    protocols: list[ScanProtocol] = [PROTOCOLS[name] for name in SCORED]
    protocols += [replace(GENOVA, radius_mm=radius) for radius in RADII_MM]
    scores = score_protocols(scan, mesh, protocols)
    values = [value_of(score) for score in scores]
    return Scored(
        method,
        dict(zip(SCORED, values[: len(SCORED)], strict=True)),
        dict(zip(RADII_MM, values[len(SCORED) :], strict=True)),
        marks_off(scores[SCORED.index(GENOVA.name)], scan, mesh),
    )


def marks_off(score: ScanScore, scan: PreparedScan, mesh: MarkedMesh) -> float:
    """See `Scored.marks_mm`."""
    if score.alignment is None:
        return float("nan")
    marked = known(scan.landmarks) & known(mesh.landmarks)
    apart = score.alignment.transform.points(mesh.landmarks[marked]) - scan.landmarks[marked]
    return float(np.sqrt((apart**2).sum(1).mean()))


def value_of(score: ScanScore) -> float:
    """A score in mm; NaN if it failed."""
    return float("nan") if score.failure is not None else score.value_mm


@torch.no_grad()
def single_scores(features: Tensor, loaded: Reconstructor, scan: PreparedScan) -> dict[str, NDArray]:
    """By reading the `genova` scores [N] of the faces of single photographs."""
    found = {}
    for reading, each in loaded.readings.items():
        shapes = each.coefficients(features).shape
        meshes = (model_mesh(loaded.model, loaded.model.vertices(shape[None])[0]) for shape in shapes)
        found[reading] = np.array([value_of(score_protocols(scan, mesh, [GENOVA])[0]) for mesh in meshes])
    return found


def page_of(
    checkpoint: str,
    command: str,
    photographs: int,
    together: Sequence[Scored],
    single: Mapping[str, NDArray],
) -> str:
    """The Markdown page."""
    mean = together[0].by_protocol["genova"]
    lines = [
        "# One real person: Lee Perry-Smith's scan",
        "",
        command,
        "",
        f"{checkpoint}; one face from {photographs} renderings of the scan ({len(YAWS_DEGREES)} sides, "
        f"{len(LIGHTS)} lights), scored against it. Mean distance in mm by protocol (`tran` and `deng`: root "
        "mean square); at last how far the scan's seven marks lie from the face's where `genova` aligns "
        "it, root mean square. One person says little: another may come out the other way round.",
        "",
        *table(
            ["", *SCORED, "landmarks off"],
            [[each.method, *written(each.by_protocol), f"{each.marks_mm:.1f}"] for each in together],
        ),
        "What the region holds decides. `genova` takes everything within 95 mm of the nose tip: on a scan of "
        "a whole head also ears, throat and skull. The same protocol within smaller radii:",
        "",
        *table(
            ["", *(f"{radius:.0f} mm" for radius in RADII_MM)],
            [[each.method, *written(each.by_radius)] for each in together],
        ),
        "Faces of single photographs, `genova`:",
        "",
        *table(
            ["", "mean", "least", "largest", f"nearer than the mean face ({mean:.2f})"],
            [[name, *spread(values), f"{(values < mean).sum()} of {len(values)}"]
             for name, values in single.items()],
        ),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def written(values: Mapping[object, float]) -> list[str]:
    """Scores to two digits."""
    return ["failed" if np.isnan(value) else f"{value:.2f}" for value in values.values()]


def spread(values: NDArray) -> list[str]:
    """Mean, least and largest of those that have a score."""
    return [f"{statistic(values):.2f}" for statistic in (np.nanmean, np.nanmin, np.nanmax)]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, and the empty line after it."""
    lines = [headings, ["---"] * len(headings), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


if __name__ == "__main__":
    main()
