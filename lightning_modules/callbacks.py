"""What watches a run: progress, pictures, histograms, and the guard that stops a run gone wrong."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from .contact_sheets import contact_sheet, picture
from .plain.files import written_atomically
from .plain.output_folder import OutputFolder
from .plain.stand_in_label import STAND_IN
from .prediction import Prediction
from .regression import Regression, StepPictures
from .rendered_faces import render_from_the_front

# A weighted sum of losses beyond this is a run gone wrong: at the start it is of the order of 1 to 1000.
LARGEST_LOSS = 1e6
MOST_OVERFLOWS = 20  # in a row, of gradients that are scaled for 16 bits
PICTURE_PIXELS = 160  # a side of a step's pictures
HISTOGRAM_EDGES = np.linspace(-5, 5, 51)


class TrainingFailed(RuntimeError):
    """The losses are not finite, or exploded."""


class Guard(Callback):
    """Stops a run whose loss or gradient is not finite before it spoils the weights.

    Args:
        last_checkpoint: asked for what to name in the message; None while there is none.

    Attributes:
        began: whether a step was begun: all that a run continues from is in its place then.
    """

    def __init__(self, last_checkpoint: Callable[[], Path | None]) -> None:
        self.last_checkpoint = last_checkpoint
        self.overflows = 0
        self.began = False

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 - the hook's
        batch_idx: int,
    ) -> None:
        """Note that a checkpoint, if any, was restored."""
        self.began = True

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at the sum of the losses."""
        logged = {
            name: float(term) for name, term in trainer.callback_metrics.items() if "train/loss/" in name
        }
        # Logged values are means over all processes, so that all of them stop or none.
        value = logged.get("train/loss/total", float(loss.detach()))
        if np.isfinite(value) and abs(value) < LARGEST_LOSS:
            return
        bad = [name for name, term in logged.items() if not np.isfinite(term) or abs(term) >= LARGEST_LOSS]
        culprits = [name.removeprefix("train/loss/") for name in bad if not name.endswith("total")]
        raise self.failed(trainer, f"the loss became {value:g} ({', '.join(culprits) or 'their sum'})")

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradient."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if bool(torch.isfinite(torch.stack([gradient.norm() for gradient in gradients]).sum())):
            self.overflows = 0
            return
        self.overflows += 1
        # A gradient scaler begins too high on purpose: it skips such a step, and scales less from then on.
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if not scaled:
            raise self.failed(trainer, "a gradient is not finite")
        if self.overflows >= MOST_OVERFLOWS:
            raise self.failed(trainer, f"{self.overflows} gradients in a row are not finite")

    def failed(self, trainer: Trainer, reason: str) -> TrainingFailed:
        """What to raise, and what it says."""
        last = self.last_checkpoint()
        kept = "no checkpoint was written yet" if last is None else f"the last good checkpoint is {last}"
        return TrainingFailed(
            f"stopped at step {trainer.global_step}: {reason}; {kept}; try a lower --learning-rate, or "
            "smaller weights of the losses"
        )


class Termination(Callback):
    """SIGTERM, as schedulers send it, stops a run as Ctrl-C does: at once, on every process.

    Lightning's own handler waits for the other processes inside the signal, and hangs where they wait for a
    gradient. Lightning puts back the handler that was there before.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take Lightning's place."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, interrupt)


def interrupt(*_: object) -> None:
    """A signal's handler that does what Ctrl-C does."""
    raise KeyboardInterrupt


class _StageProgress(Progress):
    """A bar, and below it a line of losses that may wrap."""

    losses = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar's table, then the losses."""
        yield from super().get_renderables()
        yield Text(self.losses)


