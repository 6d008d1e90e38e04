"""W&B's own code writes the commands of both sweeps; run.py's parser has to take every one."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ablations import run
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from lightning_modules.plain.command_line import parse_settings

FOLDER = Path(run.__file__).parent


def sweep(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def command_line(content: dict[str, Any], point: dict[str, Any], spelling: str | None = None) -> list[str]:
    """As an agent writes it, from the program on; `spelling` replaces the file's own way to write options."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    values = {"args": {name: {"value": value} for name, value in point.items()}}
    written = utils.create_sweep_command_args(values) | {
        "env": ["/usr/bin/env"], "interpreter": ["python"], "program": [content["program"]]
    }  # fmt: skip
    words = []
    command = [
        spelling if spelling is not None and word.startswith("${args") else word
        for word in content["command"]
    ]
    for word in utils.create_sweep_command(command):
        words += written[word[2:-1]] if word.startswith("${") else [word]
    assert words[:3] == ["/usr/bin/env", "python", "ablations/run.py"]
    return words[3:]


def settings_of(words: list[str]) -> tuple[Settings, Execution]:
    settings, execution = parse_settings((Settings, Execution), words, program="run.py", description="")
    return settings.resolved(), execution


def grid_points(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = list(content["parameters"])
    for values in itertools.product(*(content["parameters"][name]["values"] for name in names)):
        yield dict(zip(names, values, strict=True))


def test_every_point_of_the_grid_is_the_run_that_it_names() -> None:
    content = sweep("sweep.yaml")
    points = list(grid_points(content))
    assert len(points) == 2**3 * 3
    seen = set()
    for point in points:
        settings, execution = settings_of(command_line(content, point))
        assert settings.batch_distribution is not point["no-batch-distribution"]
        assert settings.loopback is not point["no-loopback"]
        assert settings.multi_view is not point["no-multi-view"]
        assert settings.seed == point["seed"]
        assert settings.method == "paper"
        assert execution.wandb
        seen.add(settings)
    assert len(seen) == len(points)


@pytest.mark.parametrize("name", ["sweep.yaml", "tuning.yaml", "weights.yaml"])
def test_runs_and_sweep_are_of_one_project(name: str) -> None:
    content = sweep(name)
    _, execution = settings_of(command_line(content, {}))
    assert content["project"] == execution.wandb_project


@pytest.mark.parametrize("name", ["sweep.yaml", "tuning.yaml", "weights.yaml"])
def test_a_step_of_every_sweep_has_enough_photographs_for_the_batch_distribution(name: str) -> None:
    settings, _ = settings_of(command_line(sweep(name), {}))
    assert settings.photographs_per_step >= 64


def test_the_spelling_that_agents_have_by_default_means_the_same_runs() -> None:
    content = sweep("sweep.yaml")
    for point in grid_points(content):
        words = command_line(content, point, "${args}")
        assert f"--no-loopback={point['no-loopback']}" in words
        assert settings_of(words) == settings_of(command_line(content, point))
        numbers = {name: int(value) for name, value in point.items()}  # as `values: [0, 1]` has them
        assert settings_of(command_line(content, numbers, "${args}")) == settings_of(words)
    words = command_line(content, {"seed": 1.0, "views": None, "learning-rate": 5e-5}, "${args}")
    assert words[-3:] == ["--seed=1.0", "--views=None", "--learning-rate=5e-05"]
    settings, _ = settings_of(words)
    assert (settings.seed, settings.learning_rate) == (1, 5e-5)


def test_every_corner_of_the_search_and_points_inside_are_runs() -> None:
    content = sweep("tuning.yaml")
    ranges = {name: (given["min"], given["max"]) for name, given in content["parameters"].items()}
    assert all(given["distribution"] == "log_uniform_values" for given in content["parameters"].values())
    draw = random.Random(0)
    points = [dict(zip(ranges, corner, strict=True)) for corner in itertools.product(*ranges.values())]
    points += [{name: draw.uniform(*bounds) for name, bounds in ranges.items()} for _ in range(20)]
    for point in points:
        settings, execution = settings_of(command_line(content, point))
        for name, value in point.items():
            assert getattr(settings, name.replace("-", "_")) == pytest.approx(value)
        assert execution.wandb


@pytest.mark.parametrize("name", ["sweep.yaml", "tuning.yaml", "weights.yaml"])
def test_both_optimise_a_score_that_no_reported_person_enters(name: str) -> None:
    assert sweep(name)["metric"] == {"name": "validation/judge_similarity", "goal": "maximize"}


def test_the_search_s_ranges_hold_the_suite_s_values() -> None:
    parameters = sweep("tuning.yaml")["parameters"]
    suite = Settings().resolved()
    for name, given in parameters.items():
        assert given["min"] < getattr(suite, name.replace("-", "_")) < given["max"]


def test_ending_early_leaves_time_for_some_validations() -> None:
    content = sweep("tuning.yaml")
    settings, execution = settings_of(command_line(content, {}))
    validations = settings.max_steps // execution.validation_interval
    assert content["early_terminate"]["type"] == "hyperband"
    assert content["early_terminate"]["min_iter"] * content["early_terminate"]["eta"] < validations
