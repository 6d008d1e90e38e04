import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation import clustering, similarity
from evaluation.groups.label_files import Named
from evaluation.groups.options import Groups, grouped, settings_of_groups, sources_of
from evaluation.likeness import by_group
from evaluation.metrics.grouping import NO_LABEL

from ..recognition_miniatures import Material

LABELS = (
    "name,sex,age\nP0,female,20\nP1,female,70\nP2,male,\nphotographs/P3/P3_0001.jpg,male,35\nEve,male,3\n"
)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.csv"
    file.write_text(LABELS)
    return file


def results(material: Material, output: str = "out") -> dict[str, Any]:
    return json.loads((material.folder / output / "results.json").read_text())


def rows_of(document: dict, method: str, label: str) -> dict[str, dict]:
    return {
        row["metric"]: row
        for row in document["rows"]
        if row["method"] == method and label in row["metric"] and "left out" not in row["protocol"]
    }


# ---------------------------------------------------------------------- options


def test_without_groups_nothing_is_asked_for_and_no_setting_is_added() -> None:
    sources = sources_of(Groups())
    assert not sources
    assert settings_of_groups(Groups(), sources) == {}


def test_a_file_skin_tone_or_both_may_be_given(labels: Path) -> None:
    assert sources_of(Groups(("skin-tone",))).skin_tone
    both = sources_of(Groups((str(labels), "skin-tone")))
    assert both.skin_tone
    assert list(both.files[0].labels) == ["sex", "age"]
    strange = labels.with_name("a,b.csv")
    labels.rename(strange)
    assert sources_of(Groups((str(strange),))).files[0].path == strange