class ProgressBar(Callback):
    """A bar with stage, photographs per second and time left, the losses below it; logs the rate, too.

    No subclass of Lightning's RichProgressBar. That one counts the batches of an epoch, which has no end
    here; it shows all metrics in a column beside the bar, for which 80 columns are too few; it reads them at
    every step, for which a GPU has to wait; and the parts that would have to change are private.

    Args:
        stage: as shown.
        photographs: that a step renders, over all processes; in stage 1 the faces that it sees.
        unit: what they are.
        visible: whether to draw it.
    """

    def __init__(
        self, stage: str, photographs: int, *, unit: str = "photographs", visible: bool = True
    ) -> None:
        self.stage, self.photographs, self.unit, self.visible = stage, photographs, unit, visible
        self._bar: _StageProgress | None = None
        self._since: tuple[int, float] = (0, 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw it where the run stands."""
        self._since = (trainer.global_step, time.perf_counter())
        if self.visible and trainer.is_global_zero:
            self._bar = _StageProgress(
                TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
                TextColumn(f"{{task.fields[rate]:.0f}} {self.unit}/s"), TimeRemainingColumn(),
                TextColumn("left"),
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(
                self.stage, total=trainer.max_steps, completed=trainer.global_step, rate=0.0
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - the hook's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Advance; measure the rate where losses are logged."""
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]  # untyped there
            step, then = self._since
            now = time.perf_counter()
            rate = (trainer.global_step - step) * self.photographs / max(now - then, 1e-9)
            self._since = (trainer.global_step, now)
            pl_module.log("train/photographs_per_second", rate, rank_zero_only=True)
            if self._bar is not None:
                self._bar.losses = "  ".join(
                    f"{name.removeprefix('train/loss/').replace('_', ' ')} {float(value):.3g}"
                    for name, value in trainer.callback_metrics.items()
                    if name.startswith("train/loss/")
                )
                self._bar.update(self._task, rate=rate)
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class ImageGrid(Callback):
    """Pictures of a step after every validation: photograph, its views, and the face decoded from a view.

    They go into `folder`, as step_N.png, and to W&B. The photographs are the user's: so is the folder.

    Args:
        photographs: indices -> aligned photographs [B, 3, 224, 224].
        folder: of the pictures.
        stand_in: whether the photographs are renderings, which the pictures then say.
    """

    def __init__(
        self, photographs: Callable[[Sequence[int]], Tensor], folder: OutputFolder, *, stand_in: bool = False
    ) -> None:
        self.photographs, self.folder, self.stand_in = photographs, folder, stand_in
        self.last: StepPictures | None = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - the hook's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Keep the step's pictures until the next step's."""
        self.last = outputs["pictures"]

    @rank_zero_only
    def on_validation_end(  # type: ignore[override]  # a callback of this module alone
        self, trainer: Trainer, pl_module: Regression
    ) -> None:
        """Draw the last step's pictures."""
        pictures = self.last
        if trainer.sanity_checking or pictures is None:
            return
        photographs = self.photographs(pictures.index.tolist())
        columns = [photographs, *pictures.views.unbind(1)]
        names = [STAND_IN if self.stand_in else "photograph"]
        names += [f"view {number + 1}" for number in range(pictures.views.shape[1])]
        if pictures.decoded_again is not None:
            views = pictures.views.shape[1]
            first = Prediction(*(part[::views].clamp(-5, 5) for part in pictures.decoded_again))
            with torch.no_grad():
                columns.append(render_from_the_front(pl_module.teachers.model, first))
            names.append("loopback of view 1")
        rows = [[picture(image, PICTURE_PIXELS) for image in row] for row in zip(*columns, strict=True)]
        grid = contact_sheet(rows, columns=names)
        file = self.folder.claim(f"step_{trainer.global_step:07d}.png")
        with written_atomically(file) as temporary:
            grid.save(temporary)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("pictures", [grid], step=trainer.global_step)


class CoefficientHistograms(Callback):
    """How often each value of a coefficient occurs beside a standard normal, after every validation.

    Appends to `file` (CSV: step, from, to, shares of shape, of albedo, of a normal) and logs to W&B.

    Args:
        file: of the histograms.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @rank_zero_only
    def on_validation_end(  # type: ignore[override]  # a callback of this module alone
        self, trainer: Trainer, pl_module: Regression
    ) -> None:
        """Count."""
        if trainer.sanity_checking or pl_module.validated is None:
            return
        normal = np.diff(torch.special.ndtr(torch.from_numpy(HISTOGRAM_EDGES)).numpy())
        shares = [shares_in_bins(part) for part in pl_module.validated]
        is_new = not self.file.exists()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            if is_new:
                stream.write("step,from,to,shape,albedo,normal\n")
            for row in zip(HISTOGRAM_EDGES, HISTOGRAM_EDGES[1:], *shares, normal, strict=False):
                stream.write(f"{trainer.global_step},{','.join(f'{value:.6g}' for value in row)}\n")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                import wandb

                histograms = {
                    f"coefficients/{name}": wandb.Histogram(np_histogram=(values, HISTOGRAM_EDGES))
                    for name, values in zip(("shape", "albedo", "normal"), [*shares, normal], strict=True)
                }
                logger.experiment.log(histograms | {"trainer/global_step": trainer.global_step})


def shares_in_bins(coefficients: Tensor) -> np.ndarray:
    """The share of values in each bin; what lies beyond goes into the outermost."""
    values = coefficients.detach().float().cpu().numpy().ravel()
    counts, _ = np.histogram(values.clip(HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1]), HISTOGRAM_EDGES)
    return counts / max(1, len(values))
