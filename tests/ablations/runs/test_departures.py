import re
from pathlib import Path

import pytest
import torch

from ablations.runs import components
from ablations.runs.departures import (
    DEPARTURES,
    METHODS,
    UNSTATED,
    As,
    Departure,
    Unstated,
    departures_in_lines,
    tables,
)
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from ablations.runs.shown_settings import preview
from lightning_modules.plain.command_line import parse_settings
from lightning_modules.rendering.illumination import LIGHT_DRAWS, lights_from_uniform
from lightning_modules.rendering.pose import frontal_poses
from lightning_modules.rendering.ranges import SceneRanges
from lightning_modules.rendering.shading import SPECULAR_CONSTANT
from tests import miniatures

ROOT = Path(__file__).parents[3]
SWITCHED = [departure for departure in DEPARTURES if departure.options]
# Off under both methods, and what switches each on.
OFF = {
    "several crops of a photograph": ["--encoder-crops", "4"],
    "unbiased moments": ["--unbiased-moments"],
    "landmark loss": ["--landmark-weight", "2"],
    "another identity network": ["--identity-network", "facenet"],
    "second identity network": ["--second-identity-network", "facenet"],
    "averaged weights": ["--ema", "0.9"],
    "parts left out": ["--no-loopback"],
    "number of views": ["--no-multi-view"],
    "fewer components": ["--albedo-components", "20"],
}
FIXED = [departure for departure in DEPARTURES if not departure.options and departure.name not in OFF]
BY_NAME = pytest.mark.parametrize("departure", SWITCHED, ids=lambda departure: departure.name)


def parse(*argv: str) -> Settings:
    return parse_settings((Settings, Execution), argv, program="run.py", description="")[0].resolved()


def words(name: str, value: object) -> list[str]:
    """An option as a user types it."""
    spelling = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{spelling}" if value else f"--no-{spelling}"]
    return [f"--{spelling}", str(value)]


def changed(before: Settings, after: Settings) -> set[str]:
    old, new = before.as_dict(), after.as_dict()
    return {name for name in old if old[name] != new[name]}


# ---------------------------------------------------------------------- the table, walked


def test_the_paper_method_has_no_departure_that_an_option_sets_back() -> None:
    assert parse("--method", "paper").departures == [departure.name for departure in FIXED]


def test_a_dry_run_of_the_paper_method_shows_those_departures_and_no_other() -> None:
    page = preview(Settings(method="paper"), Execution(), "run")
    shown = page.partition("what sets each back:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.strip().partition(":")[0] for line in shown] == [departure.name for departure in FIXED]


@BY_NAME
def test_its_options_set_a_departure_back_and_nothing_else(departure: Departure) -> None:
    suite = parse()
    given = [
        word
        for name, choice in departure.options.items()
        for word in words(
            name, getattr(suite, choice.paper.option) if isinstance(choice.paper, As) else choice.paper
        )
    ]
    there = parse(*given)
    on = departure.name in suite.departures
    assert set(suite.departures) - set(there.departures) == ({departure.name} if on else set())
    assert not set(there.departures) - set(suite.departures)
    # Stage 1 has another learning rate without a linear start.
    assert changed(suite, there) <= {*departure.options, "pretraining_learning_rate"}
    assert on or departure.name in OFF


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *((f"--no-{part}", "parts left out") for part in ("identity", "batch-distribution", "parameter")),
        ("--no-pretraining", "parts left out"),
        ("--views=2", "number of views"),
        ("--shape-components=50", "fewer components"),
        ("--photographs-per-step=16", "moments over more photographs"),
    ],
)
def test_every_way_to_depart_from_the_paper_is_named(given: str, name: str) -> None:
    paper, there = parse("--method=paper"), parse("--method=paper", given)
    assert set(there.departures) - set(paper.departures) == {name}


def test_a_network_that_is_the_encoder_s_by_its_name_is_no_other_one() -> None:
    assert parse("--identity-network=dlib").departures == parse().departures
    assert parse("--identity-network=facenet").identity_network == "facenet"
    assert parse("--encoder=facenet").identity_network == "facenet"
    assert "another identity network" in parse("--encoder=facenet", "--identity-network=dlib").departures


@BY_NAME
def test_each_departure_can_be_had_by_itself_under_the_paper_method(departure: Departure) -> None:
    paper, suite = parse("--method=paper"), parse()
    given = [word for name in departure.options for word in words(name, getattr(suite, name))]
    there = parse("--method=paper", *OFF.get(departure.name, given))
    assert set(there.departures) - set(paper.departures) == {departure.name}
    assert not set(paper.departures) - set(there.departures)


def test_the_suite_departs_wherever_it_can_but_for_what_is_off() -> None:
    names = {departure.name for departure in DEPARTURES}
    assert set(parse().departures) == names - OFF.keys()
    for name, given in OFF.items():
        assert name in parse(*given).departures


