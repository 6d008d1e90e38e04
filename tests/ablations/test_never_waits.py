"""Steps of both stages on device "meta": they neither wait for a GPU nor mix devices; see `tests.waiting`."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from ablations import run
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from datamodules.sampling import StepLoader
from datamodules.synthetic_faces import SyntheticFaces
from lightning_modules import losses, regression
from lightning_modules.callbacks import Guard, ProgressBar
from lightning_modules.losses import OF_SYNTHETIC
from lightning_modules.moving_average import MovingAverage
from lightning_modules.optimisation import Optimisation
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.pretraining import Pretraining
from lightning_modules.recognition.similarity import Centre
from lightning_modules.regression import Regression
from lightning_modules.regressor import Regressor
from lightning_modules.skin_tone import ToneTarget
from lightning_modules.teachers import Teachers
from tests.lightning_modules.steps import step_of
from tests.miniatures import SmallBatch, SmallFaces, SmallSynthetic
from tests.waiting import META, NeverWaits, Waits, on_meta

from .small_run import small_teachers

SIZE = 8
# Every switch of a run, and parts that have other code; the gradient of each loss is measured in one of them.
SWITCHES: dict[str, dict[str, object]] = {
    "all": {},
    "no identity": {"identity": False},
    "no batch distribution": {"batch_distribution": False},
    "no loopback": {"loopback": False},
    "no parameter": {"parameter": False},
    "no contrast": {"contrast": False},
    "no tone": {"tone": False},
    "no known tone": {"known_tone": False},
    "nothing rendered": {"identity": False, "contrast": False, "loopback": False},
    "no embeddings": {"identity": False, "contrast": False},
    "one view": {"multi_view": False},
    "no pretraining": {"pretraining": False, "linear_start": 0.0},
    "no linear start": {"linear_start": 0.0},
    "no cheek colour": {"cheek_colour": False},
    "not centred": {"centred": False},
    "no jitter": {"jitter": 0.0},
    "jitter": {"jitter": 0.02},
    "two networks": {"identity_network": "facenet"},
    "two identity networks": {"second_identity_network": "facenet"},
    "three networks": {"identity_network": "facenet", "second_identity_network": "dlib"},
    "landmarks": {"landmark_weight": 1.0},
    "squared means": {"mean_penalty": "squared"},
    "summed": {"reduction": "sum"},
}


def settings_of(method: str, **switches: object) -> Settings:
    sizes = {"rendered": 2, "views": None if "multi_view" in switches else 2, "photographs_per_step": SIZE}
    return Settings(method=method, hidden_width=16, **sizes, **switches).resolved()


def stage_2(settings: Settings, *, measured: bool = False) -> tuple[Regression, SmallBatch]:
    """Stage 2 as a run builds it, and a step's share as its loader makes it, all on the CPU."""
    teachers = small_teachers(settings, Execution())
    encoder = teachers.encoder
    own = torch.zeros(3) if settings.cheek_colour else None
    tone = ToneTarget(torch.rand(8, 3), torch.tensor([60.0, 5.0, 10.0]), torch.linspace(60, -60, 61), own)
    centres = {}
    if settings.centred:
        for network in teachers.by_role.values():
            centres[network.name] = Centre(torch.rand(8), network.name, network.sha256, "made up", 500)
    marked = settings.landmark_weight > 0
    learnt = SimpleNamespace(
        centres=centres, tone=tone if settings.weights.tone else None,
        landmarks=LandmarkTarget.of_model(teachers.model) if marked else None,
    )  # fmt: skip
    execution = Execution(gradient_norm_interval=1 if measured else 0)
    module = run.regression_of(regressor_of(teachers, settings), teachers, learnt, settings, execution)
    embeddings = {network.name: unit(torch.rand(SIZE, 8)) for network in teachers.by_role.values()}
    return module, SmallBatch(
        1, SIZE, 0,
        SmallFaces(torch.arange(SIZE), {encoder.name: torch.rand(SIZE, encoder.feature_width)}, embeddings,
                   100 * torch.rand(SIZE, 68, 2) if marked else None),
        synthetic_of(encoder.feature_width) if settings.weights.on & OF_SYNTHETIC else None,
        module.draw_scenes(1, SIZE, 0, SIZE),
    )  # fmt: skip


def regressor_of(teachers: Teachers, settings: Settings) -> Regressor:
    width = teachers.encoder.feature_width
    return Regressor(width, 4, 3, hidden_width=16, linear_path=settings.linear_path)


def synthetic_of(width: int) -> SmallSynthetic:
    return SmallSynthetic(torch.randn(4, 4), torch.randn(4, 3), torch.rand(4, width))


def unit(values: Tensor) -> Tensor:
    return torch.nn.functional.normalize(values, dim=1)


def moved(module: Regression) -> Regression:
    """Onto "meta", as a trainer moves what it knows, and `setup` the rest."""
    module.to(META)
    module.setup("fit")
    return module


@pytest.mark.parametrize("method", ["suite", "paper"])
@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_a_step_of_stage_2_never_waits(method: str, switches: dict[str, object]) -> None:
    module, batch = stage_2(settings_of(method, **switches), measured=not switches)
    moved(module)
    batch = on_meta(batch)
    step_of(module, batch)  # constants are copied at the first step
    with NeverWaits():
        terms, loss, _ = step_of(module, batch)
        loss.backward()
    assert set(terms) == module.weights.on
    assert all(p.grad is not None and p.grad.is_meta for p in module.regressor.parameters())


