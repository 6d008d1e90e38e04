"""Averages the weights of several runs that went on from one stage 1: they agree where each one is right.

    python ablations/average.py averaged.ckpt --of FIRST/final.ckpt SECOND/final.ckpt --unlabelled DIR

Such as runs with several weights of a loss. Not in the paper; Wortsman et al. (2022) call the result a model
soup. It costs no more to apply than one run's checkpoint. Averaged weights predict less variance than each
run does; every coefficient gets the runs' mean and variance back, over unlabelled photographs such as those
of the training. What is written holds the regressor and where it came from, without optimiser states; what
expected_shape.py adds comes afterwards.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import torch
from torch import Tensor

from ablations.runs.settings import Settings
from datamodules.photographs import Photographs, features_of_folder
from lightning_modules.checkpoint_schema import NO_DATA, PREFIX
from lightning_modules.checkpoints import (
    PLACES,
    content_of,
    is_same_model,
    read_checkpoint,
    regressor_of,
    settings_without_folders,
    write_small,
)
from lightning_modules.initialisation import CoefficientMoments, give_moments
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import NonNegativeInt
from lightning_modules.plain.writable_places import require_writable_file
from lightning_modules.reconstruction import load_reconstructor
from lightning_modules.regressor import Regressor

# Of a run, and of no average; what is learnt of a checkpoint is learnt of the average anew.
NOT_KEPT = {"random_state", "wandb_id", "wandb_group", "wandb_offline", "expected_shape"}


@dataclass(frozen=True)
class Average:
    """What is averaged, and where it is written.

    Attributes:
        destination: the new file; an existing one is kept.
        of: two or more checkpoints of stage 2 that ablations/run.py or export.py wrote, trained on the same
            photographs from the same stage 1.
        unlabelled: folder of photographs of real people, such as those of the training.
        morphable_model: where the checkpoints' morphable model lies, if elsewhere than in training.
        cache_folder: root of all caches; the user's cache folder if not given.
        workers: processes that align photographs; all cores if not given.
        progress: whether to show progress bars.
    """

    destination: Path
    of: tuple[Path, ...]
    unlabelled: Path
    morphable_model: str | None = None
    cache_folder: Path | None = None
    workers: NonNegativeInt | None = None
    progress: bool = True


class Run(NamedTuple):
    """One of the runs.

    Attributes:
        path: of its checkpoint.
        regressor: its own.
        step: how long it was trained.
        content: see `checkpoints.checkpoint_content`.
    """

    path: Path
    regressor: Regressor
    step: int
    content: dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, average, write; the exit status is 0."""
    with one_sentence_for_bad_input():
        (chosen,) = parse_settings(
            (Average,), argv, program="average.py", description=str(__doc__), leading="destination"
        )
        write_average(chosen)
    return 0


def write_average(chosen: Average) -> None:
    """Average and write, see `Average`.

    Raises:
        FileNotFoundError: if a checkpoint or the folder of photographs is missing.
        ValueError: if the destination exists, or the checkpoints cannot be averaged.
    """
    if os.path.lexists(chosen.destination):
        raise ValueError(f"{chosen.destination} exists; give another name")
    require_writable_file(chosen.destination)
    Photographs(chosen.unlabelled).photographs()
    runs = [read_run(path) for path in chosen.of]
    if reason := why_not_averaged(runs):
        raise ValueError(reason)
    encoder = load_reconstructor(runs[0].path, morphable_model=chosen.morphable_model).encoder
    features = features_of_folder(
        chosen.unlabelled, [encoder], cache_folder=chosen.cache_folder, workers=chosen.workers,
        progress=chosen.progress,
    )[encoder.name]  # fmt: skip
    if len(features) < 2:
        raise ValueError(
            f"at least 2 photographs of {chosen.unlabelled} must show a face, got {len(features)}"
        )
    had = [CoefficientMoments.of(run.regressor, features) for run in runs]
    averaged = Regressor(**runs[0].content["regressor"]).eval()
    averaged.load_state_dict(average_of([run.regressor.state_dict() for run in runs]))
    kept = CoefficientMoments.of(averaged, features).variance.sum() / mean_of(had).variance.sum()
    give_moments(averaged, features, mean_of(had))
    weights = {f"{PREFIX}{name}": value for name, value in averaged.state_dict().items()}
    write_small(chosen.destination, weights, runs[0].step, content_of_average(runs))
    print(
        f"written: {chosen.destination}; the average of {len(runs)} runs, which kept {kept:.0%} of their "
        f"variance over {len(features)} photographs and has all of it again"
    )


