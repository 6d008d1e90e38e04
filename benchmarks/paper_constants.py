"""What each reading of the paper's lost constants implies, and whether the paper's own sentences come true.

    python -m benchmarks.paper_constants --photographs DIR

The text of the paper at hand lost its formulas: whether coordinates are summed or averaged, w_batch and
w_loop are recollections. For each reading this trains `--method paper` and its three ablations, at a small
budget, and measures the gradient of each loss at the coefficients, at the start of stage 2 and after it; then
the reading that lets all losses act is trained for longer. Runs lie in runs/paper_constants; the same command
continues them. Writes benchmarks/paper_constants.md.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ablations import run
from ablations.runs import components
from ablations.runs.execution import Execution
from ablations.runs.fitting import FINAL
from ablations.runs.settings import Settings
from datamodules.photographs import Photographs
from datamodules.training_data import TrainingData
from evaluation.reporting.provenance import machine
from evaluation.reporting.results import Row, default_output, read_results
from lightning_modules.batches import StepBatch
from lightning_modules.checkpoints import load_regressor
from lightning_modules.losses import LossWeights, loopback_loss
from lightning_modules.plain.command_line import parse_settings
from lightning_modules.plain.output_file import check_new
from lightning_modules.prediction import Prediction
from lightning_modules.regression import Regression
from lightning_modules.regressor import Regressor
from lightning_modules.teachers import Teachers

REPORT = Path(__file__).with_suffix(".md")
RUNS = Path("runs/paper_constants")
LOSSES = ("parameter", "identity", "batch_distribution", "loopback")
# Steps of fresh batches over which gradients are averaged; training sees none of them at its first steps.
PROBED_STEPS = range(10_000, 10_004)
# Cheaper than --method paper at its full: the report says so.
BUDGET = (
    "--photographs-per-step=64 --rendered=8 --synthetic-faces=4096 --learning-rate=5e-4 --warmup-steps=10 "
    "--weight-decay=1e-4 --pretraining-weight-decay=1e-4 --gradient-norm-interval=0 "
    "--validation-interval=100000"
)
VARIANTS = {
    "full": "",
    "no batch distribution": "--no-batch-distribution",
    "no loopback": "--no-loopback",
    "one view": "--no-multi-view",
}


class Reading(NamedTuple):
    """One reading of the lost constants.

    Attributes:
        name: in words.
        options: that make it, beside --method paper.
    """

    name: str
    options: str


READINGS = tuple(
    Reading(f"{reduction}, w_loop {weight}", f"--reduction {reduction} --loopback-weight {weight}")
    for reduction in ("sum", "mean")
    for weight in ("1e-4", "1")
)
BALANCED = READINGS[-1]


class Length(NamedTuple):
    """A budget, and what is trained with it.

    Attributes:
        steps: of stage 2.
        pretraining_steps: of stage 1.
        variants: of each reading.
    """

    steps: int
    pretraining_steps: int
    variants: Mapping[Reading, Sequence[str]]


LENGTHS = (
    Length(100, 300, {reading: tuple(VARIANTS) for reading in READINGS}),
    Length(300, 1000, {BALANCED: tuple(VARIANTS)}),
)


class Outcome(NamedTuple):
    """What a trained variant is like.

    Attributes:
        judge: similarity of held-back photographs and their faces by the judge.
        training: the same by the training network.
        square: mean square of the coefficients, 1 under the prior.
        beyond: share of them beyond three standard deviations, 0.0027 under the prior.
        mean: average over components of |mean|.
        variance: average over components of the variance, 1 under the prior.
        loopback: root mean square between coefficients and those decoded from their renderings.
    """

    judge: float
    training: float
    square: float
    beyond: float
    mean: float
    variance: float
    loopback: float


class Probe(Regression):
    """A step whose losses are differentiated by the coefficients instead of the weights."""

    norms: Mapping[str, float] = {}
    residual: float = float("nan")

    def predict(self, batch: StepBatch) -> tuple[Prediction, Prediction | None]:
        """Coefficients that gradients end at."""
        photographs, synthetic = super().predict(batch)
        self._leaves = [part.detach().requires_grad_() for part in (*photographs, *(synthetic or ()))]
        shape, albedo, *rest = self._leaves
        return Prediction(shape, albedo), Prediction(*rest) if rest else None

    def weighted_sum(self, losses: dict[str, Tensor], step: int) -> Tensor:
        """Keep the norm of each weighted loss's gradient."""
        self.norms = {
            name: float(_norm(getattr(self.weights, name) * loss, self._leaves))
            for name, loss in losses.items()
        }
        return torch.stack(list(losses.values())).sum()


