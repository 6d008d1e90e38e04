"""The sample photograph of the README, and the face that the committed checkpoint makes from it.

    python -m benchmarks.sample_photograph

Renders one stand-in photograph of the open model (no photograph of a person goes in) to
docs/pictures/sample.png, and keeps the preview that evaluation/reconstruct.py writes of it as
docs/pictures/sample_face.png.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.reconstruct import ReconstructedPhotographs, reconstruct
from evaluation.shared.options import Machine, Output
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.plain.files import written_atomically

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "benchmarks" / "checkpoints" / "suite.ckpt"
PICTURES = ROOT / "docs" / "pictures"
NUMBER = 20  # of the stand-in photographs with seed 0: frontal, in focus, nothing in front of the face
COLOURS = 256  # of the preview's palette: a quarter of the size


def main(arguments: list[str] | None = None) -> None:
    """Render, reconstruct, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=PICTURES, help="folder of the two pictures")
    folder = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    photograph = Image.fromarray(StandInPhotographs(load_morphable_model("open")).render([NUMBER])[0].pixels)
    save(photograph, folder / "sample.png")
    save(preview_of(folder / "sample.png").quantize(COLOURS), folder / "sample_face.png")
    print(f"wrote {folder / 'sample.png'} and {folder / 'sample_face.png'}")


def preview_of(photograph: Path) -> Image.Image:
    """The preview that evaluation/reconstruct.py writes of a photograph."""
    with tempfile.TemporaryDirectory() as name:
        faces = Path(name) / "faces"
        machine = Machine(cache_folder=Path(name) / "cache", workers=0)
        reconstruct(ReconstructedPhotographs(CHECKPOINT, photograph), Output(faces), machine)
        return Image.open(faces / f"{photograph.stem}.png").convert("RGB")


def save(picture: Image.Image, file: Path) -> None:
    """Write a picture, whole or not at all."""
    with written_atomically(file) as temporary:
        picture.save(temporary, optimize=True)


if __name__ == "__main__":
    main()
