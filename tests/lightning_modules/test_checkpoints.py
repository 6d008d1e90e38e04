import resource
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_modules import checkpoints
from lightning_modules.checkpoints import (
    KEY,
    AtomicCheckpoints,
    FolderMayMove,
    check_same,
    checkpoint_content,
    content_of_model,
    export,
    is_same_model,
    load_regressor,
    read_checkpoint,
    with_content,
)
from lightning_modules.initialisation import rescale_first_albedo
from lightning_modules.regressor import Regressor
from lightning_modules.teachers import Teachers
from tests import miniatures

from .conftest import small_regressor


def content(teachers: Teachers, regressor: Regressor) -> dict:
    return checkpoint_content(
        stage=2, regressor=regressor, model=teachers.model,
        networks={"encoder": teachers.encoder, "judge": teachers.judge}, centres={},
        settings={
            "seed": 3,
            "photographs": "/somewhere/private/faces",
            "morphable_model": "basel:/home/ann/private/model.h5",
        },
    )  # fmt: skip


@pytest.fixture
def written(tmp_path: Path, teachers: Teachers) -> Path:
    """A checkpoint as a run writes it."""
    regressor = small_regressor()
    weights = {f"regressor.{name}": value for name, value in regressor.state_dict().items()}
    file = tmp_path / "run.ckpt"
    kept = content(teachers, regressor) | {"random_state": torch.get_rng_state()}
    AtomicCheckpoints().save_checkpoint(
        {"state_dict": weights, "global_step": 7, "optimizer_states": [weights], KEY: kept}, file
    )
    return file


def test_a_regressor_comes_back_as_it_was(written: Path) -> None:
    regressor, kept = load_regressor(written)
    features = torch.randn(3, 20)
    torch.testing.assert_close(regressor(features), small_regressor()(features), rtol=0, atol=0)
    assert kept["settings"]["seed"] == 3
    assert not regressor.training


def test_a_checkpoint_can_get_other_weights_and_more_content(written: Path, tmp_path: Path) -> None:
    regressor, before = load_regressor(written)
    rescale_first_albedo(regressor, 2.0, 1.0)
    with_content(written, tmp_path / "more.ckpt", regressor, tone_calibration={"factor": 2.0, "shift": 1.0})
    again, content = load_regressor(tmp_path / "more.ckpt")
    for name, value in regressor.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert content.keys() - before.keys() == {"tone_calibration"}
    assert read_checkpoint(tmp_path / "more.ckpt").keys() == read_checkpoint(written).keys()


def test_an_exported_checkpoint_is_small_and_carries_its_terms(written: Path, tmp_path: Path) -> None:
    export(written, tmp_path / "small.ckpt", terms="research only")
    small = read_checkpoint(tmp_path / "small.ckpt")
    assert set(small) == {"state_dict", "global_step", KEY}
    assert small[KEY]["terms"] == "research only"
    assert "random_state" not in small[KEY]
    before = read_checkpoint(written)[KEY]["settings"]
    assert small[KEY]["settings"] == before | {"photographs": "faces", "morphable_model": "basel:model.h5"}
    assert (tmp_path / "small.ckpt").stat().st_size < 0.7 * written.stat().st_size


def test_an_export_shows_no_folder_of_a_network_s_file(written: Path, tmp_path: Path) -> None:
    kept = torch.load(written, weights_only=True)
    places = {
        "encoder": "arcface:/home/me/a.pth",
        "identity_network": "dlib",
        "judge": "onnx:/home/me/b.onnx",
    }
    kept[KEY]["settings"] |= places
    torch.save(kept, written)
    export(written, tmp_path / "small.ckpt", terms="research only")
    settings = read_checkpoint(tmp_path / "small.ckpt")[KEY]["settings"]
    assert [settings[role] for role in places] == ["arcface:a.pth", "dlib", "onnx:b.onnx"]


def test_no_tensor_of_the_model_is_kept(written: Path, teachers: Teachers) -> None:
    largest = max(value.numel() for value in read_checkpoint(written)["state_dict"].values())
    assert largest < teachers.model.shape_mean.numel()


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(
        OSError, match=r"run.ckpt could not be written \(.*No space left on device\); the one"
    ):
        AtomicCheckpoints().save_checkpoint({}, written)
    with pytest.raises(OSError, match=r"first.ckpt could not be written .*; there is none before it: free"):
        AtomicCheckpoints().save_checkpoint({}, written.with_name("first.ckpt"))
    assert written.read_bytes() == before
    assert [file.name for file in written.parent.iterdir()] == ["run.ckpt"]


