from evaluation.reporting.blocks import block_of
from evaluation.reporting.grids import SCREEN_WIDTH, Grid, grids_of, screen_lines
from evaluation.reporting.results import Row


def rows_of(columns: int, methods: tuple[str, ...] = ("ours", "mean face")) -> list[Row]:
    return [
        Row(method, "p", f"metric {number}", "mm", 1.5, 0.25, (1.25, 1.75))
        for method in methods
        for number in range(columns)
    ]


def test_intervals_stand_beside_their_values_where_there_is_room() -> None:
    (grid,) = grids_of(block_of(rows_of(2), "t"))
    assert grid.lines[0] == ("ours", ["1.50 ± 0.25 [1.25, 1.75]"] * 2)


def test_intervals_get_a_line_of_their_own_before_the_table_is_divided() -> None:
    (grid,) = grids_of(block_of(rows_of(4), "t"))
    assert grid.lines[0] == ("ours", ["1.50 ± 0.25\n[1.25, 1.75]"] * 4)
    assert grid.width <= SCREEN_WIDTH


def test_too_many_columns_are_dealt_to_several_tables() -> None:
    grids = grids_of(block_of(rows_of(9), "t"))
    assert [grid.title for grid in grids] == ["t", "t (continued)"]
    assert [name for grid in grids for name in grid.columns] == [f"metric {n} (mm)" for n in range(9)]
    assert all(grid.width <= SCREEN_WIDTH for grid in grids)


def test_a_divided_table_shows_only_the_lines_and_footnotes_that_it_has() -> None:
    rows = rows_of(9, ("ours",))
    quoted = rows[0]._replace(method="theirs", quoted=True)
    lost = rows[-1]._replace(method="mean face", value=None, reason="no mesh")
    first, *_, last = grids_of(block_of([*rows, quoted, lost], "t"))
    assert [label for label, _ in first.lines] == ["ours", "theirs †"]
    assert (first.rules, first.notes) == ([1], [])
    assert [label for label, _ in last.lines] == ["ours", "mean face"]
    assert (last.rules, last.notes) == ([], ["¹ no mesh"])


def test_long_labels_and_headings_are_wrapped_and_nothing_is_cut() -> None:
    grid = Grid(
        "t",
        ["area under the curve (%)", "MICC\nsame", "MICC\ndiff."],
        [("a method with a very long name, indeed", ["99.0", "0.1", "0.2"]), ("x" * 30, ["1.0", "–", "–"])],
        "Method",
        [1],
    )
    assert screen_lines(grid) == [
        "─────────────────────────────────────────────────────────",
        "                                                  MICC",
        "                                              ───────────",
        "                                  area under",
        "                                   the curve",
        "Method                                   (%)  same  diff.",
        "─────────────────────────────────────────────────────────",
        "a method with a very long               99.0   0.1    0.2",
        "name, indeed",
        "─────────────────────────────────────────────────────────",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx           1.0     –      –",
        "─────────────────────────────────────────────────────────",
    ]
