"""Pictures of faces with their 68 landmarks, and meshes: what `same_results` gives to both checkouts.

python benchmarks/same_results_inputs.py DIR
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.portraits import studio_lights
from lightning_modules.faces.show import frontal_cameras
from lightning_modules.rendering.camera import project
from lightning_modules.rendering.renderer import render

YAWS_DEGREES, SIZE, SUBJECTS = (-30.0, 0.0, 20.0), 256, 2


def main(argv: list[str] | None = None) -> None:
    """Write `meshes` (for micc.py) and `marked` (for fit.py) into a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(argv).folder
    model = load_morphable_model("open")
    sample = model.sample(len(YAWS_DEGREES), torch.Generator().manual_seed(0))
    write_meshes(model.vertices(sample.shape)[:SUBJECTS], model.triangles, folder / "meshes")
    vertices = model.vertices(sample.shape, sample.expression)
    write_marked(model, vertices, model.albedo(sample.albedo), folder / "marked")


def write_meshes(vertices: Tensor, triangles: Tensor, folder: Path) -> None:
    """Write meshes [B, V, 3] as OBJ, named as MICC's subjects are."""
    folder.mkdir(parents=True)
    lines = "".join(f"f {a} {b} {c}\n" for a, b, c in (triangles + 1).tolist())
    for number, mesh in enumerate(vertices.tolist()):
        text = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in mesh)
        (folder / f"subject_{number + 1:02d}.obj").write_text(text + lines)


def write_marked(model: MorphableModel, vertices: Tensor, albedo: Tensor, folder: Path) -> None:
    """Draw faces [B, V, 3] from some sides, each with its landmarks in a .pts file."""
    folder.mkdir(parents=True)
    cameras = frontal_cameras(model, torch.tensor(YAWS_DEGREES), SIZE)
    with torch.no_grad():
        images = render(
            vertices, model.triangles, model.normals(vertices), albedo, cameras, studio_lights(cameras),
            (SIZE, SIZE), background=torch.full((3, 1, 1), 0.5),
        )  # fmt: skip
    points = project(cameras, model.landmarks.on(vertices))[:, 0, :, :2]
    for number, (image, marks) in enumerate(zip(images[:, 0], points.tolist(), strict=True)):
        levels = (image.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        Image.fromarray(levels).save(folder / f"face_{number}.png")
        # A .pts file counts pixels from 1.
        lines = [f"{x + 1:.3f} {y + 1:.3f}" for x, y in marks]
        text = "\n".join(["version: 1", f"n_points: {len(lines)}", "{", *lines, "}"])
        (folder / f"face_{number}.pts").write_text(text + "\n")


if __name__ == "__main__":
    main()
