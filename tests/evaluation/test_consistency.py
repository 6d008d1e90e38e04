import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from datamodules.slider_people import Cast, SliderPeople
from evaluation.consistency import ONE_FACE, main, weights_of_face
from evaluation.known_truth import photograph_sets
from lightning_modules.checkpoints import with_content
from lightning_modules.expected_shape import LIKENESS_SHARE
from lightning_modules.faces.open_model.identities import Identities
from tests import miniatures
from tests.datamodules.conftest import write_photograph

from .small_checkpoint import checkpoint, saw_in_training, status_of

__all__ = ["checkpoint"]
PEOPLE, EACH = 5, 4


class SmallPeople(SliderPeople):
    """Bowls in place of heads."""

    @cached_property
    def cast(self) -> Cast:
        people = self.count // self.photographs_per_person
        shape = torch.from_numpy(np.random.default_rng(0).normal(size=(people, 4))).float()
        return Cast(Identities(*[np.zeros(people)] * 6), self.model.vertices(shape))


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a closure
    """Compares sets of photographs of five people; returns the exit status and the results."""
    monkeypatch.setattr(photograph_sets, "SliderPeople", SmallPeople)
    monkeypatch.setattr(
        photograph_sets, "load_morphable_model", lambda name: miniatures.small_model(skin=True)
    )
    for person in range(PEOPLE):
        for number in range(EACH + person % 2):
            write_photograph(tmp_path / "people" / f"p{person}" / f"{number}.png", 10 * person + number)

    def command(*more: object, file: Path = checkpoint, data: str = "people") -> tuple[int, dict[str, Any]]:
        place = data if data == "stand-in" else f"identities:{tmp_path / data}"
        status = status_of(
            main,
            [file, f"--data={place}", "--photographs=[1,2]", "--workers=0", "--no-progress",
             f"--cache-folder={tmp_path / 'cache'}", f"--output={tmp_path / 'out'}", *more],
        )  # fmt: skip
        found = tmp_path / "out" / "results.json"
        return status, json.loads(found.read_text()) if found.exists() else {}

    return command


def rows_by(results: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(row["method"], row["protocol"], row["metric"]): row for row in results["rows"]}


def test_each_number_of_photographs_has_its_figures_and_their_means_are_in_the_table(
    run: Any, tmp_path: Path  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    status, results = run()
    assert status == 0
    assert results["counts"] == {"total": PEOPLE, "used": PEOPLE, "failed": {}}
    assert not results["stand_in"]
    rows, people = rows_by(results), pd.read_csv(tmp_path / "out" / "people.csv")
    assert list(people["person"]) == [f"p{number}" for number in range(PEOPLE)]
    for protocol in ("1 photograph", "2 photographs"):
        for metric in ("one person", "two people"):
            row = rows["small", protocol, metric]
            assert row["value"] == pytest.approx(people[f"{metric}, small, {protocol}"].mean(), rel=1e-5)
            assert row["interval"][0] <= row["value"] <= row["interval"][1]
            assert row["n"] == PEOPLE
        one, two = (rows["small", protocol, metric]["value"] for metric in ("one person", "two people"))
        assert rows["small", protocol, "ratio"]["value"] == pytest.approx(one / two)
        assert rows["its faces shuffled", protocol, "one person"]["value"] > 0
        mean = rows["mean face", protocol, "ratio"]
        assert mean["value"] is None
        assert mean["reason"] == ONE_FACE
        assert rows["mean face", protocol, "AUC"]["value"] == 0.5
    assert not any(row["metric"] == "shape error" for row in results["rows"])


def test_stand_in_people_of_known_shape_have_an_error_by_number_of_photographs(
    run: Any, tmp_path: Path  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    status, results = run("--people=6", data="stand-in")
    used = results["counts"]["used"]
    assert status == (0 if used == 6 else 1)
    assert results["stand_in"]
    assert results["title"].startswith("STAND-IN: Shapes by small.ckpt from disjoint sets of photographs")
    rows, people = rows_by(results), pd.read_csv(tmp_path / "out" / "people.csv")
    for method in ("small", "mean face"):
        errors = [
            rows[method, protocol, "shape error"]["value"] for protocol in ("1 photograph", "2 photographs")
        ]
        assert errors[1] == pytest.approx(people[f"shape error, {method}, 2 photographs"].mean())
        change = rows[method, "2 photographs", "change"]
        assert change["value"] == pytest.approx(errors[1] - errors[0], abs=1e-9)
        assert change["interval"][0] <= change["value"] <= change["interval"][1]
    assert rows["mean face", "2 photographs", "change"]["value"] == 0
    assert "Error of the shape (mm), by number of photographs" in (tmp_path / "out/results.md").read_text()


def test_a_checkpoint_with_an_expected_shape_has_both_readings(
    run: Any, checkpoint: Path, tmp_path: Path  # noqa: ANN401 - fixtures
) -> None:  # fmt: skip
    kept = miniatures.expected_shape(torch.zeros(4))
    with_content(checkpoint, tmp_path / "flat.ckpt", expected_shape=kept)
    rows = rows_by(run(file=tmp_path / "flat.ckpt")[1])
    likeness = rows["flat, likeness", "1 photograph", "one person"]["value"]
    assert likeness > 0
    # The regression predicts the mean shape of everybody: likeness' share of each difference is left.
    expected = rows["flat, expected", "1 photograph", "one person"]["value"]
    assert expected == pytest.approx(LIKENESS_SHARE * likeness, rel=0.05)


def test_photographs_of_the_training_are_named_in_the_title(
    run: Any, checkpoint: Path, tmp_path: Path  # noqa: ANN401 - fixtures
) -> None:  # fmt: skip
    saw_in_training(checkpoint, [tmp_path / "people" / "p0" / "0.png"])
    assert run()[1]["title"].endswith("identities, 5 people; TRAINED ON 1 of these 20 photographs")


def test_only_people_with_enough_photographs_count(run: Any, capsys: pytest.CaptureFixture) -> None:  # noqa: ANN401
    assert run("--photographs=3")[0] == 2
    assert "nobody in identities:" in capsys.readouterr().err


def test_too_few_people_are_refused(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:  # noqa: ANN401
    for name in ("p2", "p3", "p4"):
        (tmp_path / "people" / name).rename(tmp_path / name)
    assert run()[0] == 2
    assert "2 people have 4 photographs, at least 3 are needed" in capsys.readouterr().err


@pytest.mark.parametrize("numbers", ["[]", "[2,2]"])
def test_numbers_of_photographs_must_differ(
    numbers: str, run: Any, capsys: pytest.CaptureFixture  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    assert run(f"--photographs={numbers}")[0] == 2
    assert "--photographs must be different numbers" in capsys.readouterr().err


def test_vertices_far_from_the_nose_do_not_count() -> None:
    model = miniatures.small_model()
    weights, away = weights_of_face(model), model.neutral_mean.view(-1, 3).norm(dim=1)
    assert (weights[away > 100] == 0).all()
    assert (weights[away < 90] > 0).all()
