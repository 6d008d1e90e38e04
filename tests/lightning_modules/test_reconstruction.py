from pathlib import Path

import pytest
import torch

from lightning_modules import reconstruction
from lightning_modules.checkpoints import KEY, with_content
from lightning_modules.expected_shape import LIKENESS_SHARE, REGRESSION_SHARE
from lightning_modules.reconstruction import load_reconstructor
from lightning_modules.teachers import Teachers
from tests import miniatures

from .conftest import small_regressor
from .test_checkpoints import content


@pytest.fixture
def checkpoint(tmp_path: Path, teachers: Teachers, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of miniatures; the model `other` and other weights can be asked for, too."""
    kept = content(teachers, small_regressor()) | {"settings": {"morphable_model": "open"}}
    weights = {f"regressor.{name}": value for name, value in small_regressor().state_dict().items()}
    torch.save({"state_dict": weights, "global_step": 7, KEY: kept}, tmp_path / "run.ckpt")

    def load_model(specification: str, **counts: int) -> object:
        assert counts == {"shape_components": 4, "albedo_components": 3}
        if specification == "basel:gone.h5":
            raise FileNotFoundError("gone.h5 does not exist")
        return miniatures.small_model(seed=0 if specification in ("open", "basel:moved.h5") else 9)

    monkeypatch.setattr(reconstruction, "load_morphable_model", load_model)
    monkeypatch.setattr(
        reconstruction, "load_network", lambda name, weights: miniatures.SmallNetwork(8 if weights else 1)
    )
    monkeypatch.delenv("MORPHABLE_MODEL", raising=False)
    monkeypatch.delenv("ENCODER_WEIGHTS", raising=False)
    return tmp_path / "run.ckpt"


def test_features_become_the_model_s_neutral_faces(checkpoint: Path, teachers: Teachers) -> None:
    loaded = load_reconstructor(checkpoint)
    features = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    coefficients = loaded.coefficients(features)
    expected = small_regressor()(features)
    for part, wanted in zip(coefficients, expected, strict=True):
        torch.testing.assert_close(part, wanted.detach())
        assert not part.requires_grad
    torch.testing.assert_close(loaded.faces(coefficients), teachers.model(*expected))


def test_an_option_comes_before_the_environment_and_that_before_the_checkpoint(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MORPHABLE_MODEL", "basel:gone.h5")
    assert load_reconstructor(checkpoint, morphable_model="basel:moved.h5").model is not None
    with pytest.raises(
        FileNotFoundError, match=r"gone.h5 does not exist; .*run.ckpt was trained with mini.*"
    ):
        load_reconstructor(checkpoint)


def test_another_morphable_model_is_refused(checkpoint: Path) -> None:
    with pytest.raises(
        ValueError, match=r"other is miniature \(09.*but .*run.ckpt was trained with miniature \(00.*--morph"
    ):
        load_reconstructor(checkpoint, morphable_model="other")


def test_a_checkpoint_of_an_older_recipe_is_refused_and_says_how_to_get_it(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content[KEY]["morphable_model"] |= {
        "kind": "open",
        "name": "open-recipe4-anny0.6.2-level1",
        "sha256": "4",
    }
    torch.save(content, checkpoint)
    with pytest.raises(
        ValueError,
        match=r"trained with open-recipe4-.*train again, or take open-recipe4-.*\.h5 .*as basel:FILE",
    ):
        load_reconstructor(checkpoint)


def test_other_weights_of_the_encoder_are_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"the encoder small \(01.*other weights \(08"):
        load_reconstructor(checkpoint, encoder_weights=Path("other.dat"))


@pytest.mark.parametrize("suffix", ["", "-colour", "-8crops-colour"])
def test_an_encoder_of_a_file_is_found_where_it_lay_or_by_the_environment(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    kept = torch.load(checkpoint, weights_only=True)
    kept[KEY]["networks"]["encoder"]["name"] = f"arcface-1a2b3c4d{suffix}"
    kept[KEY]["settings"]["encoder"] = "arcface:some/backbone.pth"
    torch.save(kept, checkpoint)
    asked = []

    def load(name: str, weights: Path | None) -> miniatures.SmallNetwork:
        asked.append((name, weights))
        if weights is None:
            raise FileNotFoundError("some/backbone.pth does not exist")
        return miniatures.SmallNetwork(1)

    monkeypatch.setattr(reconstruction, "load_network", load)
    with pytest.raises(
        FileNotFoundError, match=r"trained with the encoder arcface-1a2b3c4d.*variable ENCODER_WEIGHTS"
    ):
        load_reconstructor(checkpoint)
    monkeypatch.setenv("ENCODER_WEIGHTS", "moved.pth")
    load_reconstructor(checkpoint)
    assert asked == [
        (f"arcface:some/backbone.pth{suffix}", None),
        (f"arcface-1a2b3c4d{suffix}", Path("moved.pth")),
    ]


def test_a_word_s_encoder_does_not_listen_to_the_environment(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCODER_WEIGHTS", "other.pth")
    assert load_reconstructor(checkpoint).encoder.sha256 == miniatures.SmallNetwork(1).sha256


def test_the_expected_shape_is_of_likeness_and_regression_and_leaves_colours(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"run.ckpt keeps no expected shape: .*or take --geometry likeness"):
        load_reconstructor(checkpoint, geometry="expected")
    regressed = torch.tensor([0.5, -0.25, 1.0, 0.0])
    kept = miniatures.expected_shape(regressed)
    with_content(checkpoint, checkpoint.with_name("more.ckpt"), expected_shape=kept)
    likeness = load_reconstructor(checkpoint.with_name("more.ckpt"))
    expected = likeness.read_as("expected")
    features = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    predicted, read = likeness.coefficients(features), expected.coefficients(features)
    between = REGRESSION_SHARE * regressed + LIKENESS_SHARE * predicted.shape
    torch.testing.assert_close(read.shape, between)
    assert read.albedo.equal(predicted.albedo)


def test_all_readings_see_by_one_encoder_with_the_map_that_the_expected_shape_reads(checkpoint: Path) -> None:
    plain = load_reconstructor(checkpoint)
    assert list(plain.readings) == ["likeness"]
    assert plain.readings["likeness"].encoder is plain.encoder
    kept = miniatures.expected_shape(torch.zeros(4), map_width=2)
    kept["regression"]["linear.weight"][0, 20] = 1.0  # the first shape coefficient is the map's first cell
    with_content(checkpoint, checkpoint.with_name("more.ckpt"), expected_shape=kept)
    loaded = load_reconstructor(checkpoint.with_name("more.ckpt"))
    loaded = loaded._replace(encoder=miniatures.NetworkWithHalves(1))
    assert loaded.encoder.feature_width == 20  # whoever wants the likeness alone looks for no map
    likeness, expected = loaded.readings.values()
    assert (likeness.geometry, expected.geometry) == ("likeness", "expected")
    assert likeness.encoder is expected.encoder
    assert expected.encoder.name == "small-map"
    assert expected.readings["expected"].encoder is expected.encoder
    images = torch.rand(3, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    features = expected.encoder(images).features
    alone = loaded.coefficients(loaded.encoder(images).features)
    for part, wanted in zip(likeness.coefficients(features), alone, strict=True):
        torch.testing.assert_close(part, wanted)
    regressed = torch.zeros(3, 4)
    regressed[:, 0] = features[:, 20]
    between = REGRESSION_SHARE * regressed + LIKENESS_SHARE * alone.shape
    torch.testing.assert_close(expected.coefficients(features).shape, between)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"map_width": 2}, r"a feature_mean that has the shape \[20\] instead of \[22\]"),
        ({"map_width": True}, "expected_shape.map_width must be"),
        ({"regression": {"linear.weight": torch.ones(4, 20)}}, "expected_shape.regression lacks 9 of 10"),
        ({"regression": torch.ones(4)}, "expected_shape.regression holds a tensor"),
        ({"people": "many"}, "expected_shape.people must be"),
        ({"scale": torch.ones(4)}, "expected_shape has scale, which none has"),
    ],
)
def test_a_damaged_expected_shape_is_refused(
    checkpoint: Path, change: dict[str, object], reason: str
) -> None:
    kept = miniatures.expected_shape(torch.ones(4)) | change
    with_content(checkpoint, checkpoint.with_name("more.ckpt"), expected_shape=kept)
    with pytest.raises(ValueError, match=reason):
        load_reconstructor(checkpoint.with_name("more.ckpt"))
