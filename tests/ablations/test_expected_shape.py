from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ablations import expected_shape
from ablations.expected_shape import LearntExpectation
from datamodules.photographs import Photographs
from lightning_modules import shape_regression
from lightning_modules.checkpoints import KEY, read_checkpoint
from lightning_modules.expected_shape import ExpectedShape
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.networks import as_encoder
from lightning_modules.reconstruction import Reconstructor, load_reconstructor
from lightning_modules.regressor import Regressor
from tests import miniatures
from tests.datamodules.conftest import write_photograph
from tests.evaluation.small_checkpoint import checkpoint  # noqa: F401

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "checkpoints" / "suite.ckpt"


def choice(checkpoint: Path, folder: Path, *, photographs: int) -> LearntExpectation:  # noqa: F811
    """What a command is told, with so many unlabelled photographs."""
    for number in range(photographs):
        write_photograph(folder / "photographs" / f"{number}.png", number)
    return LearntExpectation(
        checkpoint, folder / "new.ckpt", unlabelled=folder / "photographs", workers=0, progress=False,
        cache_folder=folder / "cache",
    )  # fmt: skip


@pytest.fixture
def small_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Landmarks of a miniature, and few steps."""
    monkeypatch.setattr(expected_shape, "FaceMesh", miniatures.SmallMesh)
    monkeypatch.setattr(expected_shape, "find_landmark_model", lambda: None)
    monkeypatch.setattr(shape_regression, "STEPS", 5)


@pytest.mark.slow
def test_the_committed_checkpoint_learns_anew_and_keeps_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shape_regression, "STEPS", 30)
    made = tmp_path / "more.ckpt"
    arguments = [str(COMMITTED), str(made), "--people", "30", "--cache-folder", str(tmp_path / "cache")]
    assert expected_shape.main([*arguments, "--workers", "0", "--no-progress"]) == 0
    assert "learnt from 30 synthetic people and no photograph" in capsys.readouterr().out
    before, after = read_checkpoint(COMMITTED), read_checkpoint(made)
    for name, value in before["state_dict"].items():
        assert value.equal(after["state_dict"][name])
    assert after[KEY].keys() == before[KEY].keys()
    kept, learnt = (ExpectedShape(**content[KEY]["expected_shape"]) for content in (before, after))
    assert (kept.people, kept.photographs_each, kept.photographs) == (2988, 8, 1959)
    assert (learnt.people, learnt.photographs_each, learnt.photographs) == (30, 4, 0)
    assert not kept.regression["linear.weight"].equal(learnt.regression["linear.weight"])
    readings = load_reconstructor(made).readings
    assert readings["expected"].encoder.feature_width == 259 + kept.map_width == 2307
    features = torch.rand(4, 2307, generator=torch.Generator().manual_seed(0))
    likeness = load_reconstructor(made).coefficients(features[:, :259]).shape
    assert readings["likeness"].coefficients(features).shape.equal(likeness)
    expected = readings["expected"].coefficients(features).shape
    torch.testing.assert_close(expected, learnt.of(likeness, features))
    assert not torch.allclose(expected, likeness, atol=0.1)


def test_a_calibration_spreads_the_predictions_of_the_people_it_was_learnt_on() -> None:
    generator = torch.Generator().manual_seed(0)
    regressor, features = Regressor(20, 4, 3, hidden_width=16), torch.randn(30, 2, 20, generator=generator)
    true = Prediction(torch.randn(30, 4, generator=generator), torch.randn(30, 3, generator=generator))

    def predicted() -> Prediction:
        with torch.no_grad():
            return regressor(features)

    before = predicted()
    loaded = Reconstructor(
        regressor, miniatures.small_model(), None, {"tone": {"mean": 0.5, "variance": 0.25}}
    )
    people = expected_shape.PhotographedPeople(true, features)
    kept = expected_shape.calibrate(loaded, people)
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


@pytest.mark.usefixtures("small_mesh")
def test_landmarks_are_learnt_from_but_not_those_that_the_training_held_back(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    chosen = choice(checkpoint, tmp_path, photographs=30)
    loaded = load_reconstructor(checkpoint)
    everything = expected_shape.marked_photographs(loaded, chosen)
    assert everything is not None
    assert everything.landmarks.shape == (30, 68, 2)
    assert everything.target.offsets.abs().max() > 0
    settings = loaded.content["settings"] | {"validation_fraction": 0.5}
    some = expected_shape.marked_photographs(
        loaded._replace(content=loaded.content | {"settings": settings}), chosen
    )
    assert some is not None
    assert 8 <= len(some.features) < 30
    # As the training divides them.
    theirs = Photographs(
        chosen.unlabelled, [loaded.encoder], validation_fraction=0.5, cache_folder=chosen.cache_folder,
        workers=0, progress=False,
    )  # fmt: skip
    theirs.prepare_data()
    theirs.setup()
    assert some.features.equal(theirs.dataset.batch(theirs.training).features["dlib"])
    # Of a network with a feature map, that too.
    encoder = miniatures.NetworkWithHalves()
    mapped = expected_shape.marked_photographs(loaded._replace(encoder=encoder), chosen)
    assert mapped is not None
    assert mapped.features.shape == (30, encoder.feature_width + 2)
    assert expected_shape.marked_photographs(loaded, replace(chosen, landmarks=False)) is None
    loaded.model.no_landmarks = "nobody marked it"
    assert expected_shape.marked_photographs(loaded, chosen) is None
    assert "no landmarks are learnt from: the morphable model has none (nobody" in capsys.readouterr().out


@pytest.mark.usefixtures("small_mesh")
def test_too_few_landmarks_are_refused_before_anybody_is_drawn(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811 - a fixture
) -> None:  # fmt: skip
    monkeypatch.delattr(expected_shape, "photographed_people")
    chosen = choice(checkpoint, tmp_path, photographs=4)
    with pytest.raises(
        ValueError, match="landmarks must be seen in at least 8 unlabelled photographs, got 4"
    ):
        expected_shape.add_expected_shape(chosen)


def test_without_a_landmark_network_it_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photograph(tmp_path / "photographs" / "0.png", 0)
    monkeypatch.setenv("FACE_LANDMARKER", str(tmp_path / "none.task"))
    with pytest.raises(SystemExit, match="2"):
        expected_shape.main(
            [str(COMMITTED), str(tmp_path / "new.ckpt"), f"--unlabelled={tmp_path / 'photographs'}"]
        )
    assert "none.task; MediaPipe's face landmarker" in (said := capsys.readouterr().err)
    assert "or learn from no photograph's landmarks: --no-landmarks" in said


def test_too_few_people_whose_photographs_show_faces_are_refused(tmp_path: Path) -> None:
    chosen = LearntExpectation(tmp_path, tmp_path, people=9)
    loaded = Reconstructor(Regressor(20, 4, 3, hidden_width=16), miniatures.small_model(), None, {})
    drawn = Prediction(torch.zeros(7, 4), torch.zeros(7, 3))
    people = expected_shape.PhotographedPeople(drawn, torch.zeros(7, 2, 20))
    with pytest.raises(ValueError, match="at least 8 synthetic people must show a face, got 7 of 9; give"):
        expected_shape.learn(loaded, people, None, chosen)


@pytest.mark.usefixtures("small_mesh")
def test_it_keeps_how_wide_the_feature_map_is_that_is_read(tmp_path: Path) -> None:
    chosen = LearntExpectation(tmp_path, tmp_path, people=9, progress=False)
    regressor, generator = Regressor(20, 4, 3, hidden_width=16), torch.Generator().manual_seed(0)
    drawn = Prediction(torch.randn(9, 4, generator=generator), torch.zeros(9, 3))
    for encoder, read, width in (
        (miniatures.NetworkWithHalves(), True, 2),
        (miniatures.NetworkWithHalves(), False, 0),
        (miniatures.SmallNetwork(), True, 0),
    ):
        loaded = Reconstructor(regressor, miniatures.small_model(), encoder, {})
        features = torch.randn(9, 2, 20 + width, generator=generator)
        people = expected_shape.PhotographedPeople(drawn, features)
        learnt = expected_shape.learn(loaded, people, None, replace(chosen, feature_map=read))
        assert learnt.map_width == width
        assert learnt.regression["linear.weight"].shape == (4, 20 + width)


@pytest.mark.usefixtures("small_mesh")
def test_an_encoder_that_looks_again_keeps_mean_and_spread_of_coefficients(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811 - a fixture
) -> None:  # fmt: skip
    chosen = replace(choice(checkpoint, tmp_path, photographs=12), encoder_crops=4)
    seen: list[Reconstructor] = []

    def people(loaded: Reconstructor, chosen: LearntExpectation) -> expected_shape.PhotographedPeople:
        seen.append(loaded)
        generator = torch.Generator().manual_seed(0)
        drawn = Prediction(torch.randn(9, 4, generator=generator), torch.randn(9, 3, generator=generator))
        return expected_shape.PhotographedPeople(drawn, torch.randn(9, 2, 20))

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
    assert (learnt.people, learnt.photographs) == (9, 12)
    with pytest.raises(ValueError, match="averages over 4 crops of a photograph already"):
        expected_shape.more_crops(seen[0], chosen)
