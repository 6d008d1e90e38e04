from pathlib import Path

import pytest

from ablations import export
from lightning_modules.checkpoints import KEY, load_regressor, read_checkpoint

from .conftest import Start


@pytest.fixture
def trained(start: Start, tmp_path: Path) -> Path:
    assert start("--no-pretraining", "--output", tmp_path / "run") == 0
    return tmp_path / "run" / "final.ckpt"


def test_a_small_checkpoint_predicts_the_same_and_carries_its_terms(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.ckpt"
    assert export.main([str(trained), str(small), "--terms", "research only"]) == 0
    content = read_checkpoint(small)
    assert set(content) == {"state_dict", "global_step", KEY}
    assert content[KEY]["terms"] == "research only"
    for name, value in load_regressor(trained)[0].state_dict().items():
        assert value.equal(load_regressor(small)[0].state_dict()[name])
    assert f"written: {small}" in capsys.readouterr().out


def test_a_file_that_exists_is_kept(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.ckpt"
    small.write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        export.main([str(trained), str(small), "--terms", "none"])
    assert "small.ckpt exists; give another name, or --overwrite" in capsys.readouterr().err
    assert small.read_text() == "mine"


def test_only_what_export_wrote_is_overwritten_and_never_the_source(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.ckpt"
    for more in ([], ["--overwrite"]):
        assert export.main([str(trained), str(small), "--terms", "none", *more]) == 0
    (tmp_path / "mine.ckpt").write_text("mine")
    (tmp_path / "link.ckpt").symlink_to(small)
    (tmp_path / "folder.ckpt").mkdir()
    (tmp_path / "run" / "again").symlink_to(tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    kept = {file: file.read_bytes() for file in (trained, last, small, tmp_path / "mine.ckpt")}
    for source, destination in (
        (trained, "mine.ckpt"), (trained, "link.ckpt"), (trained, "folder.ckpt"), (trained, last),
        (trained, trained), (trained, "run/again/final.ckpt"), (small, small), (small, "run/../small.ckpt"),
    ):  # fmt: skip
        with pytest.raises(SystemExit, match="2"):
            export.main([str(source), str(tmp_path / destination), "--terms", "none", "--overwrite"])
        assert "was not written by export.py, or is the source" in capsys.readouterr().err
    assert kept == {file: file.read_bytes() for file in kept}
