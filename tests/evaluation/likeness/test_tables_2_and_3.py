from evaluation.likeness.published_figures import distance_rows, retrieval_rows
from evaluation.likeness.tables_2_and_3 import TABLE_2, TABLE_2_OF_PEOPLE, TABLE_3
from evaluation.reporting.results import NOT_MEASURED, Row
from evaluation.reporting.tables import latex, page_of

from ..reporting.printing import printed, results_of

LFW, MOFA = "LFW, 13,233 faces", "MoFA-Test, 84 faces"


def similarity_rows() -> list[Row]:
    rows = [
        Row("photographs", LFW, "mean of pairs of one person", "similarity", 0.69, 0.081, n=2),
        Row("photographs", LFW, "mean of pairs of two people", "similarity", 0.088, n=2),
        Row("photographs", LFW, "EMD to two people", "similarity", 0.602, n=2),
    ]
    for protocol in (LFW, MOFA):
        for method, same in (("suite", 0.381), ("its faces shuffled", 0.65)):
            rows += [
                Row(method, protocol, "EMD to one person", "similarity", same, n=2),
                Row(method, protocol, "EMD to two people", "similarity", 0.221, n=2),
                Row(method, protocol, "mean", "similarity", 0.309, 0.088, (0.303, 0.315), 2),
            ]
        rows.append(Row("suite", protocol, "pairs of one person below the mean", "share", 0.0011))
    for pairs in ("one person", "two people"):
        rows.append(Row("suite", "MICC", f"EMD to {pairs}", "similarity", None, reason=NOT_MEASURED))
    return rows + distance_rows("lfw", LFW) + distance_rows("mofa", MOFA)


def test_table_2_has_a_pair_of_columns_for_each_data_set() -> None:
    assert (
        printed(results_of(similarity_rows()), TABLE_2)
        == """\
A title

Earth Mover's Distance to photographs of one person (same) and of two (diff.)
─────────────────────────────────────────────────────────────
                          LFW           MICC      MoFA-Test
                      ────────────  ───────────  ────────────
Method                 same  diff.  same  diff.   same  diff.
─────────────────────────────────────────────────────────────
suite                 0.381  0.221     –      –  0.381  0.221
─────────────────────────────────────────────────────────────
photographs               –  0.602     –      –      –      –
its faces shuffled    0.650  0.221     –      –  0.650  0.221
─────────────────────────────────────────────────────────────
Tran et al. †          0.32   0.09     –      –   0.27   0.14
Genova et al. 2018 †   0.14   0.26     –      –   0.09   0.32
MoFA †                    –      –     –      –   0.30   0.11
─────────────────────────────────────────────────────────────

Mean cosine similarity of photograph and rendering
─────────────────────────────────────────────────────────
Method                                LFW       MoFA-Test
─────────────────────────────────────────────────────────
suite                       0.309 ± 0.088   0.309 ± 0.088
                           [0.303, 0.315]  [0.303, 0.315]
─────────────────────────────────────────────────────────
photographs of one person   0.690 ± 0.081               –
photographs of two people           0.088               –
its faces shuffled          0.309 ± 0.088   0.309 ± 0.088
                           [0.303, 0.315]  [0.303, 0.315]
─────────────────────────────────────────────────────────

± standard deviation over photographs; [ ] 95 % interval; – not measured.
† quoted from the literature, not measured here: Tran et al.; Genova et al.
2018; MoFA.
1 of 1 photographs used; failed: none.
results.csv also has: pairs of one person below the mean.
"""
    )


def test_spanning_columns_are_the_same_in_latex() -> None:
    lines = latex(page_of(results_of(similarity_rows()), TABLE_2)).splitlines()
    assert (
        r" & \multicolumn{2}{c}{LFW} & \multicolumn{2}{c}{MICC} & \multicolumn{2}{c}{MoFA-Test} \\" in lines
    )
    assert r"Method & same & diff. & same & diff. & same & diff. \\" in lines
    assert r"suite & 0.381 & 0.221 & -- & -- & 0.381 & 0.221 \\" in lines
    assert r"MoFA $\dagger$ & -- & -- & -- & -- & 0.30 & 0.11 \\" in lines


def test_the_reporting_protocol_has_a_table_of_its_own() -> None:
    rows = [
        Row(method, "LFW, 300 people", metric, "share", 0.9, 0.01, n=300)
        for method in ("suite", "mean face")
        for metric in ("AUC, the source photograph", "AUC, both photographs")
    ]
    assert (
        printed(results_of(rows), TABLE_2_OF_PEOPLE)
        == """\
A title

LFW, 300 people
─────────────────────────────────────
               AUC, the
                 source     AUC, both
             photograph   photographs
Method              (%)           (%)
─────────────────────────────────────
suite      90.00 ± 1.00  90.00 ± 1.00
─────────────────────────────────────
mean face  90.00 ± 1.00  90.00 ± 1.00
─────────────────────────────────────

± standard error (jackknife over people).
1 of 1 photographs used; failed: none.
"""
    )


def test_table_3_has_chance_and_quoted_methods_below_rules() -> None:
    rows = [
        Row(method, LFW, f"top-{k}", "share", value * k, n=2)
        for method, value in (("suite", 0.1), ("chance per photograph", 0.0028))
        for k in (1, 5)
    ]
    rows += [row._replace(protocol=f"{LFW}, source left out") for row in rows]
    assert (
        printed(results_of(rows + retrieval_rows("lfw", LFW)), TABLE_3)
        == """\
A title

LFW, 13,233 faces
───────────────────────────────────────────
Method                 top-1 (%)  top-5 (%)
───────────────────────────────────────────
suite                      10.00      50.00
───────────────────────────────────────────
chance per photograph       0.28       1.40
───────────────────────────────────────────
Tran et al. †                0.1        0.2
Genova et al. 2018 †          16         51
───────────────────────────────────────────

LFW, 13,233 faces, source left out
───────────────────────────────────────────
Method                 top-1 (%)  top-5 (%)
───────────────────────────────────────────
suite                      10.00      50.00
───────────────────────────────────────────
chance per photograph       0.28       1.40
───────────────────────────────────────────

† quoted from the literature, not measured here: Tran et al.; Genova et al.
2018.
1 of 1 photographs used; failed: none.
"""
    )