class Bench:
    """Runs and measurements on one folder of photographs.

    Args:
        photographs: as for run.py.
        length: of all runs.
    """

    def __init__(self, photographs: str, length: Length) -> None:
        self.length = length
        self.options = ["--method=paper", f"--photographs={photographs}", *self.budget.split()]
        self.settings, self.execution = self.parsed()

    @property
    def budget(self) -> str:
        """The options that all runs share."""
        steps, pretraining_steps, _ = self.length
        return f"--max-steps={steps} --pretraining-steps={pretraining_steps} {BUDGET}"

    def parsed(self, *more: str) -> tuple[Settings, Execution]:
        """The resolved settings of a run with these options, too."""
        settings, execution = parse_settings(
            (Settings, Execution), [*self.options, *more], program="run.py", description=""
        )
        return settings.resolved(), execution

    @cached_property
    def teachers(self) -> Teachers:
        """Of all runs."""
        return components.load_teachers(self.settings, self.execution)

    @cached_property
    def photographs(self) -> Photographs:
        """Of all runs."""
        photographs = components.photographs_of(self.settings, self.execution, self.teachers)
        components.prepare(photographs, self.settings)
        return photographs

    @cached_property
    def data(self) -> TrainingData:
        """Batches as in training."""
        synthetic = components.synthetic_of(
            self.settings, self.execution, self.teachers.model, self.teachers.encoder, stage=2
        )
        data = TrainingData(self.photographs, synthetic, rendered=self.settings.rendered)
        data.prepare_data()
        data.setup()
        return data

    def train(self, reading: Reading, variant: str) -> Path:
        """The folder of a finished run."""
        name = f"{self.length.steps} {reading.name} {variant}"
        folder = RUNS / name.replace(" ", "_").replace(",", "")
        words = [*self.options, *reading.options.split(), *VARIANTS[variant].split(), f"--output={folder}"]
        if run.main([*words, "--no-progress"]):
            raise SystemExit(f"error: the run in {folder} failed")
        return folder

    def pretrained(self, reading: Reading) -> Regressor:
        """The regressor with which stage 2 begins."""
        settings, execution = self.parsed(*reading.options.split())
        own = run.identity_of_stage_1(settings, execution, self.teachers)
        return load_regressor(default_output(run.STAGE_1, own) / FINAL)[0]

    def norms(self, regressor: Regressor, reading: Reading) -> dict[str, float]:
        """The gradient of each weighted loss at the coefficients, its norm averaged over steps."""
        settings, execution = self.parsed(*reading.options.split())
        probe = self.probe(regressor, settings, execution)
        steps = []
        for step in PROBED_STEPS:
            probe.training_step(self.data.batch(step), 0)
            steps.append(probe.norms)
        return {name: sum(norms[name] for norms in steps) / len(steps) for name in LOSSES}

    def probe(self, regressor: Regressor, settings: Settings, execution: Execution) -> Probe:
        """A regressor's losses under settings."""
        learnt = components.Learnt({}, None, None, self.photographs.dataset.batch([0]))
        module = run.regression_of(regressor, self.teachers, learnt, settings, execution)
        return Probe(regressor, self.teachers, module.weights, module.rendering, module.optimisation)

    @torch.no_grad()
    def outcome(self, folder: Path) -> Outcome:
        """What the run in a folder came to, by its own results and by its coefficients of held-back faces."""
        rows = read_results(folder).rows
        regressor, _ = load_regressor(folder / FINAL)
        held_back = self.photographs.dataset.batch(self.photographs.validation)
        predicted = regressor(held_back.features[self.teachers.encoder.name])
        coefficients = torch.cat(predicted, 1)
        probe = self.probe(regressor, self.settings, self.execution)
        residuals = []
        for step in PROBED_STEPS:
            batch = self.data.batch(step)
            rendered = probe.render(probe.predict(batch)[0], batch)
            seen = self.teachers.see(rendered.images, identify=False)
            assert seen.features is not None
            again = regressor(seen.features)
            plain = LossWeights(
                1, 0, 0, 1, 0, 0, shape=0.5, albedo=0.5, reduction="mean", mean_penalty="squared"
            )
            residuals.append(float(loopback_loss(rendered.predicted, again, plain)))
        return Outcome(
            _value(rows, "similarity", "judge"),
            _value(rows, "similarity", "training network"),
            float(coefficients.square().mean()),
            float((coefficients.abs() > 3).float().mean()),
            float(coefficients.mean(0).abs().mean()),
            float(coefficients.var(0).mean()),
            (sum(residuals) / len(residuals)) ** 0.5,
        )


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", required=True)
    parser.add_argument("--output", type=Path, default=REPORT)
    given = parser.parse_args(arguments)
    check_new(given.output, but=REPORT)
    lines = [
        "# The paper's lost constants", "",
        f"`python -m benchmarks.paper_constants --photographs DIR` on {date.today()}: {machine()['cores']} "
        f"cores, torch {torch.__version__}. What follows from it: "
        "[training](../docs/training.md#the-lost-constants).",
        "",
    ]  # fmt: skip
    for length in LENGTHS:
        lines += section(Bench(given.photographs, length))
    given.output.write_text("\n".join(lines), encoding="utf-8")
    print(given.output.read_text(encoding="utf-8"))


