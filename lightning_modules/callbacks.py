"""What watches a run: progress, pictures, histograms, and the guard that stops a run gone wrong."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
from .late_values import LateValues
from .plain.files import written_atomically
from .plain.output_folder import OutputFolder
from .plain.stand_in_label import STAND_IN
from .prediction import Prediction
from .regression import Regression, StepPictures
from .rendered_faces import render_from_the_front
from .rendering.rasterizer import can_be_read

# A weighted sum of losses beyond this is a run gone wrong: at the start it is of the order of 1 to 1000.
LARGEST_LOSS = 1e6
MOST_OVERFLOWS = 20  # in a row, of gradients that are scaled for 16 bits
PICTURE_PIXELS = 160  # a side of a step's pictures
HISTOGRAM_EDGES = np.linspace(-5, 5, 51)


class TrainingFailed(RuntimeError):
    """The losses are not finite, or exploded."""


class Guard(Callback):
    """Stops a run whose loss or gradient is not finite before it spoils the weights.

    On the CPU, a step's values are looked at in the step. A GPU would have to be waited for: there a step
    whose values are wrong changes no weight, by a choice that the GPU makes itself, and the host reads them a
    step later, or before a checkpoint is written.

    Args:
        last_checkpoint: asked for what to name in the message; None while there is none.
        learning_rate: the option that sets the stage's.
        at_once: whether values are read in their own step; None decides by the device.
        late: how they are read later.
    """

    def __init__(
        self,
        last_checkpoint: Callable[[], Path | None],
        *,
        learning_rate: str = "--learning-rate",
        at_once: bool | None = None,
        late: Callable[[Tensor], LateValues] = LateValues,
    ) -> None:
        self.last_checkpoint, self.at_once, self.late = last_checkpoint, at_once, late
        self.learning_rate = learning_rate
        self.overflows = 0
        self._sound: Tensor | None = None
        self._unread: list[Unread] = []

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at the sum of the losses."""
        logged = {name: term for name, term in trainer.callback_metrics.items() if "train/loss/" in name}
        # Logged values are means over all processes, so that all of them stop or none.
        total = logged.get("train/loss/total", loss.detach())
        logged = {name: term for name, term in logged.items() if name != "train/loss/total"}
        names, values = [*logged, ""], [*logged.values(), total]
        if self._reads_at_once(loss):
            self._judge_losses(trainer, trainer.global_step, names, [float(value) for value in values])
            return
        # Means over processes were made in float32.
        together = torch.stack([value.float() for value in values])
        small = together[-1].abs() < LARGEST_LOSS  # false for NaN, too
        self._sound = small if self._sound is None else self._sound & small
        self._unread.append(Unread(trainer.global_step, names, self.late(together)))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradient."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        norms = torch.stack([gradient.norm() for gradient in gradients]).sum()
        if self._reads_at_once(norms):
            self._judge_gradient(trainer, trainer.global_step, float(norms))
            return
        # A gradient scaler skips such a step itself.
        if not _is_scaled(trainer):
            finite = torch.isfinite(norms)
            sound = finite if self._sound is None else finite & self._sound
            for gradient in gradients:
                gradient.masked_fill_(~sound, 0)
        self._sound = None
        self._unread.append(Unread(trainer.global_step, None, self.late(norms.float()[None])))
        self._judge_steps_before(trainer, trainer.global_step)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write none of a run gone wrong; weights are copied from the GPU now, so nothing waits for this."""
        self._judge_steps_before(trainer, trainer.global_step + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last steps."""
        self._judge_steps_before(trainer, trainer.global_step + 1)

    def _reads_at_once(self, value: Tensor) -> bool:
        return can_be_read(value) if self.at_once is None else self.at_once

    def _judge_steps_before(self, trainer: Trainer, step: int) -> None:
        due = [unread for unread in self._unread if unread.step < step]
        self._unread = [unread for unread in self._unread if unread.step >= step]
        for unread in due:
            values = unread.values.read()
            if unread.names is None:
                self._judge_gradient(trainer, unread.step, values[0])
            else:
                self._judge_losses(trainer, unread.step, unread.names, values)

    def _judge_losses(
        self, trainer: Trainer, step: int, names: Sequence[str], values: Sequence[float]
    ) -> None:
        """Raise where the last value, their sum, is wrong, naming the others that are."""
        if np.isfinite(values[-1]) and abs(values[-1]) < LARGEST_LOSS:
            return
        wrong = [
            name.removeprefix("train/loss/")
            for name, value in zip(names[:-1], values, strict=False)
            if not np.isfinite(value) or abs(value) >= LARGEST_LOSS
        ]
        reason = f"the loss became {values[-1]:g} ({', '.join(wrong) or 'their sum'})"
        raise self.failed(trainer, reason, step=step)

    def _judge_gradient(self, trainer: Trainer, step: int, norms: float) -> None:
        if np.isfinite(norms):
            self.overflows = 0
            return
        self.overflows += 1
        # A gradient scaler begins too high on purpose: it skips such a step, and scales less from then on.
        if not _is_scaled(trainer):
            raise self.failed(trainer, "a gradient is not finite", step=step)
        if self.overflows >= MOST_OVERFLOWS:
            raise self.failed(trainer, f"{self.overflows} gradients in a row are not finite", step=step)

    def failed(self, trainer: Trainer, reason: str, *, step: int | None = None) -> TrainingFailed:
        """What to raise, and what it says; `step` is the trainer's if not given."""
        last = self.last_checkpoint()
        kept = "no checkpoint was written yet" if last is None else f"the last good checkpoint is {last}"
        self._alert(trainer, f"stopped at step {trainer.global_step}: {reason}")
        return TrainingFailed(
            f"stopped at step {trainer.global_step if step is None else step}: {reason}; {kept}; try a lower "
            f"{self.learning_rate}, or smaller weights of the losses"
        )

    @staticmethod
    @rank_zero_only
    def _alert(trainer: Trainer, text: str) -> None:
        """Tell whoever has asked W&B to be told, by e-mail or otherwise."""
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.alert(title="training failed", text=text, level="ERROR")


