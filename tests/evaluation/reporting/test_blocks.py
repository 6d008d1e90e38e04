from evaluation.reporting.blocks import block_of, blocks_by_protocol
from evaluation.reporting.cells import TableCell
from evaluation.reporting.results import Counts, Results, Row

OURS = Row("ours", "genova", "mean", "mm", 1.5, sd=0.126, interval=(1.4, 1.6), n=53)
QUOTED = Row("Tran et al., in Genova et al.", "genova", "mean", "mm", 1.93, quoted=True)
KEPT = Row("ours", "genova", "kept", "share", 0.7)


def test_quoted_methods_stand_marked_below_a_rule_whatever_the_order_of_the_rows() -> None:
    block = block_of([QUOTED, OURS, KEPT], "Table 1")
    assert block.columns == ["mean (mm)", "kept (%)"]
    assert block.lines == [
        ("ours", [TableCell((OURS,)), TableCell((KEPT,))]),
        ("Tran et al. †", [TableCell((QUOTED,)), None]),
    ]
    assert block.rules == [1]
    assert block.rows == [OURS, KEPT, QUOTED]


def test_a_measured_method_is_no_quoted_one_of_the_same_name() -> None:
    measured = QUOTED._replace(quoted=False, method="Tran et al.")
    assert [label for label, _ in block_of([QUOTED, measured], "").lines] == ["Tran et al.", "Tran et al. †"]


def test_every_protocol_has_a_table_without_the_details() -> None:
    rows = [OURS, KEPT, OURS._replace(protocol="now")]
    results = Results("micc", "t", {}, Counts(1, 1, {}), rows, {})
    first, second = blocks_by_protocol(results, details=("kept",))
    assert (first.heading, second.heading) == ("genova", "now")
    assert first.columns == second.columns == ["mean (mm)"]
