"""Checkpoints: written whole or not at all, read without importing anything of ours, checked before use."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from .checkpoint_files import why_not_whole, write_sealed

# Under KEY a checkpoint keeps what is ours; the rest is Lightning's.
from .checkpoint_schema import FINGERPRINT, KEY, PREFIX, check_checkpoint
from .faces.morphable_model import MorphableModel
from .plain.files import require_file, written_atomically
from .plain.saved_objects import read_saved
from .recognition.encoder_names import ending
from .recognition.network import RecognitionNetwork
from .recognition.network_names import place_of_network
from .recognition.similarity import Centre
from .regressor import Regressor

WHAT = "a checkpoint that ablations/run.py wrote"
# Settings that may name a file or folder.
PLACES = (
    "photographs", "morphable_model", "encoder", "identity_network", "second_identity_network", "judge",
)  # fmt: skip


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and then moves it there: a stopped run leaves no half of one."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ANN401 - the interface's
    ) -> None:
        """Write; what cannot be written leaves the last checkpoint as it was.

        Raises:
            OSError: with the sentence that names the file and its space, when the disk is full.
        """
        try:
            with written_atomically(Path(path), durable=True) as temporary:
                write_sealed(checkpoint, temporary)
        except (OSError, RuntimeError) as error:
            # torch's writer turns a full disk into a RuntimeError of its own; the disk's words came first.
            *_, reason = (error, *(one for one in _chain(error) if isinstance(one, OSError)))
            kept = "the one before it is whole" if Path(path).is_file() else "there is none before it"
            raise OSError(
                f"checkpoint {path} could not be written ({reason}); {kept}: free some space and start "
                "the same command again"
            ) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class CheckpointAfterLogging(ModelCheckpoint):
    """Saves when a step's row is in the log; Lightning's saves before, and a run killed between loses it."""

    def on_train_batch_end(self, *hook: Any) -> None:  # noqa: ANN401 - the hook's
        """Too early."""

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Save what the steps before have reached, if it is due and not saved yet."""
        super().on_train_batch_end(trainer, pl_module, None, batch, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """No batch starts after the last step."""
        super().on_train_batch_end(trainer, pl_module, None, None, 0)


class StepsGoOn(Callback):
    """Logs and validations go on at the step at which a run continues.

    Lightning assumes that a checkpoint was saved within a batch. After one that was saved between two batches
    (see `CheckpointAfterLogging`) it counts one step too many, once more each time that the run continues:
    curves move, and validations come too early. Comes before every callback that logs.
    """

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 - the hook's
        batch_idx: int,
    ) -> None:
        """Count as the optimiser does."""
        loop = trainer.fit_loop.epoch_loop
        loop._batches_that_stepped = trainer.global_step
        loop.batch_progress.total.ready = loop.batch_progress.total.completed + 1


class FolderMayMove(Callback):
    """A run whose folder was moved goes on with its best score.

    Lightning forgets it then, and a worse checkpoint would replace the best one.
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Name the best checkpoint where it lies now, if the run goes on in the folder of its checkpoint."""
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint["callbacks"].get(callback.state_key)
            if not isinstance(callback, ModelCheckpoint) or not isinstance(state, dict):
                continue
            here, best = Path(str(callback.dirpath)), state.get("best_k_models")
            goes_on = Path(str(trainer.ckpt_path)).resolve().parent == here.resolve()
            if goes_on and isinstance(best, dict) and state.get("dirpath") != callback.dirpath:
                moved = {
                    name: str(here / Path(state[name]).name)
                    for name in ("best_model_path", "kth_best_model_path", "last_model_path")
                    if state.get(name)
                }
                models = {str(here / Path(path).name): score for path, score in best.items()}
                moved_state = state | moved | {"best_k_models": models, "dirpath": callback.dirpath}
                checkpoint["callbacks"][callback.state_key] = moved_state


class Provenance(Callback):
    """Keeps in every checkpoint what it was trained with, and the random states.

    Args:
        content: see `checkpoint_content`.
        extra: more of it, asked at every save, such as the run's id at W&B.
    """

    def __init__(self, content: dict[str, Any], extra: Callable[[], dict[str, Any]] | None = None) -> None:
        self.content, self.extra = content, extra

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add ours."""
        more = {} if self.extra is None else self.extra()
        checkpoint[KEY] = self.content | more | {"random_state": torch.get_rng_state()}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from its random state."""
        torch.set_rng_state(content_of(checkpoint)["random_state"].cpu())


