"""What cannot be is refused before a model, a network, a detector or a photograph is loaded."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evaluation import (
    clustering,
    consistency,
    fairness,
    fit,
    micc,
    qualitative,
    reconstruct,
    reporting_people,
    robustness,
    similarity,
    verification,
)
from tests.evaluation.scanned_people import mesh_folder, micc_folder
from tests.evaluation.small_checkpoint import status_of, write_checkpoint

HEAVY = ("load_reconstructor", "load_network", "load_morphable_model", "load_detector", "read_image")
OURS = ("evaluation", "datamodules", "lightning_modules")
LIKENESS = (similarity.main, clustering.main)
WITH_CHECKPOINT = (micc.main, similarity.main, clustering.main, fairness.main, reporting_people.main,
                   robustness.main, consistency.main)  # fmt: skip
WITH_PHOTOGRAPHS = (*LIKENESS, reporting_people.main, robustness.main, consistency.main)
Main = Callable[[list[str]], int]


@pytest.fixture(autouse=True)
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's folder, in which nothing heavy may be loaded."""
    write_checkpoint(tmp_path / "run.ckpt")
    (tmp_path / "damaged.ckpt").write_bytes(b"no checkpoint")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for kind in ("LFW", "MICC", "MOFA"):
        monkeypatch.delenv(f"{kind}_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def heavy(*_: object, **__: object) -> None:
        raise AssertionError("loaded before the input was checked")

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS:
            for loader in HEAVY:
                if hasattr(module, loader):
                    monkeypatch.setattr(module, loader, heavy)


def refused(main: Main, arguments: Sequence[object], capsys: pytest.CaptureFixture) -> str:
    """The one sentence with which a command refuses, having written nothing."""
    assert status_of(main, [*arguments, "--output=out"]) == 2
    assert not Path("out").exists()
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_the_loaders_of_this_test_do_fail(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="loaded before the input was checked"):
        fairness.main(["run.ckpt", "--device=cpu", "--no-progress", "--output=out"])


OF_PHOTOGRAPHS = (
    (reconstruct.main, "run.ckpt"),
    (fit.main, "run.ckpt"),
    (qualitative.main, "--methods=ours=run.ckpt"),
)


@pytest.mark.parametrize(("main", "method"), OF_PHOTOGRAPHS)
def test_what_shows_photographs_cannot_use(
    main: Main, method: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    damaged = method.replace("run.ckpt", "damaged.ckpt")
    for said, given in (
        ("absent.jpg does not exist", [method, "absent.jpg"]),
        ("--device cuda:99: ", [method, "a.png", "--device=cuda:99"]),
        ("expected a checkpoint that ablations/run.py wrote", [damaged, "a.png"]),
        ("must be at least 1, got 0", [method, "a.png", *SIZES_OF_ZERO[main]]),
    ):
        words = [*given[1:], given[0]] if main is qualitative.main else given
        assert said in refused(main, words, capsys)


SIZES_OF_ZERO: dict[Main, list[str]] = {
    reconstruct.main: ["--preview-size=0"],
    fit.main: ["--picture-size=0"],
    qualitative.main: ["--size=0"],
}


def test_a_method_without_meshes_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    error = refused(qualitative.main, ["a.png", "--methods=theirs=empty"], capsys)
    assert "empty holds no file ending in" in error


def test_a_landmark_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    error = refused(fit.main, ["run.ckpt", "a.png", "--landmark-model=absent.task"], capsys)
    assert "absent.task does not exist; expected MediaPipe's face landmarker" in error


@pytest.mark.parametrize("main", [*WITH_CHECKPOINT, verification.main])
@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there(main: Main, device: str, capsys: pytest.CaptureFixture) -> None:
    which = ["--network=dlib"] if main is verification.main else ["run.ckpt"]
    assert f"--device {device}: " in refused(main, [*which, f"--device={device}"], capsys)


@pytest.mark.parametrize("main", WITH_CHECKPOINT)
def test_a_file_that_is_no_checkpoint(main: Main, capsys: pytest.CaptureFixture) -> None:
    assert "absent.ckpt does not exist" in refused(main, ["absent.ckpt"], capsys)
    assert "expected a checkpoint that ablations/run.py wrote" in refused(main, ["damaged.ckpt"], capsys)


@pytest.mark.parametrize("main", [m for m in WITH_CHECKPOINT if m not in (micc.main, consistency.main)])
def test_the_training_network_as_judge(main: Main, capsys: pytest.CaptureFixture) -> None:
    assert "was trained with dlib" in refused(main, ["run.ckpt", "--judge=dlib"], capsys)


@pytest.mark.parametrize("main", WITH_PHOTOGRAPHS)
def test_photographs_that_are_not_there(main: Main, capsys: pytest.CaptureFixture) -> None:
    assert "no LFW images in absent" in refused(main, ["run.ckpt", "--data=lfw:absent"], capsys)


@pytest.mark.parametrize("kind", ["identities", "mofa"])
def test_other_kinds_of_photographs_that_are_not_there(kind: str, capsys: pytest.CaptureFixture) -> None:
    for main in LIKENESS:
        assert "absent" in refused(main, ["run.ckpt", f"--data={kind}:absent"], capsys)


def test_a_list_or_folder_of_photographs_that_is_not_there(capsys: pytest.CaptureFixture) -> None:
    for place in ("absent", "absent.txt"):
        assert place in refused(robustness.main, ["run.ckpt", f"--data=photographs:{place}"], capsys)


def test_further_columns_that_are_not_there(capsys: pytest.CaptureFixture) -> None:
    given = ["run.ckpt", "--data=stand-in"]
    assert "MICC is not in absent" in refused(similarity.main, [*given, "--micc=absent"], capsys)
    assert "absent" in refused(similarity.main, [*given, "--mofa=absent"], capsys)


@pytest.mark.parametrize("main", [micc.main, *LIKENESS])
def test_a_folder_without_meshes(main: Main, capsys: pytest.CaptureFixture) -> None:
    assert "empty holds no file ending in" in refused(main, ["--meshes=empty", "--data=stand-in"], capsys)


@pytest.mark.parametrize("main", LIKENESS)
def test_a_folder_without_renderings(main: Main, capsys: pytest.CaptureFixture) -> None:
    error = refused(main, ["--renderings=empty", "--data=stand-in"], capsys)
    assert "empty holds no file ending in" in error


@pytest.mark.parametrize("main", [micc.main, *LIKENESS])
def test_a_file_of_groups_that_is_not_there(main: Main, capsys: pytest.CaptureFixture) -> None:
    error = refused(main, ["run.ckpt", "--data=stand-in", "--groups=absent.csv"], capsys)
    assert "--groups absent.csv is no file" in error


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--protocol=genoa", "genoa"),
        ("--also=[empty]", "empty holds no file ending in"),
        ("--landmarks=absent", "absent"),
        ("--mesh-landmarks=absent.json", "absent.json does not exist; expected a landmark file"),
        ("--encoder-weights=absent.pt", "absent.pt does not exist; expected the encoder's weights"),
        ("--data=micc:absent", "MICC is not in absent, which does not exist"),
        ("--data=scans:absent", "no scans in absent"),
    ],
)
def test_what_scores_against_scans_cannot_use(
    option: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    micc_folder(tmp_path / "micc")
    mesh_folder(tmp_path / "theirs")
    for scored in ("run.ckpt", "--meshes=theirs"):
        assert message in refused(micc.main, [scored, "--data=micc:micc", option], capsys)


def test_a_network_s_weights_and_centre_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "lfw" / "lfw-deepfunneled" / "A").mkdir(parents=True)
    (tmp_path / "lfw" / "lfw-deepfunneled" / "A" / "A_0001.jpg").write_bytes(b"")
    verified = ["--network=dlib", "--data=lfw:lfw"]
    expected = "absent.dat does not exist; expected the weights of dlib"
    assert expected in refused(verification.main, [*verified, "--weights=absent.dat"], capsys)
    assert "absent" in refused(verification.main, [*verified, "--centre-from=absent"], capsys)
    assert "no LFW images in" in refused(verification.main, ["--network=dlib", "--data=absent"], capsys)
    for main in LIKENESS:
        given = ["run.ckpt", "--data=stand-in"]
        expected = "absent.dat does not exist; expected the weights of sface"
        assert expected in refused(main, [*given, "--judge-weights=absent.dat"], capsys)
        assert "absent" in refused(main, [*given, "--centre-from=absent"], capsys)