def read_run(path: Path) -> Run:
    """A run's checkpoint, whose weights are the moving average where one was kept."""
    checkpoint = read_checkpoint(path)
    return Run(path, regressor_of(checkpoint), checkpoint["global_step"], content_of(checkpoint))


def why_not_averaged(runs: Sequence[Run]) -> str:
    """Why weights of these have no meaning on average; nothing if they have."""
    if len({run.path.resolve() for run in runs}) < max(len(runs), 2):
        return f"--of takes two or more different checkpoints, got {', '.join(str(run.path) for run in runs)}"
    first = runs[0]
    for run in runs:
        if run.content["stage"] != 2:
            return f"{run.path} is of stage 1; --of takes checkpoints of stage 2, which share one stage 1"
        if "tone_calibration" in run.content:
            return f"the skin tone of {run.path} is calibrated; average first, and calibrate afterwards"
        if "averaged" in run.content:
            return f"{run.path} is an average itself; name the runs that it is of"
        if differing := ", ".join(differences(first.content, run.content)):
            return (
                f"{run.path} and {first.path} did not go on from the same stage 1 on the same photographs: "
                f"they differ in {differing}"
            )
    return ""


def differences(content: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """What two runs must share to be averaged, and do not."""
    if not is_same_model(content, other):
        yield "the morphable model"
    of_stage_1, others = (stage_1_of(one["settings"]) for one in (content, other))
    yield from (name for name in of_stage_1 if of_stage_1[name] != others[name])
    if content["regressor"] != other["regressor"]:
        yield "the regressor's widths"
    # A network that one run alone learnt from must not judge what both gave.
    if content["networks"] != other["networks"]:
        yield "the networks"
    before, after = (one.get("training_data", NO_DATA)["digest"] for one in (content, other))
    trained = [one["training_photographs"] for one in (content, other) if "training_photographs" in one]
    if before != after or (len(trained) == 2 and not torch.equal(*trained)):
        yield "the photographs"


def stage_1_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of stage 1 among those that a checkpoint keeps, without the places of files."""
    known = Settings.__dataclass_fields__
    of_both = Settings(**{name: value for name, value in settings.items() if name in known}).resolved()
    own = of_both.of_stage_1() | {"pretraining": of_both.pretraining}
    return {name: value for name, value in own.items() if name not in PLACES}


def average_of(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights, by their names."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value)
        for name, value in states[0].items()
    }


def mean_of(moments: Sequence[CoefficientMoments]) -> CoefficientMoments:
    """The mean of runs' means, and that of their variances."""
    return CoefficientMoments(*(torch.stack(parts).mean(0) for parts in zip(*moments, strict=True)))


def content_of_average(runs: Sequence[Run]) -> dict[str, Any]:
    """What the new checkpoint keeps: the first run's content, and of all what they do not share."""
    content = {name: value for name, value in runs[0].content.items() if name not in NOT_KEPT}
    if terms := list(dict.fromkeys(run.content["terms"] for run in runs if "terms" in run.content)):
        content["terms"] = "; ".join(terms)
    if tones := [run.content["tone"] for run in runs if "tone" in run.content]:
        content["tone"] = {name: sum(tone[name] for tone in tones) / len(tones) for name in tones[0]}
    return content | {
        "averaged": [
            {
                "settings": settings_without_folders(run.content["settings"]),
                "commit": run.content.get("commit"),
                "step": run.step,
            }
            for run in runs
        ]
    }


if __name__ == "__main__":
    sys.exit(main())
