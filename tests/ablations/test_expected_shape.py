from pathlib import Path

import pytest
import torch

from ablations import expected_shape
from ablations.expected_shape import LearntExpectation
from lightning_modules.checkpoints import KEY, read_checkpoint
from lightning_modules.expected_shape import ExpectedShape
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.networks import as_encoder
from lightning_modules.reconstruction import Reconstructor, load_reconstructor
from lightning_modules.regressor import Regressor
from tests.datamodules.conftest import write_photograph
from tests.evaluation.small_checkpoint import checkpoint  # noqa: F401

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "checkpoints" / "suite.ckpt"


@pytest.mark.slow
def test_the_committed_checkpoint_learns_factors_and_keeps_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "more.ckpt"
    arguments = [str(COMMITTED), str(made), "--people", "30", "--cache-folder", str(tmp_path / "cache")]
    assert expected_shape.main([*arguments, "--workers", "0", "--no-progress"]) == 0
    assert "synthetic people; factors" in capsys.readouterr().out
    before, after = read_checkpoint(COMMITTED), read_checkpoint(made)
    for name, value in before["state_dict"].items():
        assert value.equal(after["state_dict"][name])
    assert after[KEY].keys() == before[KEY].keys()
    kept, learnt = (ExpectedShape(**content[KEY]["expected_shape"]) for content in (before, after))
    assert (kept.people, learnt.people) == (600, 30)
    assert not kept.centre.equal(learnt.centre)  # of real people, and of synthetic ones
    features = torch.randn(4, 259, generator=torch.Generator().manual_seed(0))
    likeness = load_reconstructor(made).coefficients(features).shape
    expected = load_reconstructor(made, geometry="expected").coefficients(features).shape
    torch.testing.assert_close(expected, learnt.factors() * (likeness - learnt.centre))
    # Whoever is learnt from thirty people already tells something of the first coefficients.
    assert float(learnt.factors()[:10].mean()) > 0.1


def test_a_calibration_spreads_the_predictions_of_the_people_it_was_learnt_on() -> None:
    generator = torch.Generator().manual_seed(0)
    regressor, features = Regressor(20, 4, 3, hidden_width=16), torch.randn(30, 2, 20, generator=generator)
    true = Prediction(torch.randn(30, 4, generator=generator), torch.randn(30, 3, generator=generator))

    def predicted() -> Prediction:
        with torch.no_grad():
            return regressor(features)

    before = predicted()
    loaded = Reconstructor(regressor, None, None, {"tone": {"mean": 0.5, "variance": 0.25}})
    kept = expected_shape.calibrate(loaded, expected_shape.PhotographedPeople(true, before))
    after, repeated = predicted(), true.albedo[:, None, 0].expand(30, 2)
    torch.testing.assert_close(after.albedo[..., 0].mean(), repeated.mean())
    torch.testing.assert_close(after.albedo[..., 0].std(), repeated.std())
    torch.testing.assert_close(after.albedo[..., 1:], before.albedo[..., 1:], rtol=0, atol=0)
    factor, shift = kept["tone_calibration"].values()
    assert kept["tone"] == pytest.approx({"mean": 0.5 * factor + shift, "variance": 0.25 * factor**2})


def test_an_existing_file_is_kept_and_too_few_people_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.ckpt"
    mine.write_text("mine")
    for arguments, reason in (
        ([str(mine)], "mine.ckpt exists; give another name"),
        ([str(tmp_path / "new.ckpt"), "--people", "3"], "--people must be at least 8, got 3"),
        ([str(tmp_path / "new.ckpt"), f"--unlabelled={tmp_path / 'none'}"], "none"),
        ([str(tmp_path / "new.ckpt"), "--encoder-crops=4"], "a folder of them by --unlabelled"),
    ):
        with pytest.raises(SystemExit, match="2"):
            expected_shape.main([str(COMMITTED), *arguments])
        assert reason in capsys.readouterr().err
    assert mine.read_text() == "mine"
    assert not (tmp_path / "new.ckpt").exists()


def test_shapes_of_unlabelled_photographs_are_those_that_are_predicted(
    checkpoint: Path, tmp_path: Path  # noqa: F811 - a fixture
) -> None:  # fmt: skip
    for number in range(4):
        write_photograph(tmp_path / "photographs" / f"{number}.png", number)
    chosen = LearntExpectation(
        checkpoint, tmp_path / "new.ckpt", unlabelled=tmp_path / "photographs", workers=0, progress=False,
        cache_folder=tmp_path / "cache",
    )  # fmt: skip
    loaded = load_reconstructor(checkpoint)
    seen = expected_shape.unlabelled_features(chosen, loaded.encoder, loaded.encoder)
    shapes = loaded.coefficients(seen[loaded.encoder.name]).shape
    assert shapes.shape == (4, 4)
    assert (shapes.var(0) > 0).all()


def test_an_encoder_that_looks_again_keeps_mean_and_spread_of_coefficients(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811 - a fixture
) -> None:  # fmt: skip
    for number in range(12):
        write_photograph(tmp_path / "photographs" / f"{number}.png", number)
    chosen = LearntExpectation(
        checkpoint, tmp_path / "new.ckpt", unlabelled=tmp_path / "photographs", workers=0, progress=False,
        cache_folder=tmp_path / "cache", encoder_crops=4,
    )  # fmt: skip
    seen: list[Reconstructor] = []

    def people(loaded: Reconstructor, chosen: LearntExpectation) -> expected_shape.PhotographedPeople:
        seen.append(loaded)
        generator = torch.Generator().manual_seed(0)
        drawn = Prediction(torch.randn(9, 4, generator=generator), torch.randn(9, 3, generator=generator))
        return expected_shape.PhotographedPeople(
            drawn, Prediction(*(part[:, None].expand(-1, 2, -1) for part in drawn))
        )

    monkeypatch.setattr(expected_shape, "photographed_people", people)
    learnt = expected_shape.add_expected_shape(chosen)
    before, after = load_reconstructor(checkpoint), read_checkpoint(tmp_path / "new.ckpt")
    encoder = as_encoder(before.encoder, crops=4)
    assert after[KEY]["networks"]["encoder"] == {"name": "dlib-4crops", "sha256": encoder.sha256}
    assert after[KEY]["networks"]["judge"] == before.content["networks"]["judge"]
    assert after[KEY]["settings"]["encoder_crops"] == 4
    assert seen[0].encoder.name == "dlib-4crops"
    features = expected_shape.unlabelled_features(chosen, before.encoder, encoder)
    regressor = Regressor(20, 4, 3, hidden_width=16)
    regressor.load_state_dict(
        {name.removeprefix("regressor."): value for name, value in after["state_dict"].items()}
    )
    with torch.no_grad():
        had = torch.cat(before.regressor(features["dlib"]), 1)
        has = torch.cat(regressor(features["dlib-4crops"]), 1)
    torch.testing.assert_close(has.mean(0), had.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(has.std(0), had.std(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(learnt.centre, had[:, :4].mean(0), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="averages over 4 crops of a photograph already"):
        expected_shape.more_crops(seen[0], chosen)
