"""Writes a checkpoint to give away: the regressor and where it came from, without optimiser and random state.

    python ablations/export.py runs/run/0123456789ab/final.ckpt face.ckpt --terms "research use only"

The small file holds no photograph and no tensor of a morphable model or recognition network.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from lightning_modules.checkpoints import export, is_exported, read_checkpoint
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.writable_places import require_writable_file


@dataclass(frozen=True)
class SmallFile:
    """What is written, and from what.

    Attributes:
        source: a checkpoint that ablations/run.py wrote.
        destination: the small file.
        terms: under which the training data may be used; whoever loads the file finds them in it.
        overwrite: replace the destination where export.py wrote it.
    """

    source: Path
    destination: Path
    terms: str
    overwrite: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, write; the exit status is 0."""
    with one_sentence_for_bad_input():
        (small,) = parse_settings(
            (SmallFile,), argv, program="export.py", description=str(__doc__),
            leading=("source", "destination"),
        )  # fmt: skip
        export_checkpoint(small.source, small.destination, terms=small.terms, overwrite=small.overwrite)
    return 0


def export_checkpoint(source: Path, destination: Path, *, terms: str, overwrite: bool = False) -> None:
    """Write a checkpoint's regressor and provenance into a small file, see `SmallFile`.

    Raises:
        ValueError: if the destination exists and may not be replaced.
    """
    if os.path.lexists(destination):
        if not overwrite:
            raise ValueError(f"{destination} exists; give another name, or --overwrite")
        if not is_replaceable(destination, source):
            raise ValueError(
                f"{destination} was not written by export.py, or is the source; give another name"
            )
    require_writable_file(destination)
    export(source, destination, terms=terms)
    print(f"written: {destination}, {destination.stat().st_size / 2**20:.1f} MiB")


def is_replaceable(destination: Path, source: Path) -> bool:
    """Whether a file is what `export` wrote, and not what it is to be written from."""
    if destination.is_symlink() or not destination.is_file():
        return False
    if source.exists() and destination.samefile(source):
        return False
    try:
        return is_exported(read_checkpoint(destination))
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
