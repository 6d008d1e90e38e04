from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation import validity
from evaluation.known_truth.certificate_rows import SEEN, biases, protocol_rows, rank_correlations, spread
from evaluation.known_truth.wrong_reconstructions import KINDS
from evaluation.metrics.scan_protocols import PROTOCOLS
from evaluation.reporting.results import read_results
from tests.evaluation.face_like_model import face_like_model


def table(scores: list[float], errors: list[float], **columns: object) -> pd.DataFrame:
    count = len(scores)
    plain = {"subject": 0, "kind": "smooth", "level_mm": 1.0, "protocol": "genova", "failure": None}
    plain |= {"kept_fraction": 0.9}
    return pd.DataFrame(
        {name: [value] * count for name, value in plain.items()}
        | {"score_mm": scores, "shape_error_mm": errors, "size_error_mm": errors, "reference_mm": errors}
        | columns
    )


def test_rank_correlation_bias_and_spread_by_hand() -> None:
    ranked = table([1.0, 2, 3, 4], [1.0, 2, 4, 3])
    # One swap of neighbours among four: 1 - 6 * 2 / (4 * 15).
    np.testing.assert_allclose(rank_correlations(ranked, SEEN), [0.8])
    two = table([1.0, 2, 3, 9], [2.0, 3, 1, 5], subject=[0, 0, 1, 1])
    np.testing.assert_allclose(biases(two), [-1, 3])
    np.testing.assert_allclose(rank_correlations(two, SEEN), [1, 1])
    kinds = table([1.0, 1.5, 2, 4], [1.0] * 4, kind=["smooth", "local"] * 2, level_mm=[1, 1, 2, 2])
    assert spread(kinds) == pytest.approx((0.5 + 2) / 2)


def test_a_failed_score_is_in_no_figure_but_counted() -> None:
    scores = table([1.0, 2, np.nan], [1.0, 2, 3], failure=[None, None, "no convergence: 100 were not enough"])
    rows = {row.metric: row for row in protocol_rows(scores, "genova")}
    assert rows["bias"].value == 0
    assert rows["spread at equal error"].n == 2
    assert rows["kept"].value == pytest.approx(0.9)
    counts = validity.counted(scores)
    assert (counts.total, counts.used, counts.failed) == (3, 2, {"no convergence": 1})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "load_morphable_model", lambda *_, **__: face_like_model())


@pytest.mark.slow
def test_the_certificate_is_written_and_found_again(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    options = ["--output", str(tmp_path / "out"), "--subjects", "2", "--levels_mm", "[1, 2]"]
    assert validity.main(options) == 0
    results = read_results(tmp_path / "out")
    assert results.counts.used == 2 * len(KINDS) * 2 * len(PROTOCOLS)
    correlation = {row.method: row.value for row in results.rows if row.metric == "rank correlation"}
    assert list(correlation) == list(PROTOCOLS)
    assert all(0 < value <= 1 for value in correlation.values())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"scores.csv", "validity.png", "validity.pdf", "results.md", "results.tex"} <= names
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    size = scores[(scores.kind == "scale") & (scores.protocol == "genova")]
    assert size.score_mm.max() < 0.5  # what has only a wrong size is no error to a protocol that scales
    assert size.size_error_mm.max() == pytest.approx(2, abs=1e-3)
    # A second start has nothing to do; neither has one that finds its subjects' tables.
    monkeypatch.setattr(validity, "scores_of", lambda *_: pytest.fail("computed again"))
    assert validity.main(options) == 0
    (tmp_path / "out" / "results.json").unlink()
    assert validity.main(options) == 0
    assert read_results(tmp_path / "out").rows == results.rows
    with pytest.raises(SystemExit, match="2"):
        validity.main([*options, "--seed", "1"])
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "subject,kind\n", "subject,kind\n0,scale\n", "\0\0", '"cut'])
def test_a_damaged_table_of_a_subject_is_said_and_computed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture, content: str
) -> None:
    file = tmp_path / "000.csv"
    assert validity.kept_scores(file) is None
    assert capsys.readouterr().err == ""
    file.write_text(content)
    assert validity.kept_scores(file) is None
    assert capsys.readouterr().err == f"{file} is damaged and is computed again\n"
    whole = pd.DataFrame([dict.fromkeys(validity.COLUMNS, 1)])
    whole.to_csv(file, index=False)
    pd.testing.assert_frame_equal(validity.kept_scores(file), whole)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (["--subjects", "1"], "--subjects must be at least 2, got 1"),
        (["--levels-mm", "1"], "--levels-mm must be at least two"),
        (["--levels-mm", "0", "1"], "above 0, or several separated by blanks, got [0, 1]"),
    ],
)
def test_too_little_to_correlate_is_refused(
    bad: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit, match="2"):
        validity.main(bad)
    assert message in capsys.readouterr().err
