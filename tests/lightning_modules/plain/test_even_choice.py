import numpy as np
import pytest

from lightning_modules.plain.even_choice import evenly_chosen


def test_items_are_the_first_of_equal_parts() -> None:
    assert evenly_chosen(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly_chosen(7, 3).tolist() == [0, 2, 4]


def test_items_are_the_middles_of_equal_parts_where_asked() -> None:
    assert evenly_chosen(9, 3, from_the_middle=True).tolist() == [1, 4, 7]
    assert evenly_chosen(6, 3, from_the_middle=True).tolist() == [1, 3, 5]
    assert evenly_chosen(5, 1, from_the_middle=True).tolist() == [2]


@pytest.mark.parametrize("most", [None, 3, 4])
def test_all_are_taken_where_there_are_no_more(most: int | None) -> None:
    assert evenly_chosen(3, most).tolist() == [0, 1, 2]


def test_none_are_taken_from_nothing() -> None:
    assert evenly_chosen(0, 5).tolist() == evenly_chosen(5, 0).tolist() == []


def test_gaps_differ_by_at_most_one() -> None:
    for middle in (False, True):
        chosen = evenly_chosen(1001, 37, from_the_middle=middle)
        assert len(chosen) == 37
        assert np.ptp(np.diff(chosen)) == 1
