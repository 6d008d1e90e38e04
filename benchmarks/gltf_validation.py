"""Lets the Khronos glTF validator judge every kind of .glb file that the suite writes.

    python -m benchmarks.gltf_validation

Needs node and npm: the validator (npm package gltf-validator, Apache-2.0) goes into a temporary folder.
The files are made from the committed checkpoint and the rendered photograph in docs/pictures. A damaged file
goes with them, in which it must find something. Writes benchmarks/gltf_validation.md, and fails if a file
has an error or a warning.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from evaluation.fit import main as fit
from evaluation.reconstruct import main as reconstruct
from lightning_modules.faces.blendshapes import blendshapes_of
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.mesh_files.glb_content import ExpressionTargets, glb_bytes
from lightning_modules.plain.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "gltf-validator@2.0.0-dev.3.10"
CHECKPOINT, PHOTOGRAPH = ROOT / "benchmarks/checkpoints/suite.ckpt", ROOT / "docs/pictures/sample.png"
DAMAGED = "control: a position beyond its bounds"
KINDS = {
    "plain": [],
    "blendshapes": ["--blendshapes"],
    "texture": ["--texture"],
    "texture and blendshapes": ["--texture", "--mirror-texture", "--blendshapes"],
}


def main(arguments: list[str] | None = None) -> None:
    """Make the files, validate them, write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    output = parser.parse_args(arguments).output
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = dict(written(folder))
        files[DAMAGED] = damaged(next(iter(files.values())), folder / "damaged.glb")
        *found, version = validated(list(files.values()), folder / "npm")
    lines = [
        "# What the Khronos glTF validator says",
        "",
        f"`python -m benchmarks.gltf_validation`; gltf-validator {version['version']} from npm, run by node.",
        "",
        "| file | MB | errors | warnings | infos | hints | codes |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for kind, judged in zip(files, found, strict=True):
        counts = " | ".join(str(judged[name]) for name in ("errors", "warnings", "infos", "hints"))
        lines.append(f"| {kind} | {judged['size'] / 1e6:.1f} | {counts} | {', '.join(judged['codes'])} |")
    write_whole(output, "\n".join([*lines, ""]))
    print("\n".join(lines))
    *good, control = found
    if not control["errors"] or any(judged["errors"] or judged["warnings"] for judged in good):
        raise SystemExit("a file is not valid, or the validator missed the damaged one: see the table")


def written(folder: Path) -> Iterator[tuple[str, Path]]:
    """A file of each kind, by what made it."""
    for kind, options in KINDS.items():
        place = folder / kind.replace(" ", "-")
        reconstruct([str(CHECKPOINT), str(PHOTOGRAPH), f"--output={place}", "--no-progress", *options])
        yield f"reconstruct.py, {kind}", place / "sample.glb"
    place = folder / "fit"
    fit([str(CHECKPOINT), str(PHOTOGRAPH), "--landmarks=yunet", f"--output={place}"])
    yield "fit.py, fitted", place / "sample.glb"
    yield "fit.py, neutral", place / "sample-neutral.glb"
    model = load_morphable_model("open:2", shape_components=1, albedo_components=1)
    mesh = Mesh(model.neutral_mean.view(-1, 3), model.triangles, None)
    write_mesh(mesh, folder / "grey.glb")
    yield "write_mesh, without colours, 59,000 vertices", folder / "grey.glb"
    units = blendshapes_of(model, "open:2")
    targets = ExpressionTargets(units.names, units.displacements)
    (folder / "fine.glb").write_bytes(glb_bytes(mesh, targets=targets))
    yield "blendshapes of the finer open model", folder / "fine.glb"
    alone = Mesh(torch.cat([mesh.vertices, torch.zeros(1, 3)]), mesh.triangles, None)
    write_mesh(alone, folder / "alone.glb")
    yield "write_mesh, with a vertex in no triangle", folder / "alone.glb"


def damaged(whole: Path, path: Path) -> Path:
    """A copy of a file whose bounds are too narrow for its positions."""
    content = whole.read_bytes()
    length = int.from_bytes(content[12:16], "little")
    header = json.loads(content[20 : 20 + length])
    header["accessors"][0]["max"][1] = 0.0
    text = json.dumps(header).encode()
    path.write_bytes(content[:20] + text + b" " * (length - len(text)) + content[20 + length :])
    return path


def validated(files: list[Path], folder: Path) -> list[dict[str, Any]]:
    """What the validator finds in each file, its size with it, and last of all its own version."""
    folder.mkdir()
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", PACKAGE], cwd=folder, check=True)
    script = Path(__file__).with_suffix(".cjs")
    environment = os.environ | {"NODE_PATH": str(folder / "node_modules")}
    ran = subprocess.run(
        ["node", str(script), *map(str, files)], env=environment, check=True, capture_output=True, text=True
    )
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return [each | {"size": Path(each["file"]).stat().st_size} if "file" in each else each for each in found]


if __name__ == "__main__":
    main()
