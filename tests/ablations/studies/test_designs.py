import pytest

from ablations.studies.designs import Cell, cells_of, variants


def test_full_is_every_combination_once_and_begins_with_nothing_off() -> None:
    found = variants("full", ["loopback", "identity", "multi-view"])
    assert len(found) == len(set(found)) == 8
    assert found[0] == ()
    assert found[-1] == ("identity", "loopback", "multi_view")  # in run.py's order
    assert [len(off) for off in found] == [0, 1, 1, 1, 2, 2, 2, 3]


def test_one_out_is_everything_and_each_switch_off_by_itself() -> None:
    assert variants("one-out", ["identity", "loopback"]) == [(), ("identity",), ("loopback",)]


@pytest.mark.parametrize("given", [[], ["multi-view", "loopback", "batch-distribution"]])
def test_paper_is_the_paper_s_three(given: list[str]) -> None:
    assert variants("paper", given) == [(), ("batch_distribution",), ("loopback",), ("multi_view",)]


def test_seeds_of_a_variant_lie_together() -> None:
    cells = cells_of("one-out", ["loopback"], range(2, 4))
    assert [cell.name for cell in cells] == [
        "full/seed-2", "full/seed-3", "no-loopback/seed-2", "no-loopback/seed-3",
    ]  # fmt: skip


def test_a_cell_is_what_a_user_would_type() -> None:
    cell = Cell(("batch_distribution", "multi_view"), 7)
    assert cell.options == ["--no-batch-distribution", "--no-multi-view", "--seed=7"]
    assert cell.name == "no-batch-distribution+no-multi-view/seed-7"


@pytest.mark.parametrize(
    ("design", "given", "sentence"),
    [
        (
            "full",
            ["lopback"],
            "--losses lopback is no switch of run.py; there are identity, batch-distribution",
        ),
        ("full", [], "--losses must name at least one switch"),
        ("one-out", ["loopback", "loopback"], "each once, got loopback loopback"),
        ("paper", ["identity"], "the design paper removes batch-distribution, loopback, multi-view"),
    ],
)
def test_a_design_that_cannot_be_is_refused(design: str, given: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        variants(design, given)
