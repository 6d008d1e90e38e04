import numpy as np
import pytest

from evaluation.reporting.grids import fitted, screen_lines
from evaluation.reporting.studies import (
    UNRESOLVED,
    Metric,
    Study,
    attribution,
    caveats,
    comparison_frame,
    comparison_grid,
    differences,
    mean_grid,
    means,
    power_sentence,
    seeds_sentence,
    signed,
    written_p,
)

from .page.example import made_up_study


def two_by_two(scores: np.ndarray, design: str = "full") -> Study:
    """Scores [4, S, I] of nothing off, loopback off, views off, both off."""
    variants = [(), ("loopback",), ("multi_view",), ("loopback", "multi_view")]
    return Study(variants, range(scores.shape[1]), [Metric("AUC", "share", "LFW", scores)], design)


def exact(*values: float, people: int = 5) -> np.ndarray:
    """Variants with these scores in two seeds, 0.2 apart, people 0.01 apart."""
    seeds = np.array([-0.1, 0.1]).reshape(1, 2, 1)
    return np.array(values).reshape(-1, 1, 1) + seeds + 0.01 * np.linspace(-1, 1, people)


def test_means_and_deviations_are_over_seeds() -> None:
    frame = means(two_by_two(exact(0.9, 0.5, 0.7, 0.4))).set_index("variant")
    assert frame.loc["no-loopback", "mean"] == pytest.approx(0.5)
    assert frame["sd_over_seeds"].tolist() == pytest.approx([0.2 / np.sqrt(2)] * 4)
    assert frame.loc["full", ["seed_0", "seed_1"]].tolist() == pytest.approx([0.8, 1.0])
    assert set(frame["seeds"]) == {2}
    assert set(frame["people"]) == {5}


def test_one_seed_has_no_deviation() -> None:
    study = two_by_two(exact(0.9, 0.5, 0.7, 0.4)[:, :1])
    assert means(study)["sd_over_seeds"].isna().all()
    assert [cells for _, cells in mean_grid(study, "t").lines] == [["0.800"], ["0.400"], ["0.600"], ["0.300"]]


def test_differences_are_from_the_full_method() -> None:
    found = differences(two_by_two(exact(0.9, 0.5, 0.7, 0.4)))
    assert [c.subject for c in found] == ["no-loopback", "no-multi-view", "no-loopback+no-multi-view"]
    assert [c.contrast.value for c in found] == pytest.approx([-0.4, -0.2, -0.5])
    assert all(c.resolved for c in found)  # nobody differs from anybody


def test_shapley_values_come_from_the_full_design_alone() -> None:
    method, found = attribution(two_by_two(exact(0.9, 0.5, 0.7, 0.4)))
    assert method == "Shapley value"
    # loopback adds 0.4 or 0.3, several views 0.2 or 0.1.
    assert {c.subject: c.contrast.value for c in found} == pytest.approx(
        {"loopback": 0.35, "multi-view": 0.15}
    )
    short = two_by_two(exact(0.9, 0.5, 0.7, 0.4), "one-out")
    study = short._replace(
        variants=short.variants[:3], metrics=[short.metrics[0]._replace(scores=short.metrics[0].scores[:3])]
    )
    method, found = attribution(study)
    assert method == "leave-one-out difference"
    assert {c.subject: c.contrast.value for c in found} == pytest.approx({"loopback": 0.4, "multi-view": 0.2})


def test_p_values_are_corrected_for_the_whole_table() -> None:
    study = made_up_study()
    found = differences(study)
    assert len(found) == 7 * 6
    assert all(c.corrected >= c.contrast.p_value for c in found)
    smallest = min(found, key=lambda c: c.contrast.p_value)
    assert smallest.corrected == pytest.approx(42 * smallest.contrast.p_value)
    by_chance = [c for c in found if "loopback" not in c.subject]
    assert sum(c.resolved for c in by_chance) <= 2
    assert all(c.resolved for c in found if "loopback" in c.subject)


def test_an_interval_with_zero_is_not_resolved_at_this_budget() -> None:
    frame = comparison_frame(differences(made_up_study()), "variant")
    straddles = (frame["low"] <= 0) & (frame["high"] >= 0)
    assert straddles.any()
    assert set(frame.loc[straddles, "resolved"]) == {UNRESOLVED}
    assert set(frame["seeds"]) == {3}
    assert set(frame["people"]) == {40}


def test_tables_have_a_line_a_variant_and_a_column_a_metric() -> None:
    study = two_by_two(exact(0.9, 0.5, 0.7, 0.4))
    table = mean_grid(study, "t")
    assert (table.corner, table.columns) == ("Variant", ["AUC"])
    assert table.lines == [
        ("full", ["0.900 ± 0.141"]),
        ("no-loopback", ["0.500 ± 0.141"]),
        ("no-multi-view", ["0.700 ± 0.141"]),
        ("no-loopback + no-multi-view", ["0.400 ± 0.141"]),
    ]
    table = comparison_grid(differences(study), "t", "Variant")
    assert table.lines[0] == ("no-loopback", ["-0.400*, p < .001 [-0.400, -0.400]"])


