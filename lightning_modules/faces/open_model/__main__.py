"""Command: builds the open morphable model into the cache and says what it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

if __name__ == "__main__":
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from lightning_modules.faces.loaders.basel import load_basel
from lightning_modules.faces.open_model.cache import open_model_file
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings


@dataclass(frozen=True)
class BuiltModel:
    """Which open model is built.

    Attributes:
        level: 1 (about 15,000 vertices) or 2 (about 59,000, the size of Basel's).
        rebuild: build it even if it is there.
    """

    level: int = 1
    rebuild: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    """Build the open morphable model into the user's cache folder, if it is not there yet."""
    with one_sentence_for_bad_input():
        (built,) = parse_settings(
            (BuiltModel,), argv, program="python -m lightning_modules.faces.open_model",
            description=str(main.__doc__),
        )  # fmt: skip
        path = open_model_file(built.level, rebuild=built.rebuild)
        print(json.dumps(load_basel(path).describe(), indent=2))
        print(path)


if __name__ == "__main__":
    main()
