from pathlib import Path

import pytest
import torch

from datamodules.scan_folders import micc_subjects
from evaluation.metrics.scan_protocols import GENOVA
from evaluation.scans import scoring
from evaluation.scans.landmarks import Marker
from evaluation.scans.methods import MeanFace
from evaluation.scans.scoring import Scorer
from lightning_modules.plain.output_folder import OutputFolder
from tests.evaluation.scanned_people import face_like_model, micc_folder


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    """Scores the mean face alone against face-like scans, beside the oracle."""
    model = face_like_model()
    return Scorer(
        [MeanFace(model)], model, [GENOVA], ("cooperative",), Marker(face_like_model), "mm",
        OutputFolder(tmp_path / "scores", "micc"), cache_folder=tmp_path / "cache",
    )  # fmt: skip


@pytest.mark.parametrize("left", [b"", b"null", b"[]", b"[[]]", b"PK\x03\x04 cut off"])
def test_what_is_left_of_kept_baselines_is_computed_again(
    scorer: Scorer, tmp_path: Path, left: bytes
) -> None:
    subject = micc_subjects(micc_folder(tmp_path / "florence"))[0]
    first = scorer.score(subject).read_text()
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.suffix in {".json", ".pt"}]
    assert sorted(path.suffix for path in kept) == [".json", ".json", ".pt"]
    for path in kept:
        path.write_bytes(left)
    assert scorer.score(subject).read_text() == first


def test_a_kept_fit_of_another_mesh_is_not_taken(scorer: Scorer, tmp_path: Path) -> None:
    subject = micc_subjects(micc_folder(tmp_path / "florence"))[0]
    first = scorer.score(subject).read_text()
    for path in (tmp_path / "cache").rglob("*"):
        if path.suffix == ".json":
            path.unlink()
        elif path.suffix == ".pt":
            torch.save(torch.full((3, 3), float("nan")), path)
    assert scorer.score(subject).read_text() == first


def test_whole_baselines_are_not_computed_again(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = micc_subjects(micc_folder(tmp_path / "florence"))[0]
    first = scorer.score(subject).read_text()
    monkeypatch.setattr(scoring, "score_scan", lambda *_, **__: pytest.fail("scored again"))
    assert scorer.score(subject).read_text() == first
