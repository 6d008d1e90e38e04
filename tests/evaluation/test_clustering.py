import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pandas import read_csv
from PIL import Image

from evaluation.clustering import found_or_nan, main, quoted_rows
from evaluation.likeness import published_figures
from evaluation.metrics.retrieval import Ranks, chance
from evaluation.shared.data_places import Place
from lightning_modules.plain.manifests import MANIFEST

from .recognition_miniatures import Material


def results(material: Material, output: str = "out") -> dict[str, Any]:
    return json.loads((material.folder / output / "results.json").read_text())


def values(document: dict, protocol: str) -> dict[tuple[str, str], float]:
    return {
        (row["method"], row["metric"]): row["value"]
        for row in document["rows"]
        if row["protocol"] == protocol
    }


def test_pictures_that_are_the_photographs_find_themselves(material: Material) -> None:
    pictures = ["--renderings", material.photographs, "--method", "perfect", "--k", "[1,3]"]
    assert material.run(main, *pictures) == 1  # one photograph has no face
    found = results(material)
    whole = values(found, "identities, 14 faces")
    assert whole["perfect", "top-1"] == 1.0
    assert whole["mean face", "top-1"] <= whole["mean face", "top-3"] < 1
    people = np.repeat(np.arange(5), 3)[:14]
    for k in (1, 3):
        expected = chance(people, people, k)
        assert whole["chance per photograph", f"top-{k}"] == pytest.approx(expected.per_photograph)
        assert whole["chance per identity", f"top-{k}"] == pytest.approx(k / 5)
    assert found["counts"] == {"total": 15, "used": 14, "failed": {"no face found": 1}}
    left_out = values(found, "identities, 14 faces, source left out")
    assert left_out["perfect", "top-1"] < 1


def test_a_copy_of_the_source_photograph_is_not_found_in_its_place(material: Material) -> None:
    """Who is asked by a photograph and leaves it out would find its copy first, and has found nothing."""
    pictures = ["--renderings", material.photographs, "--method", "perfect", "--k", "[1,3]"]
    material.run(main, *pictures, output="before")
    before = values(results(material, "before"), "identities, 14 faces, source left out")
    for person in range(3):
        folder = material.photographs / f"P{person}"
        shutil.copy(folder / f"P{person}_0001.jpg", folder / f"P{person}_0009.jpg")
    material.run(main, *pictures)
    found = results(material)
    after = values(found, "identities, 17 faces, source left out")
    table = read_csv(material.folder / "out" / "photographs.csv").set_index("photograph")
    column = table["wrong before, source left out"]
    for person in range(3):  # a copy asks as its original does
        assert column[f"P{person}/P{person}_0009"] == column[f"P{person}/P{person}_0001"]
    earlier = read_csv(material.folder / "before" / "photographs.csv").set_index("photograph")
    assert column[earlier.index].equals(earlier["wrong before, source left out"])
    # The gallery has as many photographs as before, of which chance knows.
    assert before.keys() == after.keys()
    people = np.repeat(np.arange(5), 3)[:14]
    asked = np.concatenate([people, [0, 1, 2]])
    expected = chance(asked, people, 1, source_left_out=True)
    assert after["chance per photograph", "top-1"] == pytest.approx(expected.per_photograph)
    # With the source in the gallery, copies stand beside it.
    assert values(found, "identities, 17 faces")["perfect", "top-1"] == 1.0


def test_the_curve_the_items_and_the_private_picture_are_written(material: Material) -> None:
    assert material.run(main, material.checkpoint, "--examples", "2") == 1
    folder = material.folder / "out"
    assert {path.name for path in folder.iterdir()} == {
        "results.json", "results.md", "results.tex", "results.csv", "photographs.csv", "photographs",
        "cmc.png", "cmc.pdf", "started.json", MANIFEST,
    }  # fmt: skip
    with Image.open(folder / "photographs" / "nearest.png") as picture:
        assert picture.height == 44 + 2 * 112
    items = read_csv(folder / "photographs.csv")
    first = values(results(material), "identities, 14 faces")["run", "top-1"]
    assert (items["wrong before"] == 0).sum() / items["wrong before"].notna().sum() == pytest.approx(first)


def test_the_reporting_protocol_is_an_option(material: Material) -> None:
    assert material.run(main, material.checkpoint, "--people", "4") == 0
    metrics = {row["metric"] for row in results(material)["rows"]}
    assert metrics == {"top-1", "top-5", "top-1, source left out", "top-5, source left out"}