def section(bench: Bench) -> Iterator[str]:
    """All of one budget: its runs, their gradients, their outcomes."""
    norms: dict[str, dict[str, float]] = {}
    outcomes: dict[str, dict[str, Outcome]] = {}
    for reading, variants in bench.length.variants.items():
        folders = {variant: bench.train(reading, variant) for variant in variants}
        norms[f"{reading.name}: at the start"] = bench.norms(bench.pretrained(reading), reading)
        trained = load_regressor(folders["full"] / FINAL)[0]
        norms[f"{reading.name}: after training"] = bench.norms(trained, reading)
        outcomes[reading.name] = {variant: bench.outcome(folder) for variant, folder in folders.items()}
    yield f"## {bench.length.steps} steps"
    yield ""
    yield (
        f"Each run is `ablations/run.py --method paper {bench.budget}` with the options of the reading and "
        f"of the variant, on {len(bench.photographs.training):,} photographs: the moments of 64 a step, "
        "8 of them rendered, a pool of 4,096 synthetic faces. One seed."
    )
    yield ""
    yield from norm_table(norms)
    yield from outcome_table(outcomes)


def norm_table(norms: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The gradients, a line a reading and time."""
    names = [name.replace("_", " ") for name in LOSSES]
    lines = [
        "Norm of each weighted loss's gradient by all coefficients of a step, over 4 steps. w_batch is 10; "
        "under another weight its column is as many times larger.", "",
        f"| reading | {' | '.join(names)} | largest / identity |", "|---" * (len(names) + 2) + "|",
    ]  # fmt: skip
    for name, values in norms.items():
        ratio = max(values.values()) / values["identity"]
        cells = " | ".join(f"{values[loss]:.3g}" for loss in LOSSES)
        lines.append(f"| {name} | {cells} | {ratio:.3g} |")
    return [*lines, ""]


def outcome_table(outcomes: Mapping[str, Mapping[str, Outcome]]) -> list[str]:
    """What became of the variants, a line each."""
    lines = [
        "Held-back photographs: similarity by the judge and by the training network, and the coefficients "
        "(under the prior: square 1, beyond three deviations 0.0027, variance 1). The last column is the "
        "root mean square between coefficients and those decoded from the rendering.", "",
        "| reading | variant | judge | training network | mean square | beyond 3 sd | \\|mean\\| | variance "
        "| loopback |",
        "|---" * 9 + "|",
    ]  # fmt: skip
    for reading, variants in outcomes.items():
        for variant, one in variants.items():
            cells = " | ".join(f"{value:.3f}" for value in one)
            lines.append(f"| {reading} | {variant} | {cells} |")
    return [*lines, ""]


def _norm(loss: Tensor, leaves: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()


def _value(rows: Sequence[Row], metric: str, role: str) -> float:
    (row,) = (
        row
        for row in rows
        if row.metric == metric and row.method == "this run" and f", {role} " in row.protocol
    )
    assert row.value is not None
    return row.value


if __name__ == "__main__":
    main()