def test_tables_of_many_metrics_fit_on_a_screen() -> None:
    study = made_up_study()
    grids = fitted(comparison_grid(differences(study), "t", "Variant"))
    assert all(grid.width <= 80 for grid in grids)
    assert [heading for grid in grids for heading in grid.columns] == [m.heading for m in study.metrics]
    assert screen_lines(grids[0])[-4:] == [
        "no-batch-distribution +  -0.218*, p < .001  -0.187*, p < .001  -0.196*, p < .001",
        "no-loopback +             [-0.238, -0.196]   [-0.208, -0.167]   [-0.227, -0.166]",
        "no-multi-view",
        80 * "─",
    ]


def test_units_and_stand_ins_are_in_the_heading() -> None:
    scores = exact(1, 2)
    assert Metric("shape error", "mm", "s", scores, True).heading == "STAND-IN shape error (mm)"
    assert Metric("AUC", "share", "s", scores).heading == "AUC"


def test_a_table_says_what_stands_behind_it_and_what_it_cannot_say() -> None:
    said = " ".join(caveats(made_up_study(), 42, {"full/seed-3": "out of memory"}))
    for words in (
        "3 seeds a variant and 40 people (LFW, 40 people, judge sface)",
        "corrected for the table's 42 comparisons (Holm)",
        "3 seeds a variant cannot settle what would change with other seeds",
        "a sign test still gives p = 0.25",
        "full/seed-3 is missing: out of memory",
    ):
        assert words in said
    assert "Holm" not in " ".join(caveats(made_up_study(), None, {}))
    one = " ".join(caveats(two_by_two(exact(1, 2, 3, 4)[:, :1]), None, {}))
    assert "1 seed a variant cannot settle what would change with other seeds." in one


def test_a_table_says_the_smallest_effect_that_its_design_would_see() -> None:
    found = differences(made_up_study())
    said = power_sentence(found)
    own = [c.contrast for c in found if c.metric.heading == "AUC"]
    widest = max(own, key=lambda one: one.smallest_over_people())
    people, corrected = widest.smallest_over_people(), widest.smallest_over_people(0.05 / len(found))
    seeds = max(one.smallest_over_seeds for one in own)
    assert f"AUC {people:.2g} ({corrected:.2g} corrected) over people, {seeds:.2g} over seeds" in said
    assert said.startswith("The smallest effects that this design would see in 80 % of repetitions: ")
    frame = comparison_frame(found, "variant")
    assert frame["smallest_over_people"].tolist() == [c.contrast.smallest_over_people() for c in found]


def test_where_nobody_differs_no_smallest_effect_is_made_up() -> None:
    found = differences(two_by_two(exact(0.9, 0.9, 0.9, 0.9)))
    assert [c.contrast.smallest_over_people() for c in found] == [None] * 3
    assert [c.contrast.smallest_over_seeds for c in found] == [None] * 3
    assert ": AUC not known over people, as no two of them differ. " in power_sentence(found)
    assert comparison_frame(found, "variant")["smallest_over_people"].isna().all()


def test_what_is_marked_though_seeds_disagree_is_named() -> None:
    scores = np.zeros((4, 3, 5))
    scores[1] = np.array([-0.1, 0.3, 0.2]).reshape(3, 1) + 0.01 * np.linspace(-1, 1, 5)
    scores[2] = np.array([0.1, 0.3, 0.2]).reshape(3, 1) + 0.01 * np.linspace(-1, 1, 5)
    found = differences(two_by_two(scores))
    assert [c.resolved for c in found] == [True, True, False]
    assert seeds_sentence(found) == [
        "Marked by * though not all seeds have the sign of their mean: AUC of no-loopback (2 of 3 seeds)."
    ]
    assert seeds_sentence(found[1:]) == []


def test_one_seed_says_nothing_of_others() -> None:
    assert "over seeds" not in power_sentence(differences(two_by_two(exact(1, 2, 3, 4)[:, :1])))


@pytest.mark.parametrize(
    ("p", "words"), [(0.0, "< .001"), (0.00099, "< .001"), (0.04, "0.040"), (1, "1.000")]
)
def test_a_p_value_is_never_written_as_zero(p: float, words: str) -> None:
    assert written_p(p) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0123, "+0.012"), (-2.0, "-2.000"), (-2.34e-5, "-2.3e-05"), (1e-17, "+0.000"), (0.0, "+0.000")],
)
def test_a_small_difference_is_not_written_as_none(value: float, words: str) -> None:
    assert signed(value) == words