def checkpoint_content(
    *,
    stage: int,
    regressor: Regressor,
    model: MorphableModel,
    networks: dict[str, RecognitionNetwork],
    centres: dict[str, Centre],
    **rest: Any,  # noqa: ANN401 - strings, numbers, and dictionaries of them
) -> dict[str, Any]:
    """What a checkpoint keeps besides weights: everything needed to use it and to know where it came from.

    Args:
        stage: 1 or 2.
        regressor: whose widths are kept.
        model: the morphable model; its description, hash and fingerprint are kept, none of its tensors.
        networks: by role: encoder, identity, judge, and second_identity where there is one.
        centres: by network.
        **rest: settings, training data, commit.
    """
    return {
        "stage": stage,
        "regressor": regressor.widths,
        **content_of_model(model),
        "networks": {
            role: {"name": network.name, "sha256": network.sha256} for role, network in networks.items()
        },
        "centres": {name: centre.as_dict() for name, centre in centres.items()},
        **rest,
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, its content checked, see `checkpoint_schema`.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is damaged, or another program's.
    """
    require_file(path, WHAT)
    checkpoint = read_saved(path, WHAT)
    if reason := why_not_whole(path):
        raise ValueError(f"{path} was changed after it was written ({reason}); get it again: expected {WHAT}")
    check_checkpoint(checkpoint, str(path))
    return checkpoint


def content_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What `checkpoint_content` put in."""
    return checkpoint[KEY]


def load_regressor(path: Path) -> tuple[Regressor, dict[str, Any]]:
    """The trained regressor (its moving average, where one was kept), and the checkpoint's content."""
    checkpoint = read_checkpoint(path)
    return regressor_of(checkpoint), content_of(checkpoint)


def regressor_of(checkpoint: dict[str, Any]) -> Regressor:
    """A checkpoint's trained regressor, to use."""
    regressor = Regressor(**content_of(checkpoint)["regressor"])
    load_weights(regressor, checkpoint)
    return regressor.eval()


def load_weights(regressor: Regressor, checkpoint: dict[str, Any]) -> None:
    """Put a checkpoint's weights into a regressor of the same widths."""
    weights = checkpoint["state_dict"]
    regressor.load_state_dict(
        {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    )


def content_of_model(model: MorphableModel) -> dict[str, Any]:
    """What a checkpoint keeps of its morphable model."""
    return {"morphable_model": model.describe(), FINGERPRINT: model.fingerprint()}


def is_same_model(kept: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether two contents are of one morphable model.

    Of a model that comes as a file the hashes must be equal. The open model is built where it is needed, and
    comes out with another rounding under another version of a library: there its name and its fingerprint
    must be.
    """
    model, other = kept["morphable_model"], asked["morphable_model"]
    if any(model[field] != other[field] for field in ("shape_components", "albedo_components")):
        return False
    if model["sha256"] == other["sha256"]:
        return True
    if not model["kind"] == other["kind"] == "open" or model["name"] != other["name"]:
        return False
    return FINGERPRINT in kept and torch.allclose(kept[FINGERPRINT], asked[FINGERPRINT], rtol=0, atol=1e-3)


def check_same(kept: dict[str, Any], asked: dict[str, Any]) -> None:
    """Refuse to use a checkpoint with another morphable model or encoder than it was trained with.

    Raises:
        ValueError: naming both.
    """
    if not is_same_model(kept, asked):
        raise ValueError(
            f"the checkpoint was trained with {described(kept['morphable_model'])}, this run has "
            f"{described(asked['morphable_model'])}; give the same --morphable-model and components, or "
            "start anew"
        )
    encoder, wanted = kept["networks"]["encoder"], asked["networks"]["encoder"]
    if encoder["sha256"] != wanted["sha256"]:
        raise ValueError(
            f"the checkpoint was trained with the encoder {encoder['name']} ({encoder['sha256'][:12]}), this "
            f"run has {wanted['name']} ({wanted['sha256'][:12]}); give the same --encoder, --encoder-crops "
            "and --cheek-colour (-8crops and -colour in a name say that they are on), or start anew"
        )


def check_continues(kept: dict[str, Any], asked: dict[str, Any], name: str) -> None:
    """Refuse to continue from a checkpoint whose run is not the one that was asked for.

    Args:
        kept: the checkpoint's content.
        asked: this run's.
        name: of the checkpoint.

    Raises:
        ValueError: saying what differs.
    """
    if kept["stage"] != asked["stage"]:
        raise ValueError(
            f"{name} is of stage {kept['stage']}, and stage {asked['stage']} cannot go on from it"
        )
    check_same(kept, asked)
    if kept["regressor"] != asked["regressor"]:
        raise ValueError(
            f"{name} holds a regressor of {kept['regressor']}, this run has {asked['regressor']}; give the "
            "same --hidden-width and --linear-start, or start anew"
        )
    before, now = (content.get("training_data", {"digest": None}) for content in (kept, asked))
    if before["digest"] != now["digest"]:
        raise ValueError(
            f"{name} was trained on {before['count']} photographs, this run has {now['count']} and not the "
            "same ones; bring those back, or start anew with --overwrite or another --output"
        )
    with_tone = [bool(content["settings"].get("tone_weight")) for content in (kept, asked)]
    if with_tone[0] != with_tone[1]:
        had, has = ("with" if on else "without" for on in with_tone)
        raise ValueError(
            f"{name} was trained {had} the skin tone loss, this run is {has} it; give the same "
            "--tone-weight, or start anew"
        )


def specification_of_network(content: dict[str, Any], role: str) -> str:
    """How to load a checkpoint's network: its name, or where the settings say that its file lies.

    Args:
        content: of the checkpoint.
        role: encoder, identity, second_identity or judge, one that the checkpoint has.
    """
    name = content["networks"][role]["name"]
    option = f"{role}_network" if role.endswith("identity") else role
    given = content.get("settings", {}).get(option)
    if place_of_network(given) is None:
        return name
    return f"{given}{ending(name)}"


def described(model: dict[str, Any]) -> str:
    """A morphable model in a few words."""
    return (
        f"{model['name']} ({model['sha256'][:12]}, {model['shape_components']} shape and "
        f"{model['albedo_components']} albedo components)"
    )


def is_exported(checkpoint: dict[str, Any]) -> bool:
    """Whether `export` wrote a checkpoint: it has terms, and nothing to train on with."""
    return checkpoint.keys() == {"state_dict", "global_step", KEY} and "terms" in checkpoint[KEY]


def export(source: Path, destination: Path, *, terms: str) -> None:
    """Write a checkpoint that holds the regressor and its content only, to publish.

    Of where the photographs, the morphable model and files of networks lay only the last name is kept.

    Args:
        source: a checkpoint of a run.
        destination: the small one.
        terms: under which the training data may be used, for whoever finds the file.
    """
    checkpoint = read_checkpoint(source)
    weights = {name: value for name, value in checkpoint["state_dict"].items() if name.startswith(PREFIX)}
    content = {name: value for name, value in checkpoint[KEY].items() if name != "random_state"}
    content |= {"settings": settings_without_folders(content.get("settings", {})), "terms": terms}
    write_small(destination, weights, checkpoint["global_step"], content)


def write_small(destination: Path, weights: dict[str, Any], step: int, content: dict[str, Any]) -> None:
    """Write a checkpoint to use and not to train on: weights by their names in a run's, and its content."""
    with written_atomically(destination) as temporary:
        write_sealed({"state_dict": weights, "global_step": step, KEY: content}, temporary)


def settings_without_folders(settings: dict[str, Any]) -> dict[str, Any]:
    """The same; of where files and folders lie only the last name is kept."""
    places = {name: settings[name] for name in PLACES if isinstance(settings.get(name), str)}
    return settings | {name: without_folders(place) for name, place in places.items()}


def with_content(
    source: Path,
    destination: Path,
    regressor: Regressor | None = None,
    **more: Any,  # noqa: ANN401 - what torch saves
) -> None:
    """Write a checkpoint once more, with more content; all else stays as it is.

    Args:
        source: the checkpoint.
        destination: the new one.
        regressor: whose weights it gets; its own if None.
        **more: what is added to its content, or replaced there.
    """
    checkpoint = read_checkpoint(source)
    if regressor is not None:
        weights = {f"{PREFIX}{name}": value for name, value in regressor.state_dict().items()}
        checkpoint["state_dict"] = checkpoint["state_dict"] | weights
    checkpoint[KEY] = checkpoint[KEY] | more
    with written_atomically(destination) as temporary:
        write_sealed(checkpoint, temporary)


def without_folders(place: str) -> str:
    """A path, perhaps behind `kind:`, of which only the last name is kept."""
    kind, colon, path = place.rpartition(":")
    return f"{kind}{colon}{Path(path).name}"
