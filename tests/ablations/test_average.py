import re
from pathlib import Path

import pytest
import torch

from ablations import average, export
from datamodules.photographs import features_of_folder
from lightning_modules.checkpoint_schema import check_resumable
from lightning_modules.checkpoints import KEY, content_of, load_regressor, read_checkpoint
from lightning_modules.initialisation import CoefficientMoments
from tests import miniatures
from tests.datamodules.conftest import write_photograph
from tests.evaluation.small_checkpoint import checkpoint, small_network, write_checkpoint  # noqa: F401
from tests.evaluation.small_checkpoint import write_run as write


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number in range(12):
        write_photograph(tmp_path / "photographs" / f"{number}.png", number)
    return tmp_path / "photographs"


def change(file: Path, **content: object) -> Path:
    """Let a checkpoint say something else of itself."""
    kept = torch.load(file, weights_only=True)
    kept[KEY] |= content
    torch.save(kept, file)
    return file


def options(tmp_path: Path, *of: Path) -> list[str]:
    return [
        str(tmp_path / "averaged.ckpt"), "--of", *map(str, of), f"--unlabelled={tmp_path / 'photographs'}",
        "--workers=0", "--no-progress", f"--cache-folder={tmp_path / 'cache'}",
    ]  # fmt: skip


@pytest.mark.usefixtures("checkpoint")
def test_an_average_has_the_runs_mean_weights_and_their_moments(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write(tmp_path / f"{seed}.ckpt", seed=seed) for seed in range(3)]
    assert average.main(options(tmp_path, *runs)) == 0
    assert "the average of 3 runs, which kept" in capsys.readouterr().out
    features = features_of_folder(
        photographs, [small_network("dlib")], cache_folder=tmp_path / "cache", workers=0, progress=False
    )["dlib"]
    assert len(features) == 12
    averaged, content = load_regressor(tmp_path / "averaged.ckpt")
    regressors = [load_regressor(run)[0] for run in runs]
    wanted = average.mean_of([CoefficientMoments.of(regressor, features) for regressor in regressors])
    has = CoefficientMoments.of(averaged, features)
    torch.testing.assert_close(has.mean, wanted.mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(has.variance, wanted.variance, atol=1e-6, rtol=1e-3)
    assert not torch.allclose(
        has.variance, CoefficientMoments.of(regressors[0], features).variance, rtol=0.05
    )
    for name, value in averaged.state_dict().items():
        if not name.startswith("layers.4"):  # the last layer is rescaled, every other one is the mean
            mean = torch.stack([regressor.state_dict()[name] for regressor in regressors]).mean(0)
            torch.testing.assert_close(value, mean)
    last = torch.stack([regressor.last_layer.weight for regressor in regressors]).mean(0)
    ratio = averaged.last_layer.weight / last
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-4, rtol=1e-3)
    assert [run["settings"]["seed"] for run in content["averaged"]] == [0, 0, 0]
    assert "random_state" not in content


@pytest.mark.usefixtures("checkpoint", "photographs")
def test_what_the_runs_do_not_share_is_kept_of_each(tmp_path: Path) -> None:
    first, second = (write(tmp_path / f"{seed}.ckpt", seed=seed) for seed in (0, 1))
    change(first, terms="mine", tone={"mean": 1.0, "variance": 0.5}, expected_shape={}, wandb_id="a")
    change(second, terms="yours", tone={"mean": 0.5, "variance": 0.25}, commit="c0ffee")
    for file, weight in ((first, 8.0), (second, 16.0)):
        settings = content_of(torch.load(file, weights_only=True))["settings"]
        change(file, settings=settings | {"landmark_weight": weight, "photographs": "/home/me/faces"})
    change(first, expected_shape=learnt())
    assert average.main(options(tmp_path, first, second)) == 0
    kept = read_checkpoint(tmp_path / "averaged.ckpt")
    content = content_of(kept)
    assert content["terms"] == "mine; yours"
    assert content["tone"] == {"mean": 0.75, "variance": 0.375}
    assert not {"expected_shape", "wandb_id"} & content.keys()
    assert [run["settings"]["landmark_weight"] for run in content["averaged"]] == [8.0, 16.0]
    assert [run["commit"] for run in content["averaged"]] == [None, "c0ffee"]
    assert [run["settings"]["photographs"] for run in content["averaged"]] == ["faces", "faces"]
    with pytest.raises(ValueError, match="to train on with"):
        check_resumable(kept, "averaged.ckpt")
    assert export.main([str(tmp_path / "averaged.ckpt"), str(tmp_path / "given.ckpt"), "--terms=all"]) == 0
    given = content_of(read_checkpoint(tmp_path / "given.ckpt"))
    assert (given["terms"], given["averaged"]) == ("all", content["averaged"])


def learnt() -> dict[str, object]:
    return miniatures.expected_shape(torch.ones(4))


@pytest.mark.usefixtures("checkpoint", "photographs")
def test_what_cannot_be_averaged_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "first.ckpt")

    def other(name: str, **content: object) -> Path:
        return change(write(tmp_path / f"{name}.ckpt", seed=1), **content)

    seeded = {"morphable_model": "elsewhere", "seed": 7}
    networks = content_of(read_checkpoint(first))["networks"]
    taught = networks | {"identity": networks["judge"]}
    for others, reason in (
        ((), "two or more different checkpoints, got"),
        ((first,), "two or more different checkpoints, got"),
        ((other("stage", stage=1),), "stage.ckpt is of stage 1; --of takes"),
        ((other("tone", tone_calibration={}),), "calibrated; average first"),
        ((other("made", averaged=[{"settings": {}}]),), "made.ckpt is an average itself"),
        ((other("seed", settings=seeded),), "seed.ckpt and .*first.ckpt did not go on .* differ in seed$"),
        (
            (write_checkpoint(tmp_path / "model.ckpt", model_seed=1, stage=2),),
            "differ in the morphable model$",
        ),
        ((other("taught", networks=taught),), "differ in the networks"),
        ((other("data", training_data={"digest": "b", "count": 1}),), "differ in the photographs"),
        ((tmp_path / "none.ckpt",), "none.ckpt"),
    ):
        with pytest.raises(SystemExit, match="2"):
            average.main(options(tmp_path, first, *others))
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert re.search(reason, said), said
    assert not (tmp_path / "averaged.ckpt").exists()


@pytest.mark.usefixtures("checkpoint")
def test_an_existing_file_and_a_folder_without_photographs_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write(tmp_path / f"{seed}.ckpt", seed=seed) for seed in range(2)]
    with pytest.raises(SystemExit, match="2"):
        average.main(options(tmp_path, *runs))
    assert "photographs" in capsys.readouterr().err
    (tmp_path / "averaged.ckpt").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        average.main(options(tmp_path, *runs))
    assert "averaged.ckpt exists; give another name" in capsys.readouterr().err
    assert (tmp_path / "averaged.ckpt").read_text() == "mine"
