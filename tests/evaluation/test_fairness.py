import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from datamodules.slider_people import Cast, SliderPeople
from evaluation import fairness
from evaluation.fairness import main
from evaluation.known_truth.slider_scores import shape_errors
from lightning_modules.checkpoints import with_content
from lightning_modules.faces.open_model.identities import Identities
from lightning_modules.reconstruction import load_reconstructor
from tests import miniatures

from .small_checkpoint import checkpoint, small_network, status_of, was_trained_with

__all__ = ["checkpoint"]
COUNT = 12


class SmallPeople(SliderPeople):
    """Bowls in place of heads, with made-up sliders."""

    @cached_property
    def cast(self) -> Cast:
        chance = np.random.default_rng(0)
        shape = torch.from_numpy(chance.normal(size=(self.count, 4))).float()
        sliders = Identities(
            np.eye(3)[np.arange(self.count) % 3], np.arange(self.count) % 2.0,
            chance.uniform(20, 70, self.count), *np.zeros((2, self.count)), np.zeros((self.count, 0, 2)),
        )  # fmt: skip
        return Cast(sliders, self.model.vertices(shape))


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a closure
    monkeypatch.setattr(fairness, "SliderPeople", SmallPeople)
    monkeypatch.setattr(fairness, "load_morphable_model", lambda name: miniatures.small_model(skin=True))
    monkeypatch.setattr(fairness, "load_network", small_network)

    def command(*more: object, output: str = "out") -> tuple[int, dict[str, Any]]:
        status = status_of(
            main,
            [checkpoint, f"--people={COUNT}", "--smallest-group=2", "--workers=0", "--no-progress",
             f"--cache-folder={tmp_path / 'cache'}", f"--output={tmp_path / output}", *more],
        )  # fmt: skip
        file = tmp_path / output / "results.json"
        return status, json.loads(file.read_text()) if file.exists() else {}

    return command


def test_every_figure_by_group_is_the_mean_of_its_people(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    status, results = run()
    used = results["counts"]["used"]
    assert status == (0 if used == COUNT else 1)
    assert results["stand_in"]
    assert results["title"].startswith(f"STAND-IN: small on {used} synthetic people of known sliders")
    people = pd.read_csv(tmp_path / "out" / "people.csv")
    assert len(people) == COUNT
    rows = {(row["method"], row["metric"]): row for row in results["rows"]}
    for metric in ("shape error", "rendering to photograph", "skin too light by"):
        values = people[f"{metric}, small"]
        assert rows["small", metric]["value"] == pytest.approx(values.mean())
        for group in ("african", "asian", "caucasian"):
            row = rows["small", f"{metric}, ethnicity slider: {group}"]
            mine = values[people["ethnicity slider"] == group]
            assert row["value"] == pytest.approx(mine.mean())
            assert row["n"] == mine.notna().sum() == (people[group] > 0.9)[values.notna()].sum()
            assert row["interval"][0] <= row["value"] <= row["interval"][1]
    largest = [row for (method, metric), row in rows.items() if method == "small" and "largest" in metric]
    assert len(largest) == 3 * 4  # figures by labels
    assert ("true face (ceiling)", "rendering to photograph, gender slider: female") in rows
    assert ("mean face", "shape error, age slider: 60 and over") in rows
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"groups.csv", "groups.png", "people.csv", "results.md", "results.tex"} <= files
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == lines[-1] == fairness.NOTICE


def test_a_checkpoint_with_an_expected_shape_has_its_shape_error_besides(
    run: Any, checkpoint: Path  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    content = load_reconstructor(checkpoint).content
    shapes = content["regressor"]["shape_count"]
    kept = miniatures.expected_shape(torch.zeros(shapes), content["regressor"]["feature_width"])
    more = checkpoint.with_name("more.ckpt")
    with_content(checkpoint, more, expected_shape=kept)
    checkpoint.unlink()
    more.rename(checkpoint)
    rows = {(row["method"], row["metric"]): row for row in run()[1]["rows"]}
    errors = [rows[name, "shape error"]["value"] for name in ("small", "small, expected", "mean face")]
    assert len(set(errors)) == 3  # a shorter likeness is neither of both
    assert ("small, expected", "rendering to photograph") not in rows
    assert ("small, expected", "shape error, age slider: 60 and over") in rows


def test_the_same_command_prints_a_finished_result_and_other_settings_are_refused(
    run: Any, capsys: pytest.CaptureFixture  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    _, first = run()
    assert run()[1] == first
    assert run("--seed=1")[0] == 2
    assert "computed with other settings (seed: 0 there, 1 now)" in capsys.readouterr().err


def test_the_judge_sees_faces_as_in_training_unless_it_is_asked_otherwise(
    run: Any, checkpoint: Path  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    def figures(*more: str) -> tuple[dict[str, float], bool]:
        results = run("--overwrite", *more)[1]
        rows = [row for row in results["rows"] if row["metric"] == "rendering to photograph"]
        return {row["method"]: row["value"] for row in rows}, "shown as rendered" in results["title"]

    usual, plain = figures(), figures("--no-retouched")
    assert (usual[1], plain[1]) == (False, True)
    assert all(usual[0][method] != plain[0][method] for method in usual[0])
    assert {"small", "true face (ceiling)", "mean face"} <= usual[0].keys()
    was_trained_with(checkpoint, retouched=False)
    assert figures() == plain
    assert figures("--retouched") == usual


@pytest.mark.parametrize("option", ["--people=1", "--smallest-group=1"])
def test_numbers_below_two_are_refused(run: Any, capsys: pytest.CaptureFixture, option: str) -> None:  # noqa: ANN401
    assert run(option)[0] == 2
    assert f"{option.partition('=')[0]} must be at least 2, got 1" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_refused(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    other = miniatures.small_model(seed=9, skin=True)
    monkeypatch.setattr(fairness, "load_morphable_model", lambda name: other)
    assert run()[0] == 2
    assert "the sliders are those of miniature, and the checkpoint was" in capsys.readouterr().err


def test_a_missing_checkpoint_and_the_training_network_are_refused(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture  # noqa: ANN401 - a fixture
) -> None:  # fmt: skip
    assert status_of(main, [tmp_path / "absent.ckpt"]) == 2
    assert "absent.ckpt" in capsys.readouterr().err
    assert run("--judge=dlib")[0] == 2
    assert "was trained with dlib" in capsys.readouterr().err


def test_place_turn_and_size_are_no_error_of_shape_and_a_shift_of_some_vertices_is() -> None:
    model = miniatures.small_model()
    true = model.vertices(torch.zeros(2, 1))
    turned = 1.2 * true @ torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]) + 30
    bent = true.clone()
    bent[:, ::2, 2] += 2
    errors = shape_errors(model, true, {"turned": turned, "bent": bent})
    np.testing.assert_allclose(errors["turned"], 0, atol=1e-4)
    assert np.all((errors["bent"] > 0.5) & (errors["bent"] < 2))
