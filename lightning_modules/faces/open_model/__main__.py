"""Command: builds the open morphable model into the cache and says what it is."""

import json
from collections.abc import Sequence

if __name__ == "__main__":
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from lightning_modules.faces.loaders.basel import load_basel
from lightning_modules.faces.open_model.cache import open_model_file
from lightning_modules.plain.command_line import run_command


def build(level: int = 1, rebuild: bool = False) -> None:
    """Build the open morphable model into the user's cache folder, if it is not there yet.

    Args:
        level: 1 (about 15,000 vertices) or 2 (about 59,000, the size of Basel's).
        rebuild: build it even if it is there.
    """
    path = open_model_file(level, rebuild=rebuild)
    print(json.dumps(load_basel(path).describe(), indent=2))
    print(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and build."""
    run_command(build, argv)


if __name__ == "__main__":
    main()