def test_a_loss_that_is_off_is_no_departure() -> None:
    assert {"contrast loss", "skin tone loss", "known tone loss"}.isdisjoint(
        parse("--no-contrast", "--no-tone", "--no-known-tone").departures
    )
    without = parse("--no-batch-distribution", "--unbiased-moments").departures
    assert {"absolute means", "moments over more photographs", "unbiased moments"}.isdisjoint(without)


def test_the_paper_s_model_and_photographs_are_no_departure() -> None:
    assert "another morphable model" not in parse("--morphable-model=basel:a.h5").departures
    assert "another morphable model" in parse("--morphable-model=flame:a.pkl").departures
    assert "fewer components" not in parse("--shape-components=199").departures
    assert "stand-in photographs" not in parse("--photographs=faces").departures
    assert "another morphable model: --morphable-model basel:FILE" in departures_in_lines(parse())
    fewer = departures_in_lines(parse("--shape-components=9"))
    assert "fewer components: --shape-components 0 --albedo-components 0" in fewer


def test_the_tables_of_the_documentation_are_those_of_the_list() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert tables() in page, (
        "docs/training.md has other tables; replace them by what this prints: "
        'python -c "from ablations.runs.departures import tables; print(tables())"'
    )


@pytest.mark.parametrize("each", [*SWITCHED, *UNSTATED], ids=lambda each: each.name)
def test_no_text_of_a_row_repeats_a_number_that_its_options_set(each: Departure | Unstated) -> None:
    texts = [each.here, each.paper] if isinstance(each, Departure) else [each.here]
    numbers = [choice for choice in each.options.values() if isinstance(choice.suite, float)]
    for text in texts if numbers else ():
        own = re.sub(r"\{[^}]*\}|stage \d|to 1\b|and 1\b", "", text)
        assert not re.search(r"\d", own), f"{each.name}: {own}"


def test_the_table_says_what_the_methods_set() -> None:
    page = tables()
    assert "| starts at 0.3 of what is drawn |" in page
    assert "| 1, 1, 16, 0.1, 16 |" in page
    assert "| w_s 0.4, w_t 0.002, w_batch 10, w_loop 1, identity 1 (a reconstruction, see below) |" in page


def test_what_the_paper_does_not_state_has_the_numbers_of_the_code() -> None:
    said = {each.name: each.here for each in UNSTATED}
    settings = Settings()
    assert f"warm-up of {settings.warmup_steps} steps" in said["optimiser"]
    assert said["width of the layers"].startswith(f"{settings.hidden_width},")
    assert said["gloss"].endswith(f"constant is {SPECULAR_CONSTANT:g}")
    low, high = (round(100 * share) for share in SceneRanges().ambient_share)
    assert said["light from everywhere"].startswith(f"{low} to {high} %")
    near, far = (round(distance / 1000) for distance in SceneRanges().light_distance_mm)
    assert f"{near} to {far} m away" in said["random poses and lights"]


def test_no_name_comes_twice_and_every_method_sets_the_same_options_or_leaves_them_to_the_preset() -> None:
    names = [each.name for each in (*DEPARTURES, *UNSTATED)]
    assert len(set(names)) == len(names)
    assert METHODS["suite"].keys() - METHODS["paper"].keys() == set()
    assert METHODS["paper"].keys() - METHODS["suite"].keys() == {"synthetic_faces"}


# ---------------------------------------------------------------------- what reaches the parts


def test_the_suite_s_scenes_are_the_usual_ones() -> None:
    assert parse().scene_ranges == SceneRanges()


def test_the_paper_s_light_keeps_its_colour_and_varies_in_intensity() -> None:
    lights = {}
    for method in ("paper", "suite"):
        draws = torch.rand(4000, LIGHT_DRAWS, generator=torch.Generator().manual_seed(0))
        poses = frontal_poses((4000,), like=draws[0, 0])
        lights[method] = lights_from_uniform(draws, poses, parse("--method", method).scene_ranges)

    def spread_of_tints(method: str) -> float:
        red, _, blue = lights[method].colours[:, 0].unbind(-1)
        return float((red / blue).log2().std())

    def spread_of_brightness(method: str) -> float:
        return float(lights[method].ambient.mean(-1).log2().std())

    # As was measured of both before they could be chosen: 1.16 and 0.38.
    assert spread_of_tints("paper") == pytest.approx(1.16, abs=0.05)
    assert spread_of_tints("suite") == pytest.approx(0.38, abs=0.03)
    assert spread_of_brightness("paper") > 1.25 * spread_of_brightness("suite")


@pytest.mark.parametrize("stage", [1, 2])
def test_synthetic_faces_of_the_paper_are_fresh_and_in_its_light(stage: int, tmp_path: Path) -> None:
    settings = parse("--method", "paper")
    faces = components.synthetic_of(
        settings,
        Execution(cache_folder=tmp_path),
        miniatures.small_model(seed=0, skin=True),
        miniatures.SmallNetwork(1),
        stage=stage,
    )
    assert faces.pool_size is None
    assert faces.ranges == settings.scene_ranges != SceneRanges()
    seen = settings.pretraining_steps * settings.synthetic_per_pretraining_step
    assert faces.first_fresh == (0 if stage == 1 else seen)
