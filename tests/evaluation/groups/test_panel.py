import numpy as np

from evaluation.groups.panel import Measurement, Panel, panel_of
from evaluation.metrics.grouping import grouping

SEX = grouping("sex", ["f", "f", "m", "m", ""])
PLACE = "data"


def panel(*measurements: Measurement, **more: object) -> Panel:
    people = np.arange(5)
    return panel_of(measurements, [SEX], people, title="title", least_people=2, **more)


def ours(values: list[float], method: str = "ours", metric: str = "mean") -> Measurement:
    return Measurement(method, PLACE, metric, "mm", np.array(values))


def test_counts_stand_once_and_missing_values_once_for_each_method() -> None:
    values, nan = [1.0, 2.0, 4.0, 6.0, 3.0], np.nan
    found = panel(
        ours(values), ours(values, metric="median"), ours([nan, *values[1:]], "theirs"),
        ours([nan, *values[1:]], "theirs", "median"),
    )  # fmt: skip
    counts = [(row.method, row.metric, row.value) for row in found.rows if row.unit == "count"]
    assert counts == [
        ("ours", "photographs, sex: f", 2), ("ours", "photographs, sex: m", 2),
        ("ours", "photographs, sex: no label", 1), ("theirs", "without a value, sex: f", 1),
    ]  # fmt: skip


def test_the_difference_names_its_two_groups_and_counts_those_compared() -> None:
    (row,) = (row for row in panel(ours([1, 2, 4, 6, 30])).rows if "largest" in row.metric)
    assert row.metric == "mean, largest difference by sex: m minus f"
    assert (row.value, row.n, row.unit) == (3.5, 2, "mm")
    assert row.interval[0] < 3.5 < row.interval[1]


def test_groups_may_be_named_in_the_protocol() -> None:
    found = panel(ours([1, 2, 4, 6, 30]), items="subjects", group_in_protocol=True)
    assert {row.metric for row in found.rows} == {"subjects", "mean"}
    assert found.rows[0].protocol == "data, sex: f"
    assert found.rows[-1].protocol == "data, largest difference by sex: m minus f"


def test_a_group_without_any_value_has_a_row_with_its_reason_and_no_bar() -> None:
    found = panel(ours([np.nan, np.nan, 4, 6, 30]))
    (row,) = (row for row in found.rows if row.metric == "mean, sex: f")
    assert (row.value, row.reason) == (None, "none of 2 photographs has a value")
    assert len(found.figure.axes[0].patches) == 2
    assert found.table["mean"].isna().tolist() == [True, False, False]


def test_only_drawn_measurements_are_in_the_figure() -> None:
    shown, hidden = ours([1, 2, 4, 6, 30]), ours([1, 2, 4, 6, 30], "theirs")._replace(drawn=False)
    assert len(panel(shown, hidden).figure.axes) == 1
