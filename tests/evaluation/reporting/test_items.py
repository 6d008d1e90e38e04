import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from evaluation.reporting.items import write_items
from lightning_modules.plain.output_folder import OutputFolder


@pytest.mark.parametrize(
    "name", ["a", "a\rb", "a\nb", "a\r\nb", "\r", 'a"b,c', " a ", "=1+1", "café", "\udce9"]
)
def test_a_name_with_any_letter_is_one_field_of_one_line(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"name": ["first", name], "value": [1.5, float("nan")], "count": [2, 3]})
    text = write_items(frame, OutputFolder(tmp_path, "some"), "items").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    kept = name.replace("\udce9", "\\udce9")
    assert rows == [["name", "value", "count"], ["first", "1.5", "2"], [kept, "", "3"]]
    read = pd.read_csv(io.StringIO(text, newline=""))
    assert read["name"].tolist() == ["first", kept]
    assert read["value"].tolist()[:1] == [1.5]