def test_a_damaged_file_is_named(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"run.ckpt is cut off or damaged \(1,000 bytes are left\); get it"):
        read_checkpoint(written)


def test_another_program_s_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(
        ValueError, match=r"other.ckpt is no checkpoint of this project but another program's"
    ):
        read_checkpoint(tmp_path / "other.ckpt")


def test_a_byte_that_was_changed_is_seen(written: Path) -> None:
    whole = written.read_bytes()
    place = whole.index(small_regressor().last_layer.weight.detach().numpy().tobytes()[:8])
    written.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(ValueError, match=r"run.ckpt was changed after it was written \(.* its checksum"):
        read_checkpoint(written)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.ckpt does not exist; expected a checkpoint that"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_a_checkpoint_of_another_model_is_refused(teachers: Teachers) -> None:
    other = teachers._replace(model=miniatures.small_model(seed=9))
    kept, asked = content(teachers, small_regressor()), content(other, small_regressor())
    check_same(kept, kept)
    with pytest.raises(ValueError, match=r"was trained with miniature \(0{12}.*this run has miniature \(09"):
        check_same(kept, asked)


def test_the_open_model_is_the_same_where_it_was_built_anew_with_another_rounding(
    teachers: Teachers,
) -> None:
    built = {name: miniatures.small_model() for name in ("here", "there", "mirrored")}
    for model, digest in zip(built.values(), "abc", strict=True):
        model.provenance = model.provenance._replace(kind="open", sha256=64 * digest)
    built["there"].shape_basis *= 1 + 1e-6
    built["mirrored"].albedo_basis[:, 1] *= -1
    here, there, mirrored = (content_of_model(model) for model in built.values())
    assert is_same_model(here, there)
    assert not is_same_model(here, mirrored)
    for content in (here, there):
        content["morphable_model"]["kind"] = "basel"
    assert not is_same_model(here, there)  # a file is the same bit for bit


def test_a_checkpoint_of_another_encoder_is_refused(teachers: Teachers) -> None:
    other = teachers._replace(encoder=miniatures.SmallNetwork(8))
    kept, asked = content(teachers, small_regressor()), content(other, small_regressor())
    with pytest.raises(ValueError, match=r"trained with the encoder small \(01.*this run has small \(08"):
        check_same(kept, asked)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_moved_run_keeps_its_best_score_and_another_folder_s_run_does_not(
    tmp_path: Path, goes_on: bool
) -> None:
    before, now = tmp_path / "before" / "checkpoints", tmp_path / "now" / "checkpoints"
    kept = ModelCheckpoint(before, filename="best", monitor="score", mode="max")
    kept.best_model_score = torch.tensor(0.7)
    kept.best_model_path = kept.kth_best_model_path = str(before / "best.ckpt")
    kept.best_k_models = {str(before / "best.ckpt"): torch.tensor(0.7)}
    callback = ModelCheckpoint(now, filename="best", monitor="score", mode="max")
    checkpoint = {"callbacks": {callback.state_key: kept.state_dict()}}
    start = now if goes_on else before
    trainer = SimpleNamespace(checkpoint_callbacks=[callback], ckpt_path=str(start / "last.ckpt"))
    FolderMayMove().on_load_checkpoint(trainer, None, checkpoint)  # type: ignore[arg-type]  # all it asks
    state = checkpoint["callbacks"][callback.state_key]
    if not goes_on:
        assert state == kept.state_dict()
        return
    callback.load_state_dict(state)  # warns of a folder that changed, which is an error here
    assert callback.best_model_score == torch.tensor(0.7)
    assert callback.best_k_models == {str(now / "best.ckpt"): torch.tensor(0.7)}
    assert callback.best_model_path == callback.kth_best_model_path == str(now / "best.ckpt")


def test_a_disk_that_is_full_is_named_as_what_stopped_torch(tmp_path: Path) -> None:
    save, file = AtomicCheckpoints().save_checkpoint, tmp_path / "run.ckpt"
    save({"weights": torch.zeros(1)}, file)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # torch ends a write that failed with a RuntimeError about positions in the archive.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"written \(\[Errno 27\] File too large\); the one before"):
            save({"weights": torch.zeros(500_000)}, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt"]