@pytest.mark.parametrize("linear_path", [False, True])
def test_a_step_of_stage_1_never_waits(linear_path: bool) -> None:
    module = pretraining(linear_path).to(META)
    object.__setattr__(module, "log", lambda *_: None)
    batch = on_meta(synthetic_of(20))
    with NeverWaits():
        module.training_step(batch, 0).backward()
    assert all(p.grad is not None and p.grad.is_meta for p in module.parameters())


def pretraining(linear_path: bool) -> Pretraining:
    regressor = Regressor(20, 4, 3, hidden_width=16, linear_path=linear_path)
    return Pretraining(regressor, settings_of("suite").weights, Optimisation(1e-3, 0.1, 0, 10))


def test_fresh_synthetic_faces_are_rendered_without_a_wait() -> None:
    teachers = small_teachers(settings_of("suite"), Execution())
    faces = SyntheticFaces(teachers.model.to(META), teachers.encoder.to(META), pool_size=None, batch_size=4)
    drawn = on_meta(faces.prepared(0))
    faces.complete(drawn)
    with NeverWaits():
        batch = faces.complete(drawn)
    assert all(part.is_meta for part in batch)


# ------------------------------------------------------------------ a whole trainer


class MetaStrategy(SingleDeviceStrategy):
    """Trains on "meta", of which nothing can be brought back at the end."""

    def __init__(self) -> None:
        super().__init__(device=META, accelerator=MetaAccelerator())

    def teardown(self) -> None:
        """Leave all where it is."""


class MetaAccelerator(CPUAccelerator):
    """Lightning's for the CPU, with another device."""

    def setup_device(self, device: torch.device) -> None:
        """Anything goes."""


class Watch(Callback):
    """Watches from the second step to the end."""

    def __init__(self) -> None:
        self.context, self.steps = NeverWaits(), 0

    def on_train_batch_start(self, *hook: object) -> None:
        if self.steps == 1:
            self.context.__enter__()

    def on_train_batch_end(self, *hook: object) -> None:
        self.steps += 1

    def on_train_end(self, *hook: object) -> None:
        self.context.__exit__(None, None, None)

    def on_exception(self, *hook: object) -> None:
        self.on_train_end()


NO_VALIDATION = pytest.mark.filterwarnings("ignore:You defined a `validation_step`")


def train_on_meta(module: LightningModule, batch: Callable[[int], object]) -> list[int]:
    """How many steps later the guard read each of the values that it looks at, over five steps."""
    ages: list[int] = []
    watch = Watch()

    def late(values: Tensor) -> SimpleNamespace:
        step = watch.steps

        def read() -> list[float]:
            ages.append(watch.steps - step)
            return [0.0] * len(values)

        return SimpleNamespace(read=read)

    trainer = Trainer(
        strategy=MetaStrategy(), max_steps=5, max_epochs=-1, log_every_n_steps=100, gradient_clip_val=5.0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[
            Guard(lambda: None, late=late), MovingAverage(0.9), ProgressBar("it", 2, visible=False), watch,
        ],
    )  # fmt: skip
    object.__setattr__(trainer, "_teardown", lambda: None)  # it would bring logged values back
    trainer.fit(module, StepLoader(batch, lambda: 0))
    assert watch.steps == 5
    return ages


@NO_VALIDATION
def test_between_two_rows_of_the_log_a_trainer_never_waits_in_stage_2() -> None:
    module, batch = stage_2(settings_of("suite"))
    module.optimisation = replace(module.optimisation, fused=False)  # which "meta" does not know
    ages = train_on_meta(module, lambda step: batch._replace(step=step))
    # The losses and the gradient of each step, when the next one has been given to the device.
    assert ages[:8] == [1] * 8


@NO_VALIDATION
def test_between_two_rows_of_the_log_a_trainer_never_waits_in_stage_1() -> None:
    train_on_meta(pretraining(True), lambda step: synthetic_of(20))


# ------------------------------------------------------------------ what would be found


def spoilt_step(spoil: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of stage 2 whose identity loss is changed."""

    def identity_loss(*arguments: object) -> Tensor:
        return spoil(losses.identity_loss(*arguments))

    monkeypatch.setattr(regression, "identity_loss", identity_loss)
    module, batch = stage_2(settings_of("suite"))
    moved(module)
    batch = on_meta(batch)
    with NeverWaits():
        step_of(module, batch)[1].backward()


HOST = torch.ones(3)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda loss: loss * float(loss.detach()), RuntimeError),
        (lambda loss: loss if loss > 0 else -loss, RuntimeError),
        (lambda loss: loss + HOST.to(META).sum(), Waits),
        (lambda loss: loss + (loss.expand(3) * HOST).sum(), RuntimeError),
        (lambda loss: loss + loss.expand(3)[torch.arange(2)].sum(), Waits),
        (lambda loss: loss + loss.new_tensor([1.0, 2.0]).sum(), Waits),
        (lambda loss: loss + torch.tensor([1.0], device=META).sum(), Waits),
        (lambda loss: loss + torch.nonzero(loss.expand(3)).sum(), NotImplementedError),
        (lambda loss: loss + loss.expand(3)[loss.expand(3) > 0].sum(), RuntimeError),
    ],
    ids=[
        "float", "bool", "copy", "host tensor", "host index", "new_tensor", "tensor",
        "nonzero", "mask",
    ],
)  # fmt: skip
def test_what_waits_or_comes_from_the_host_is_found(
    spoil: Callable[[Tensor], Tensor], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt_step(lambda loss: loss, monkeypatch)
    with pytest.raises(error):
        spoilt_step(spoil, monkeypatch)