def test_results_depend_on_a_file_s_content_not_on_its_name(labels: Path) -> None:
    def settings() -> dict:
        options = Groups((str(labels),))
        return settings_of_groups(options, sources_of(options))

    first = settings()
    labels = labels.rename(labels.with_name("other.csv"))
    assert settings() == first
    labels.write_text(LABELS + "Max,male,4\n")
    assert settings() != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Groups(group_columns=("sex",)), "--group-columns are of a file of labels; give --groups FILE"),
        (Groups(("skin-tone",), ("sex",)), "--group-columns are of a file of labels; give --groups FILE"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: Groups, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sources_of(options)


def test_a_group_of_one_is_refused(material: Material, capsys: pytest.CaptureFixture[str]) -> None:
    assert material.run(similarity.main, material.checkpoint, "--groups=skin-tone", "--smallest-group=1") == 2
    assert "--smallest-group must be at least 2, got 1" in capsys.readouterr().err


def test_a_label_may_be_given_once_only_and_an_age_must_be_one(labels: Path) -> None:
    items = Named(["P0"], [""])
    sources = sources_of(Groups((str(labels), str(labels))))
    with pytest.raises(ValueError, match="the label age is given twice"):
        grouped(sources, items, "x", np.zeros((0, 3)))
    labels.write_text("name,age\nP0,-4\n")
    with pytest.raises(ValueError, match=r"labels.csv: an age must be from 0 to 130 years, got -4"):
        grouped(sources_of(Groups((str(labels),))), items, "x", np.zeros((0, 3)))


# ---------------------------------------------------------------------- similarity and clustering


def test_mean_similarities_by_group_are_those_of_the_items(
    material: Material, labels: Path, capsys: pytest.CaptureFixture
) -> None:
    assert material.run(similarity.main, material.checkpoint, "--groups", labels, "--smallest-group=2") == 1
    items = pd.read_csv(material.folder / "out" / "photographs.csv").dropna(subset=["similarity, run"])
    female, male = items["person"].isin(["P0", "P1"]), items["person"] == "P2"
    male |= items["photograph"] == "P3/P3_0001"
    found = rows_of(results(material), "run", "sex")
    values = items["similarity, run"]
    for name, chosen in (("female", female), ("male", male), (NO_LABEL, ~(female | male))):
        row = found[f"mean, sex: {name}"]
        assert row["value"] == pytest.approx(values[chosen].mean())
        assert row["n"] == chosen.sum() == found[f"photographs, sex: {name}"]["value"]
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
    assert {name: found[f"people, sex: {name}"]["value"] for name in ("female", "male", NO_LABEL)} == {
        "female": 2, "male": 2, NO_LABEL: 2,
    }  # fmt: skip
    (largest,) = (row for metric, row in found.items() if "largest difference" in metric)
    assert largest["value"] == pytest.approx(abs(values[female].mean() - values[male].mean()))
    assert largest["n"] == 2  # the rest is not compared
    by_age = rows_of(results(material), "run", "age")
    assert by_age["photographs, age: 60 and over"]["value"] == 3
    assert by_age["photographs, age: 30 to 44"]["value"] == 1
    printed = capsys.readouterr().out
    assert "4 of 5 names in" in printed
    assert "not known: Eve" in printed
    (known,) = (row for row in results(material)["rows"] if row["method"] == "labels")
    assert (known["value"], known["n"]) == (4, 5)
    table = pd.read_csv(material.folder / "out" / "groups.csv")
    assert set(table["label"]) == {"sex", "age"}
    assert not table.loc[table["group"] == NO_LABEL, "compared"].any()
    assert (material.folder / "out" / "groups.png").exists()


def test_groups_too_small_are_shown_and_the_row_says_why_none_are_compared(
    material: Material, labels: Path
) -> None:
    material.run(similarity.main, material.checkpoint, "--groups", labels, "--group-columns", "sex")
    rows = rows_of(results(material), "run", "")
    assert rows["mean, sex: female"]["value"] is not None
    row = rows["mean, largest difference by sex"]
    assert (row["value"], row["reason"]) == (None, "not compared: 0 of the groups have 10 or more people")
    assert not any("age" in metric for metric in rows)
    table = (material.folder / "out" / "results.md").read_text()
    assert " not compared¹ |" in table
    assert "¹ 0 of the groups have 10 or more people" in table


def test_top_k_by_group_counts_the_renderings_that_find_their_person(
    material: Material, labels: Path
) -> None:
    more = ["--groups", labels, "--smallest-group=2", "--examples=0"]
    assert material.run(clustering.main, material.checkpoint, *more) == 1
    items = pd.read_csv(material.folder / "out" / "photographs.csv").dropna(subset=["wrong before"])
    female = items["person"].isin(["P0", "P1"])
    found = rows_of(results(material), "run", "sex")
    for k in (1, 5):
        expected = (items.loc[female, "wrong before"] < k).mean()
        assert found[f"top-{k}, sex: female"]["value"] == pytest.approx(expected)
    left_out = [row for row in results(material)["rows"] if row["protocol"].endswith("source left out")]
    assert {row["metric"] for row in left_out} >= {"top-1, sex: female", "top-5, sex: male"}


@pytest.mark.parametrize(
    ("module", "metric"), [(similarity, "mean, one person"), (clustering, "top-1, source left out")]
)
def test_the_reporting_protocol_has_groups_too(
    material: Material, labels: Path, module: Any, metric: str  # noqa: ANN401 - a command's module
) -> None:  # fmt: skip
    more = ["--groups", labels, "--people=5"]
    assert material.run(module.main, material.checkpoint, *more) == 0
    rows = rows_of(results(material), "run", "sex")
    assert rows[f"{metric}, sex: female"]["n"] == 2
    whole = next(row for row in results(material)["rows"] if row["metric"] == metric)
    parts = [rows[f"{metric}, sex: {name}"] for name in ("female", "male", NO_LABEL)]
    assert sum(part["n"] * part["value"] for part in parts) / 5 == pytest.approx(whole["value"])


def test_skin_tone_comes_from_the_photographs_cheeks(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = np.array([[0.95, 0.86, 0.8], [0.2, 0.13, 0.1], [0.5, 0.5, 0.5]], np.float32)
    asked: list[int] = []

    def cheeks(dataset: object, indices: np.ndarray, *, progress: bool) -> np.ndarray:
        asked.extend(indices)
        faces = np.asarray(indices)
        return colours[faces % 3] + 0.001 * (faces * faces % 7)[:, None]

    monkeypatch.setattr(by_group, "cheek_colours", cheeks)
    material.run(similarity.main, material.checkpoint, "--groups", "skin-tone", "--smallest-group", "2")
    (agreement,) = (row for row in results(material)["rows"] if "of ITA" in row["metric"])
    assert agreement["n"] == 5
    assert -1 <= agreement["value"] <= 1
    rows = rows_of(results(material), "run", "photographs, skin tone")
    assert asked == list(range(14))
    assert {metric.partition(": ")[2]: row["value"] for metric, row in rows.items()} == {
        "very light > 55": 5, "dark < -30": 5, NO_LABEL: 4,
    }  # fmt: skip


def test_bad_labels_are_refused_before_anything_is_rendered(
    material: Material, labels: Path, capsys: pytest.CaptureFixture
) -> None:
    labels.write_text("name,sex\nEve,female\n")
    for more in ([], ["--people=4"]):
        assert material.run(similarity.main, material.checkpoint, "--groups", labels, *more) == 2
        assert "none of the 1 names in" in capsys.readouterr().err
    assert material.run(clustering.main, material.checkpoint, "--groups", "absent.csv") == 2
    assert "--groups absent.csv is no file" in capsys.readouterr().err
    assert material.rendered == []
    assert not (material.folder / "out").exists()
