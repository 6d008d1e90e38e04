import csv
from pathlib import Path

import numpy as np

from ablations.studies.cell_results import LossCurve, curves_of
from ablations.studies.html_report import POINTS, mean_curve


def write_log(folder: Path, start: int, rows: list[dict[str, object]]) -> None:
    file = folder / "run" / "logs" / f"from_step_{start:07d}" / "metrics.csv"
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["step", "a", "b"])
        writer.writeheader()
        writer.writerows(rows)


def test_curves_of_all_starts_are_one_and_the_later_one_counts(tmp_path: Path) -> None:
    write_log(tmp_path, 0, [{"step": 0, "a": 1}, {"step": 1, "b": 5}, {"step": 2, "a": 9}])
    write_log(tmp_path, 2, [{"step": 2, "a": 3}, {"step": 3, "a": 4}])
    curves = curves_of(tmp_path, ["a", "b", "c"])
    assert set(curves) == {"a", "b"}
    assert curves["a"].steps.tolist() == [0, 2, 3]
    assert curves["a"].values.tolist() == [1, 3, 4]
    assert curves["b"].values.tolist() == [5]


def test_seeds_are_averaged_at_the_steps_that_all_have() -> None:
    first = LossCurve(np.array([0, 10, 20]), np.array([1.0, 2.0, 3.0]))
    second = LossCurve(np.array([10, 20]), np.array([4.0, 7.0]))
    mean = mean_curve([first, second])
    assert mean.steps.tolist() == [10, 20]
    assert mean.values.tolist() == [3.0, 5.0]


def test_a_long_curve_is_shown_in_few_points() -> None:
    steps = np.arange(10 * POINTS)
    mean = mean_curve([LossCurve(steps, 2.0 * steps)])
    assert len(mean.steps) == POINTS
    np.testing.assert_allclose(mean.values, 2 * mean.steps)
