from pathlib import Path

import pytest

from ablations.runs.curves import curve_rows


def write(folder: Path, start: int, text: str) -> None:
    file = folder / "logs" / f"from_step_{start:07d}" / "metrics.csv"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_rows_of_all_starts_come_in_their_order_without_what_was_cut_off(tmp_path: Path) -> None:
    assert curve_rows(tmp_path) == []
    write(tmp_path, 4, "epoch,loss,step\n0,0.25,4\n0,-")
    write(tmp_path, 0, "epoch,loss,step,score\n0,1.5,0,\n0,,3,0.75\n0,0.25,4,\n")
    assert curve_rows(tmp_path) == [
        (0, {"epoch": 0, "loss": 1.5}),
        (3, {"epoch": 0, "score": 0.75}),
        (4, {"epoch": 0, "loss": 0.25}),
        (4, {"epoch": 0, "loss": 0.25}),
    ]
    assert [row.step for row in curve_rows(tmp_path, until=3)] == [0, 3]


@pytest.mark.parametrize("left", ["0,0.1", "0,0.12,1", "0,0.123,19", "\0\0\0\0", "0,\0\0", '"'])
def test_a_line_that_a_power_cut_left_is_no_row(tmp_path: Path, left: str) -> None:
    write(tmp_path, 0, f"epoch,loss,step\n0,0.5,9\n{left}")
    assert curve_rows(tmp_path) == [(9, {"epoch": 0, "loss": 0.5})]
    write(tmp_path, 9, "epoch,loss,step\n0,0.125,19\n")
    assert [row.step for row in curve_rows(tmp_path)] == [9, 19]


def test_starts_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step in (9_999_999, 10_000_000, 9):
        write(tmp_path, step, f"loss,step\n1.0,{step}\n")
    assert [row.step for row in curve_rows(tmp_path)] == [9, 9_999_999, 10_000_000]