def test_on_lfw_people_on_whom_no_choice_was_made_have_rows_of_their_own(material: Material) -> None:
    assert material.run(main, material.checkpoint, "--examples", "0", kind="lfw") == 1
    rows = [row for row in results(material)["rows"] if "outside peopleDevTrain" in row["protocol"]]
    assert {row["n"] for row in rows if row["method"] == "run"} == {14 - 3}


def test_lfw_without_its_list_of_development_people_is_scored_and_it_is_said(
    material: Material,
) -> None:
    (material.photographs / "peopleDevTrain.txt").unlink()  # as scikit-learn leaves it
    assert material.run(main, material.checkpoint, "--examples", "0", kind="lfw") == 1
    rows = results(material)["rows"]
    assert {row["protocol"] for row in rows if row["value"] is not None} == {
        "LFW, 14 faces", "LFW, 14 faces, source left out",
    }  # fmt: skip
    (lacking,) = [row for row in rows if "outside peopleDevTrain" in row["protocol"]]
    assert (lacking["value"], lacking["reason"]) == (None, "peopleDevTrain.txt is not there")
    assert "peopleDevTrain.txt is not there" in (material.folder / "out" / "results.md").read_text()


def test_the_reporting_protocol_without_that_list_is_refused_before_anything_is_embedded(
    material: Material, capsys: pytest.CaptureFixture[str]
) -> None:
    (material.photographs / "peopleDevTrain.txt").unlink()
    assert material.run(main, material.checkpoint, "--people", "3", kind="lfw") == 2
    assert "no peopleDevTrain.txt in" in capsys.readouterr().err
    assert not (material.folder / "cache").exists()


@pytest.mark.parametrize(("people", "quoted"), [(78, True), (84, False)])
def test_table_3_is_quoted_of_mofa_test_only_with_its_78_people(people: int, quoted: bool) -> None:
    assert published_figures.is_the_papers("mofa", 84, people=people) == quoted
    assert published_figures.is_the_papers("mofa", 84)  # Table 2 knows no people
    assert not published_figures.is_the_papers("mofa", 83, people=78)


def test_quoting_table_3_counts_the_people_of_the_data_set() -> None:
    people = SimpleNamespace(people=["a"] * 84, dataset=SimpleNamespace(paths=[Path()] * 84))
    measured = SimpleNamespace(place=Place("mofa", Path(), ""), people=people, name="MoFA-Test, 84 faces")
    setting = SimpleNamespace(
        parts=SimpleNamespace(judge=SimpleNamespace(name="vggface")),
        scoring=SimpleNamespace(descriptor_layer="fc7-relu"),
    )
    assert quoted_rows(setting, measured) == []
    people.people = ["a"] * 78
    assert {row.metric for row in quoted_rows(setting, measured)} == {"top-1", "top-5"}


def test_renderings_are_shared_with_similarity(material: Material) -> None:
    from evaluation import similarity

    material.run(similarity.main, material.checkpoint, output="similarity")
    before = sum(material.rendered)
    material.run(main, material.checkpoint, "--examples", "0")
    assert sum(material.rendered) == before + 1  # the mean face


def test_numbers_below_one_are_refused(material: Material, capsys: pytest.CaptureFixture) -> None:
    assert material.run(main, material.checkpoint, "--k", "1", "0") == 2
    assert "--k" in capsys.readouterr().err
    assert material.run(main, material.checkpoint, "--k", "[]") == 2
    assert "--k must name at least one number" in capsys.readouterr().err


def test_one_photograph_each_leaves_nobody_to_find_without_the_source(material: Material) -> None:
    for path in material.photographs.glob("*/*_000[23].jpg"):
        path.unlink()
    assert material.run(main, material.checkpoint, "--examples", "0") == 0
    rows = results(material)["rows"]
    alone = [row for row in rows if row["protocol"].endswith("source left out")]
    assert {row["reason"] for row in alone} == {"nobody has another photograph"}


def test_a_person_without_another_photograph_is_neither_found_nor_missed() -> None:
    ranks = Ranks(ahead=np.array([0, 3, 9]), tied_wrong=np.array([0, 0, 0]), tied_right=np.array([1, 2, 0]))
    np.testing.assert_array_equal(found_or_nan(ranks, 1), [1, 0, np.nan])
    np.testing.assert_array_equal(found_or_nan(ranks, 5), [1, 1, np.nan])
