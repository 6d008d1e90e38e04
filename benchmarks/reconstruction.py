"""The picture of a reconstruction in docs/models.md: a rendered head scan as the photograph.

    python -m benchmarks.reconstruction --scan DIR --checkpoint FILE

Renders Lee Perry-Smith's scan as a photograph, reconstructs it as evaluation/reconstruct.py does, and writes
the preview with its credit. With `--photograph FILE` the photograph itself is kept, too.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.head_scan import HeadScan, read_head_scan
from evaluation.reconstruct import ReconstructedPhotographs, reconstruct
from evaluation.reconstruction.neutral_faces import VIEWS
from evaluation.shared.options import Machine, Output
from lightning_modules.contact_sheets import contact_sheet
from lightning_modules.faces.portraits import studio_lights
from lightning_modules.plain.files import sha256_of_file, written_atomically
from lightning_modules.plain.output_file import check_new
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses
from lightning_modules.rendering.renderer import render

PICTURE = Path(__file__).parent / "pictures" / "reconstruction.png"
CREDIT = 'Photograph: rendering of "Infinite, 3D Head Scan by Lee Perry-Smith", Infinite-Realities, CC BY 3.0'
SIZE, PREVIEW_SIZE = 640, 256
EYE_DISTANCE_MM = 63.0  # an adult's, about; the scan has no unit
YAW_DEGREES, FRAME_MM, DISTANCE_MM, BACKGROUND = -10.0, 400.0, 1_500.0, 0.55


def main(arguments: list[str] | None = None) -> None:
    """Render, reconstruct, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scan", type=Path, required=True, help="folder of Lee Perry-Smith's head scan")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--photograph", type=Path, help="where to keep the rendered photograph (PNG)")
    parser.add_argument("--output", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    check_new(options.photograph)
    check_new(options.output, but=PICTURE)
    picture = photograph_of(read_head_scan(options.scan))
    if options.photograph is not None:
        save(picture, options.photograph)
    preview = preview_of(picture, options.checkpoint)
    digest = sha256_of_file(options.checkpoint)[:12]
    title = f"Reconstruction by {options.checkpoint.name} ({digest})"
    sheet = contact_sheet([squares_of(preview)], columns=VIEWS, title=title, footnote=CREDIT)
    save(sheet, options.output)
    print(f"wrote {options.output}")


@torch.no_grad()
def photograph_of(scan: HeadScan) -> Image.Image:
    """The scan as a photograph, turned a little, in studio light."""
    scale = EYE_DISTANCE_MM / float((scan.points[1] - scan.points[0]).norm())
    vertices = scale * scan.vertices[None]
    poses = frontal_poses((1, 1), distance_mm=DISTANCE_MM, frame_height_mm=FRAME_MM, like=vertices)
    poses = poses._replace(yaw_degrees=poses.yaw_degrees + YAW_DEGREES)
    cameras = cameras_from_poses(poses, (SIZE, SIZE), target=scale * scan.points[:5].mean(0))
    image = render(
        vertices,
        scan.triangles,
        scan.normals[None],
        scan.colours[None],
        cameras,
        studio_lights(cameras),
        (SIZE, SIZE),
        background=torch.full((3, 1, 1), BACKGROUND),
        samples_per_axis=2,
    )[0, 0]
    return Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy())


def preview_of(picture: Image.Image, checkpoint: Path) -> Image.Image:
    """The preview that evaluation/reconstruct.py writes of a photograph."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture.save(folder / "photograph.png")
        results = reconstruct(
            ReconstructedPhotographs(checkpoint, folder / "photograph.png", preview_size=PREVIEW_SIZE),
            Output(folder / "faces"),
            Machine(cache_folder=folder / "cache", workers=0),
        )
        if results.counts.failed:
            raise ValueError(f"the rendered photograph cannot be used: {dict(results.counts.failed)}")
        return Image.open(folder / "faces" / "photograph.png").copy()


def squares_of(preview: Image.Image) -> list[Image.Image]:
    """The four pictures of a preview."""
    pixels = np.asarray(preview)[-PREVIEW_SIZE:]
    return [Image.fromarray(part) for part in np.split(pixels, len(VIEWS), axis=1)]


def save(picture: Image.Image, file: Path) -> None:
    """Write a picture, whole or not at all."""
    with written_atomically(file) as temporary:
        picture.save(temporary)


if __name__ == "__main__":
    main()
