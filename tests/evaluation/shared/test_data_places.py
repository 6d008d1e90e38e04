from pathlib import Path

import pytest

from evaluation.shared import data_places
from evaluation.shared.data_places import Place, known_place, notice, place_of, read_configuration


@pytest.fixture(autouse=True)
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable is set; the configuration file, not written yet, lies in the test's folder."""
    for variable in data_places.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(data_places.platformdirs, "user_config_path", lambda _: tmp_path)
    return tmp_path / "config.yaml"


def test_a_kind_and_a_folder_are_told_apart() -> None:
    assert place_of("mofa:faces", ("lfw", "mofa")) == Place("mofa", Path("faces"), "--data")
    assert place_of("some/folder", ("lfw", "mofa")) == Place("lfw", Path("some/folder"), "--data")


def test_a_folder_whose_name_has_a_colon_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert place_of(str(tmp_path / "a:b"), ("lfw",)).folder == tmp_path / "a:b"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--data micc:x is not known; give lfw:DIR, mofa:DIR or stand-in"):
        place_of("micc:x", ("lfw", "mofa"))


@pytest.mark.parametrize("data", ["", "lfw:"])
def test_a_place_of_nothing_is_not_the_current_folder(data: str) -> None:
    with pytest.raises(ValueError, match=r"--data names no folder, got '.*'; give lfw:DIR or stand-in"):
        place_of(data, ("lfw", "mofa"))


def test_nothing_known_means_the_stand_in_which_is_said() -> None:
    place = place_of(None, ("lfw",))
    assert place.is_stand_in
    assert str(place) == "stand-in"
    assert notice(place).startswith("STAND-IN: no lfw is known here; synthetic data")
    assert notice(Place("lfw", Path("x"), "--data")) == ""


def test_the_environment_goes_before_the_configuration_file(
    nothing_known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_known.write_text("lfw: /from/file\n")
    assert place_of(None, ("lfw",)) == Place("lfw", Path("/from/file"), str(nothing_known))
    monkeypatch.setenv("LFW_DIR", "/from/variable")
    assert place_of(None, ("lfw",)) == Place("lfw", Path("/from/variable"), "LFW_DIR")
    assert known_place("micc") is None
    assert place_of("stand-in", ("lfw",)).is_stand_in


LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("lfw: 3", "must hold lines `KIND: DIR`"),
        ("lfw: {a: b}", "must hold lines `KIND: DIR`"),
        ("- lfw", "must hold lines such as"),
        ("[" * 100_000, "is nested too deeply"),
        (LAUGHS, "unfolds to more than 10,000 values"),
    ],
)
def test_a_bad_configuration_file_is_named(nothing_known: Path, text: str, message: str) -> None:
    nothing_known.write_text(text)
    with pytest.raises(ValueError, match=f"config.yaml {message}"):
        read_configuration(nothing_known)
