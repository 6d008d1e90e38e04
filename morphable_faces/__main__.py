"""All commands of the suite under one name, each as it is under its path.

    morphable-faces --help
    morphable-faces reconstruct final.ckpt photograph.jpg --output faces

The second line does what `python evaluation/reconstruct.py` does with the same arguments. Without an
installation, `python -m morphable_faces` takes the place of `morphable-faces`.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from lightning_modules.plain.interruption import ending_when_interrupted

PROGRAM = "morphable-faces"
BAD_INPUT = 2


class Entry(NamedTuple):
    """A command: the module whose `main` it is, and the question that it answers."""

    module: str
    question: str


COMMANDS = {
    "run": Entry("ablations.run", "What does one training run give, with these losses?"),
    "factorial": Entry("ablations.factorial", "What does each loss contribute, over several seeds?"),
    "workspace": Entry("ablations.workspace", "How do variants compare on a dashboard at W&B?"),
    "export": Entry("ablations.export", "How is a checkpoint given away?"),
    "average": Entry("ablations.average", "What do several runs give together?"),
    "expected-shape": Entry("ablations.expected_shape", "What shapes are to be expected, for measuring?"),
    "reconstruct": Entry("evaluation.reconstruct", "Which 3D face do these photographs show?"),
    "fit": Entry("evaluation.fit", "Which pose and expression has the face in a photograph?"),
    "qualitative": Entry("evaluation.qualitative", "What do several methods make of the same photographs?"),
    "micc": Entry("evaluation.micc", "How far do reconstructions lie from face scans?"),
    "leaderboard": Entry("evaluation.leaderboard", "Which method is first, under which protocol?"),
    "similarity": Entry("evaluation.similarity", "How alike are photographs and their renderings?"),
    "clustering": Entry("evaluation.clustering", "Does a rendering find its person among all photographs?"),
    "reporting-people": Entry(
        "evaluation.reporting_people", "Are people recognised whom no choice has seen?"
    ),
    "consistency": Entry("evaluation.consistency", "Do different photographs of a person give one shape?"),
    "robustness": Entry("evaluation.robustness", "How far does a face move when its photograph is damaged?"),
    "fairness": Entry("evaluation.fairness", "Do errors differ between groups of synthetic people?"),
    "validity": Entry("evaluation.validity", "Does a scan protocol rank faces as their true errors do?"),
    "verification": Entry("evaluation.verification", "Does a recognition network reach its known accuracy?"),
    "show": Entry("lightning_modules.faces.show", "What does a morphable model look like?"),
    "proportions": Entry(
        "lightning_modules.faces.proportions", "Has a morphable model the proportions of people?"
    ),
    "open-model": Entry(
        "lightning_modules.faces.open_model.__main__", "What is the open morphable model made of?"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Hand the arguments over to the command that the first of them names; returns its exit status.

    Only that command's module is imported. The list of commands imports none.
    """
    name, *arguments = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if name in ("--help", "-h"):
        print(overview())
        return 0
    if name not in COMMANDS:
        print(f"error: there is no command {name!r}; give one of {', '.join(COMMANDS)}", file=sys.stderr)
        return BAD_INPUT
    if name == "run":
        # As in ablations/run.py: read when torch is loaded, so set before.
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    with ending_when_interrupted():
        module = importlib.import_module(COMMANDS[name].module)
    status = module.main(arguments)
    return 0 if status is None else status


def overview() -> str:
    """What `--help` prints: how commands are called, and a line for each with its question."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {entry.question}" for name, entry in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "Commands, and the question that each of them answers:",
            *lines,
            "",
            f"`{PROGRAM} COMMAND --help` lists a command's options.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
