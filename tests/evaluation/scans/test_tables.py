from dataclasses import replace

import numpy as np
import pytest

from evaluation.metrics.scan_protocols import GANFIT, GENOVA, TRAN
from evaluation.scans.methods import ANY_CONDITION, Frames
from evaluation.scans.records import ScoreRecord
from evaluation.scans.tables import (
    columns_of,
    counts_of,
    curve_figure,
    frame_rows,
    ranking_sentences,
    ranking_table,
    ranks,
    rows_of,
    subject_table,
)


def record(
    subject: str, method: str, value: float | None, *, condition: str = ANY_CONDITION,
    protocol: str = "genova", scan: str = "frontal1",
) -> ScoreRecord:  # fmt: skip
    failure = "" if value is not None else "no convergence: 200 iterations"
    return ScoreRecord(subject, scan, condition, method, protocol, value, 0.9, failure=failure)


RECORDS = [
    record("a", "ours", 1.0, condition="cooperative"),
    record("a", "ours", 2.0, condition="indoor"),
    record("a", "mean face", 1.5),
    record("b", "ours", 3.0, condition="cooperative"),
    record("b", "ours", None, condition="indoor"),
    record("b", "mean face", 1.7),
]


def test_a_method_with_one_mesh_stands_in_every_condition() -> None:
    columns = columns_of(RECORDS, [GENOVA], ["cooperative", "indoor"])
    assert [(c.condition, c.method) for c in columns] == [
        ("cooperative", "ours"), ("cooperative", "mean face"), ("indoor", "ours"), ("indoor", "mean face"),
    ]  # fmt: skip
    np.testing.assert_array_equal(columns[2].values, [2.0, np.nan])


def test_figures_are_of_those_with_a_score_and_the_others_are_counted() -> None:
    columns = columns_of(RECORDS, [GENOVA], ["cooperative", "indoor"])
    rows = rows_of(columns, [GENOVA], "MICC", with_quoted=False)
    found = {(r.method, r.protocol, r.metric): r for r in rows}
    mean = found["ours", "MICC cooperative, genova", "mean"]
    assert (mean.value, mean.n) == (2.0, 2)
    assert mean.sd == pytest.approx(np.sqrt(2))
    assert found["ours", "MICC cooperative, genova", "RMSE"].value == pytest.approx(np.sqrt(5))
    assert found["ours", "MICC indoor, genova", "mean"].n == 1
    assert found["ours", "MICC indoor, genova", "mean"].sd is None
    assert found["ours", "MICC indoor, genova", "failed"].value == 1
    assert counts_of(columns) == (8, 7, {"no convergence": 1})


def test_a_method_without_any_score_has_a_reason_and_no_rank() -> None:
    columns = columns_of([record("a", "ours", None), record("a", "oracle", 0.5)], [GENOVA], [ANY_CONDITION])
    first = rows_of(columns, [GENOVA], "MICC", with_quoted=False)[0]
    assert (first.value, first.n, first.protocol) == (None, 0, "MICC, genova")
    assert first.reason == "no subject has a score: 1 no convergence"
    assert ranks(columns, "genova", ANY_CONDITION) == {"oracle": 1}


def test_the_literature_stands_beside_its_own_protocol_only() -> None:
    records = [*RECORDS, record("a", "ours", 1.0, condition="cooperative", protocol="tran")]
    columns = columns_of(records, [GENOVA, TRAN], ["cooperative", "indoor"])
    rows = rows_of(columns, [GENOVA, TRAN], "MICC", with_quoted=True)
    quoted = [(r.method, r.protocol, r.value, r.sd) for r in rows if r.quoted]
    assert ("Genova et al. 2018", "MICC indoor, genova", 1.50, 0.11) in quoted
    assert {place for _, place, _, _ in quoted} == {"MICC cooperative, genova", "MICC indoor, genova"}


def test_ranks_compare_the_same_subjects() -> None:
    # Over all of its own subjects ours would be worse than the mean face.
    records = [
        record("a", "ours", 1.0), record("b", "ours", 9.0),
        record("a", "mean face", 1.5), record("b", "mean face", None),
    ]  # fmt: skip
    columns = columns_of(records, [GENOVA], [ANY_CONDITION])
    assert ranks(columns, "genova", ANY_CONDITION) == {"ours": 1, "mean face": 2}
    assert list(ranking_sentences(columns)) == ["any, genova: ours < mean face"]


def test_rankings_of_protocols_are_compared_with_the_first() -> None:
    def three(protocol: str, *values: float) -> list[ScoreRecord]:
        return [record("a", name, v, protocol=protocol) for name, v in zip("xyz", values, strict=True)]

    columns = columns_of(three("genova", 1, 2, 3) + three("tran", 1, 3, 2), [GENOVA, TRAN], [ANY_CONDITION])
    table = ranking_table(columns)
    assert table["agreement"].tolist() == pytest.approx([1.0, 1 / 3])  # one of three pairs turned round
    assert table.loc[1, ["x", "y", "z"]].tolist() == [1, 3, 2]


def test_protocols_that_agree_are_one_sentence() -> None:
    records = [
        record("a", name, value, protocol=protocol)
        for protocol, values in (("genova", (1, 2)), ("tran", (2, 1)), ("cooper", (3, 4)))
        for name, value in zip("xy", values, strict=True)
    ]
    columns = columns_of(records, [GENOVA, TRAN, replace(GENOVA, name="cooper")], [ANY_CONDITION])
    assert list(ranking_sentences(columns)) == ["any, genova, cooper: x < y", "any, tran: y < x"]


def test_the_better_of_two_scans_counts_where_the_protocol_says_so() -> None:
    records = [
        record("a", "ours", 2.0, protocol="ganfit"),
        record("a", "ours", 1.5, protocol="ganfit", scan="frontal2"),
        record("b", "ours", None, protocol="ganfit"),
        record("b", "ours", 1.8, protocol="ganfit", scan="frontal2"),
    ]
    (column,) = columns_of(records, [GANFIT], [ANY_CONDITION])
    assert column.values == [1.5, 1.8]


def test_frames_without_a_face_are_rows() -> None:
    rows = frame_rows("ours", "MICC", {"indoor": Frames(12, {"no face found": 2, "damaged image": 1})})
    assert [(r.protocol, r.metric, r.value) for r in rows] == [
        ("MICC indoor, frames", "frames", 12), ("MICC indoor, frames", "without a face", 3),
    ]  # fmt: skip


def test_every_score_is_a_line_and_failed_subjects_keep_the_curve_below_one() -> None:
    assert len(subject_table(RECORDS)) == 6
    assert "heap" not in subject_table(RECORDS)
    columns = columns_of(RECORDS, [GENOVA], ["indoor"])
    (axes,) = curve_figure(columns, "STAND-IN: curves").axes
    ours = next(line for line in axes.lines if line.get_label() == "ours")
    assert ours.get_ydata()[-1] == 50
    assert axes.get_title() == "STAND-IN: curves"