class Unread(NamedTuple):
    """Values of a step that the host has not looked at.

    Attributes:
        step: whose they are.
        names: of the losses, the last one their sum; None where the value is the gradients' norm.
        values: on their way.
    """

    step: int
    names: list[str] | None
    values: LateValues


def _is_scaled(trainer: Trainer) -> bool:
    """Whether gradients are scaled, as in 16 bits."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


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

    They go into `folder`, as step_N.png, and to W&B without the photographs: those are the user's, and so is
    the folder.

    Args:
        photographs: indices -> aligned photographs [B, 3, 224, 224].
        folder: of the pictures.
        stand_in: whether the photographs are renderings, which the pictures then say; W&B gets those, too.
        sends_photographs: whether W&B gets the photographs, too.
    """

    def __init__(
        self,
        photographs: Callable[[Sequence[int]], Tensor],
        folder: OutputFolder,
        *,
        stand_in: bool = False,
        sends_photographs: bool = False,
    ) -> None:
        self.photographs, self.folder, self.stand_in = photographs, folder, stand_in
        self.first_sent = 0 if stand_in or sends_photographs else 1
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
                sent = contact_sheet(
                    [row[self.first_sent :] for row in rows], columns=names[self.first_sent :]
                )
                logger.log_image("pictures", [sent], step=trainer.global_step)


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
                logger.log_metrics(histograms, step=trainer.global_step)  # type: ignore[arg-type]  # W&B takes them


def shares_in_bins(coefficients: Tensor) -> np.ndarray:
    """The share of values in each bin; what lies beyond goes into the outermost."""
    values = coefficients.detach().float().cpu().numpy().ravel()
    counts, _ = np.histogram(values.clip(HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1]), HISTOGRAM_EDGES)
    return counts / max(1, len(values))
