from pathlib import Path

import pandas as pd

from evaluation.reporting.blocks import Block, block_of
from evaluation.reporting.results import NOT_MEASURED, Counts, Results, Row
from evaluation.reporting.tables import Layout, latex, markdown, page_of, write_tables, written_counts
from lightning_modules.plain.output_folder import OutputFolder

from .printing import printed

ROWS = [
    Row("ours", "genova", "mean error", "mm", 1.5, sd=0.126, interval=(1.4, 1.6), n=53),
    Row("ours", "genova", "within_1mm", "share", 0.4567),
    Row("theirs", "genova", "mean error", "mm", None, reason="no mesh"),
    Row("theirs", "genova", "within_1mm", "share", None, reason=NOT_MEASURED),
    Row("Tran & al., in Genova & al.", "genova", "mean error", "mm", 1.93, quoted=True),
    Row("ours", "genova", "frames, outdoor", "count", 318),
]
RESULTS = Results("micc", "MICC [cooperative]", {}, Counts(1055, 1053, {"no face": 2}), ROWS, {})


def without_frames(results: Results) -> list[Block]:
    return [block_of(results.rows[:-1], "Errors [mm]")]


CAPTION = (
    r"[ ] 95 \% interval; -- not measured. $\dagger$ quoted from the literature, not measured here: "
    r"Tran \& al., in Genova \& al."
)
LAYOUT = Layout(without_frames, "scans", "standard deviation over subjects")


def test_the_screen_shows_a_line_a_method_and_below_how_it_is_read() -> None:
    assert (
        printed(RESULTS, LAYOUT)
        == """\
MICC [cooperative]

Errors [mm]
────────────────────────────────────────────────────
                                          within_1mm
Method                 mean error (mm)           (%)
────────────────────────────────────────────────────
ours          1.50 ± 0.13 [1.40, 1.60]         45.67
theirs                         failed¹             –
────────────────────────────────────────────────────
Tran & al. †                      1.93             –
────────────────────────────────────────────────────
¹ no mesh

± standard deviation over subjects; [ ] 95 % interval; – not measured.
† quoted from the literature, not measured here: Tran & al., in Genova & al.
1,053 of 1,055 scans used; failed: 2 no face.
results.csv also has: frames.
"""
    )


def test_a_long_title_and_long_reasons_are_wrapped_at_blanks() -> None:
    words = " ".join(["word"] * 30)
    rows = [ROWS[2]._replace(reason=words)]
    lines = printed(RESULTS._replace(title=words, rows=rows), Layout()).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.count("word") for line in lines) == 60
    assert not any("…" in line for line in lines)


def test_markdown_has_the_same_table() -> None:
    assert (
        markdown(page_of(RESULTS._replace(title="a|b"), LAYOUT))
        == """\
**a|b**

Errors [mm]

| Method       |          mean error (mm) | within_1mm (%) |
| ------------ | -----------------------: | -------------: |
| ours         | 1.50 ± 0.13 [1.40, 1.60] |          45.67 |
| theirs       |                  failed¹ |              – |
| Tran & al. † |                     1.93 |              – |

¹ no mesh

± standard deviation over subjects; [ ] 95 % interval; – not measured.

† quoted from the literature, not measured here: Tran & al., in Genova & al.

1,053 of 1,055 scans used; failed: 2 no face.

results.csv also has: frames.
"""
    )


def test_a_bar_does_not_end_a_cell_of_markdown() -> None:
    rows = [ROWS[1]._replace(method="a|b")]
    assert r"| a\|b   |" in markdown(page_of(RESULTS._replace(rows=rows), Layout()))


def test_what_begins_with_a_bracket_or_a_star_is_no_argument_of_the_line_above_in_latex() -> None:
    rows = [Row(name, "MICC", "error", "mm", 1.0) for name in ("[12] a", "* b", "c [d]")]
    lines = latex(page_of(RESULTS._replace(rows=rows), Layout())).splitlines()
    assert [line for line in lines if line.endswith(r"1.00 \\")] == [
        r"{}[12] a & 1.00 \\", r"{}* b & 1.00 \\", r"c [d] & 1.00 \\",
    ]  # fmt: skip


def test_latex_has_the_same_table_with_title_and_signs_as_its_caption() -> None:
    assert (
        latex(page_of(RESULTS, LAYOUT))
        == r"""\begin{table}
\caption{MICC [cooperative]. Errors [mm]. $\pm$ standard deviation over subjects; """
        + CAPTION
        + r""" 1,053 of 1,055 scans used; failed: 2 no face.}
\begin{tabular}{lrr}
\toprule
Method & mean error (mm) & within\_1mm (\%) \\
\midrule
ours & 1.50 $\pm$ 0.13 [1.40, 1.60] & 45.67 \\
theirs & failed$^{1}$ & -- \\
\midrule
Tran \& al. $\dagger$ & 1.93 & -- \\
\bottomrule
\end{tabular}
\par{\footnotesize $^{1}$ no mesh}
\end{table}
"""
    )


def test_a_heading_of_several_columns_spans_them_in_latex() -> None:
    rows = [Row("ours", data, kind, "", 1.0) for data in ("LFW", "MICC") for kind in ("same", "diff.")]

    def layout(results: Results) -> list[Block]:
        return [block_of(results.rows, "", column=lambda row: f"{row.protocol}\n{row.metric}")]

    lines = latex(page_of(RESULTS._replace(rows=rows), Layout(layout))).splitlines()
    assert lines[4:7] == [
        r" & \multicolumn{2}{c}{LFW} & \multicolumn{2}{c}{MICC} \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}",
        r"Method & same & diff. & same & diff. \\",
    ]
    assert "| Method | LFW same | LFW diff. | MICC same | MICC diff. |" in markdown(
        page_of(RESULTS._replace(rows=rows), Layout(layout))
    )


def test_tables_and_every_row_are_written_beside_the_results(tmp_path: Path) -> None:
    files = write_tables(RESULTS, OutputFolder(tmp_path, "micc"), LAYOUT)
    assert [file.name for file in files] == ["results.md", "results.tex", "results.csv"]
    assert files[0].read_text() == markdown(page_of(RESULTS, LAYOUT))
    frame = pd.read_csv(files[2])
    assert len(frame) == len(ROWS)
    assert frame.loc[0, ["method", "value", "sd", "low", "high", "n"]].tolist() == [
        "ours", 1.5, 0.126, 1.4, 1.6, 53,
    ]  # fmt: skip
    assert frame.loc[2, "reason"] == "no mesh"


def test_results_without_rows_are_a_title_and_counts() -> None:
    assert printed(RESULTS._replace(rows=[], counts=Counts(0, 0, {})), Layout()) == (
        "MICC [cooperative]\n\n0 of 0 items used; failed: none.\n"
    )


def test_counts_name_their_reasons() -> None:
    assert written_counts(RESULTS.counts, "scans") == "1,053 of 1,055 scans used; failed: 2 no face"
    assert written_counts(Counts(3, 3, {})) == "3 of 3 items used; failed: none"
