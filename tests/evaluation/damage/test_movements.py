from evaluation.damage.corruptions import CORRUPTIONS, STRENGTHS
from evaluation.damage.movements import CLEAN, LAYOUT, METRICS, SAME, SHOWN
from evaluation.reporting.results import Row

from ..reporting.printing import printed, results_of


def test_kinds_of_damage_are_lines_and_strengths_columns() -> None:
    kind = CORRUPTIONS[0]
    rows = [Row("suite", name, "mesh", "mm", 1.0, interval=(0.5, 1.5)) for name in (CLEAN, SAME)]
    for strength in range(1, STRENGTHS + 1):
        found = Row("suite", kind.written(strength), "found", "share", 1 - strength / 10)
        moved = Row("suite", kind.written(strength), "mesh", "mm", float(strength), interval=(0.5, 9.5))
        if strength == STRENGTHS:
            moved = moved._replace(value=None, interval=None, reason="found in 0 photographs")
        rows += [moved, moved._replace(metric="shape", unit="sd"), found]
    assert (
        printed(results_of(rows), LAYOUT)
        == """\
A title

Without damage
────────────────────────────────────────────
Photograph                         mesh (mm)
────────────────────────────────────────────
no damage                  1.00 [0.50, 1.50]
another photograph of the  1.00 [0.50, 1.50]
person
────────────────────────────────────────────

Mean distance of vertices (mm), by strength of damage (1 to 5)
────────────────────────────────────────
Damage      1     2     3     4        5
────────────────────────────────────────
patches  1.00  2.00  3.00  4.00  failed¹
────────────────────────────────────────
¹ found in 0 photographs

Faces found (%), by strength of damage (1 to 5)
──────────────────────────────────────────
Damage       1      2      3      4      5
──────────────────────────────────────────
patches  90.00  80.00  70.00  60.00  50.00
──────────────────────────────────────────

[ ] 95 % interval.
1 of 1 photographs used; failed: none.
results.csv also has: shape.
"""
    )


def test_every_table_is_about_a_metric_that_there_is() -> None:
    assert set(SHOWN) <= {metric for _, metric, _ in METRICS}
