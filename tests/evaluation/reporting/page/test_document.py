import re

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.grids import Grid
from evaluation.reporting.page.document import contact_sheet, document, figure, table


def test_texts_are_escaped() -> None:
    page = document("<b> & more", ["a < b"], [("<i>", Markup("<p>kept</p>")), ("two", "<p>")])
    assert "<title>&lt;b&gt; &amp; more</title>" in page
    assert "<p>a &lt; b</p>" in page
    assert "<h2>&lt;i&gt;</h2>" in page
    assert "<p>kept</p>" in page
    assert "&lt;p&gt;\n</section>" in page


def test_a_table_has_its_labels_and_marks_what_is_resolved() -> None:
    written = table(Grid("A <title>", ["no-a+no-b"], [("AUC", ["+0.100* [+0.050, +0.150], p < .001"])]))
    assert "<caption>A &lt;title&gt;</caption>" in written
    assert '<th scope="col">no-a<br>+ no-b</th>' in written
    assert '<th scope="row">AUC</th>' in written
    assert '<td class="resolved">+0.100*<br>[+0.050, +0.150]<br>p &lt; .001</td>' in written


def test_a_table_has_its_footnotes_below_it() -> None:
    written = table(Grid("", ["full"], [("AUC", ["failed¹"])], notes=["¹ no <mesh>"]))
    assert written.index("</table>") < written.index('<p class="note">¹ no &lt;mesh&gt;</p>')


def test_a_spread_stands_below_its_mean() -> None:
    assert "<td>0.500<br>± 0.010</td>" in table(Grid("", ["full"], [("AUC", ["0.500 ± 0.010"])]))


def test_a_contact_sheet_has_a_column_a_variant_and_a_row_a_person() -> None:
    pictures = [[Image.new("RGB", (8, 8), (40 * v, 0, 0)) for v in range(3)] for _ in range(2)]
    sheet = contact_sheet(["full", "no-a", "no-b"], pictures, "People")
    assert sheet.count("<tr>") == 1 + 2
    assert sheet.count("data:image/jpeg;base64,") == 6
    assert 'alt="no-b, person 2"' in sheet


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 pictures for 2 columns"):
        contact_sheet(["full", "no-a"], [[Image.new("RGB", (8, 8))]], "People")


def test_a_figure_is_inside_the_page() -> None:
    drawn, _ = line_figure("", "x", "y", [Line("a", np.arange(3), np.arange(3))])
    written = figure(drawn, "A & B")
    assert 'src="data:image/svg+xml;base64,' in written
    assert "<figcaption>A &amp; B</figcaption>" in written


def test_a_page_asks_for_nothing() -> None:
    page = document("t", [], [])
    assert not re.search(r"https?://|@import|url\(", page)
