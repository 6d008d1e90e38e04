import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics.scan_protocols import PROTOCOLS
from evaluation.metrics.scan_score import score_scan
from evaluation.metrics.score_summary import pooled
from evaluation.scans.records import (
    ScoreRecord,
    heap_of,
    pooled_heaps,
    read_records,
    record_of,
    write_records,
)
from tests.evaluation.metrics.face_like import all_landmarks, face_like

IDENTITY = {"subject": "ann", "scan": "front", "condition": "any", "method": "ours", "landmarks": "marked"}


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    score = score_scan(face_like(), face_like(nose_mm=16), PROTOCOLS["now"])
    record = record_of(score, PROTOCOLS["now"], **IDENTITY)
    failed = replace(record, value_mm=None, failure="no mesh: none", heap=None)
    write_records([record, failed], tmp_path / "ann.json")
    assert read_records(tmp_path / "ann.json") == [record, failed]
    assert (record.protocol, record.converged, record.failure) == ("now", True, "")
    assert record.value_mm == score.value_mm


def test_regions_and_people_come_back_too_and_no_text_passes_for_a_score(tmp_path: Path) -> None:
    scan = face_like()._replace(landmarks=all_landmarks())
    mesh = face_like(nose_mm=16)._replace(landmarks=all_landmarks(16))
    realy = PROTOCOLS["realy-like"]
    record = record_of(score_scan(scan, mesh, realy), realy, **IDENTITY, person="ann")
    assert list(record.regions) == ["nose", "mouth", "forehead", "cheek"]
    write_records([record], tmp_path / "ann.json")
    assert read_records(tmp_path / "ann.json") == [record]
    wrong = asdict(record) | {"regions": {"nose": "large"}}
    (tmp_path / "ann.json").write_text(json.dumps([wrong]))
    with pytest.raises(ValueError, match=r"regions are \{'nose': 'large'\}"):
        read_records(tmp_path / "ann.json")


def test_points_pooled_from_histograms_are_those_pooled_themselves() -> None:
    scores = [score_scan(face_like(), face_like(nose_mm=nose), PROTOCOLS["now"]) for nose in (12, 20)]
    median, mean, sd = pooled_heaps([heap_of(score) for score in scores])
    expected = pooled(scores)
    assert median == pytest.approx(expected.median, abs=0.02)
    np.testing.assert_allclose((mean, sd), (expected.mean, expected.sd), rtol=1e-6)


def test_a_failed_score_leaves_no_number() -> None:
    score = score_scan(face_like(), face_like()._replace(triangles=np.zeros((0, 3), int)), PROTOCOLS["now"])
    record = record_of(score, PROTOCOLS["now"], **IDENTITY)
    assert (record.value_mm, record.heap) == (None, None)
    assert record.failure.startswith("empty mesh")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    record = ScoreRecord("ann", "", "any", "ours", "genova", 1.5, 0.9)
    changed = [
        json.dumps([asdict(record) | change])
        for change in (
            {"value_mm": "1.5"}, {"kept": None}, {"subject": 3}, {"converged": 1}, {"iterations": 2.5},
            {"more": 1}, {"heap": [1, 2, 3, 4]}, {"heap": 7}, {"heap": [1, 2, 3, [1] * 7]},
        )
    ]  # fmt: skip
    for text in ("{", "null", "3", "[null]", '[{"subject": "ann"}]', "[" * 100_000, *changed):
        (tmp_path / "ann.json").write_text(text)
        with pytest.raises(ValueError, match=r"ann\.json cannot be read .*; remove it"):
            read_records(tmp_path / "ann.json")


def test_a_record_needs_no_alignment() -> None:
    record = ScoreRecord("ann", "", "any", "ours", "genova", None, 0.0, failure="missing subject: gone")
    assert record.converged is None
