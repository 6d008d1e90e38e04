import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ablations.runs.execution import Execution
from ablations.runs.settings import METHODS, PRESETS, Settings
from lightning_modules.losses import PAPER_WEIGHTS, SUITE_WEIGHTS
from lightning_modules.plain.command_line import parse_settings
from lightning_modules.plain.declared_options import options_of

LOSSES = ("identity", "batch_distribution", "loopback", "parameter", "contrast")


def parse(*argv: str) -> Settings:
    return parse_settings((Settings, Execution), argv, program="run.py", description="")[0].resolved()


def changed(*argv: str) -> dict[str, object]:
    """What options change in the settings of a run without any."""
    before, after = parse().as_dict(), parse(*argv).as_dict()
    return {name: value for name, value in after.items() if before[name] != value}


@pytest.mark.parametrize("name", [*LOSSES, "tone", "known_tone", "pretraining"])
def test_a_switch_changes_one_setting_with_hyphens_and_underscores(name: str) -> None:
    for argument in (f"--no-{name.replace('_', '-')}", f"--no_{name}", f"--{name}=false"):
        assert changed(argument) == {name: False}


def test_no_multi_view_equals_one_view() -> None:
    assert changed("--no-multi-view") == {"multi_view": False, "views": 1}
    assert changed("--views", "1") == {"views": 1}
    assert changed("--no-multi-view", "--views=1") == {"multi_view": False, "views": 1}


def test_no_multi_view_with_more_views_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--no-multi-view means one view, but --views is 3; give one of"):
        parse("--no_multi_view", "--views", "3")


@pytest.mark.parametrize("method", ["paper", "suite"])
def test_without_any_loss_there_is_no_run(method: str) -> None:
    with pytest.raises(ValueError, match="every loss is off, by its switch or by a weight of 0"):
        parse("--method", method, *(f"--no-{name.replace('_', '-')}" for name in LOSSES))


@pytest.mark.parametrize("kept", LOSSES)
def test_one_loss_is_enough(kept: str) -> None:
    off = {name: name == kept for name in LOSSES}
    assert getattr(replace(Settings(), **off).resolved(), kept)


def test_a_linear_start_needs_the_stage_1_in_which_it_begins() -> None:
    assert parse().linear_path
    assert not parse("--linear-start", "0").linear_path
    assert not parse("--no-pretraining").linear_path
    with pytest.raises(ValueError, match=r"--linear-start begins in the stage 1 that --no-pretraining remov"):
        parse("--no-pretraining", "--linear-start", "1.5")


def test_the_suite_is_the_default_and_centres_tones_and_averages() -> None:
    settings = parse()
    assert settings.weights == SUITE_WEIGHTS
    assert (settings.centred, settings.views) == (True, 3)
    assert settings.tone_weight > 0
    assert settings.known_tone_weight > 0
    assert settings.contrast_weight > 0
    assert settings.cheek_colour
    assert settings.identity_network == settings.encoder == "dlib"


def test_the_paper_method_has_the_paper_s_weights_and_moments_of_rendered_photographs() -> None:
    settings = parse("--method", "paper")
    assert settings.weights == PAPER_WEIGHTS
    assert (settings.centred, settings.views) == (False, 3)
    assert (settings.tone_weight, settings.contrast_weight, settings.cheek_colour) == (0, 0, False)
    assert settings.known_tone_weight == 0
    assert settings.photographs_per_step == settings.rendered
    assert parse("--method", "paper", "--rendered", "16").photographs_per_step == 16


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--method paper", "sees 8 photographs a step, .* it is 0.41 a coefficient .* variance of 0.73; raise"
         " --rendered to 64 or more, or give --unbiased-moments"),
        ("--method paper --rendered 32", "sees 32 photographs"),
        ("--method paper --unbiased-moments", "most of its value is noise; raise --rendered to 64"),
        ("--photographs-per-step 16", "sees 16 .* on average; raise --photographs-per-step"),
    ],
)  # fmt: skip
def test_moments_of_few_photographs_are_warned_of(argv: str, words: str) -> None:
    assert re.search(words, parse(*argv.split()).warning)


@pytest.mark.parametrize(
    "argv",
    ["", "--method paper --rendered 64", "--method paper --no-batch-distribution", "--preset standard"],
)
def test_moments_of_many_photographs_or_of_none_need_no_warning(argv: str) -> None:
    assert parse(*argv.split()).warning is None


def test_stage_1_learns_slowly_where_it_starts_from_ridge_regression() -> None:
    assert parse().pretraining_learning_rate == 1e-4
    assert parse("--linear-start", "0").pretraining_learning_rate == 1e-3
    assert parse("--method", "paper").pretraining_learning_rate == 1e-3
    assert parse("--pretraining-learning-rate", "0.01").pretraining_learning_rate == 0.01


def test_an_option_that_is_given_wins_over_method_and_preset() -> None:
    settings = parse("--method=paper", "--preset=standard", "--loopback-weight=2", "--max-steps=7")
    assert (settings.loopback_weight, settings.max_steps) == (2.0, 7)
    assert settings.pretraining_steps == PRESETS["standard"]["pretraining_steps"]
    assert parse("--tone-weight", "0").tone_weight == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_changes_the_budget_only(preset: str) -> None:
    budget = {name: value for name, value in PRESETS[preset].items() if value != PRESETS["quick"][name]}
    given = {} if preset == "quick" else {"preset": preset}
    assert changed("--preset", preset) == budget | given
    # A pool is how the suite saves time; the paper has none, whatever the budget.
    assert set(PRESETS[preset]) & set(METHODS["paper"]) == {"synthetic_faces"}
    assert parse("--method", "paper", "--preset", preset).synthetic_faces == 0


def test_nothing_is_left_open() -> None:
    assert None not in parse().as_dict().values()


@pytest.mark.parametrize(
    "option",
    [
        ("--judge", "dlib"),
        ("--encoder", "sface"),
        ("--identity-network", "sface"),
        ("--second-identity-network", "sface"),
    ],
)
def test_a_judge_that_trains_is_refused(option: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"the judge (dlib|sface) also trains; .* give another --judge"):
        parse(*option)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            "--photographs-per-step 1 --rendered 1",
            "a batch of one photograph has no variance: raise --photog",
        ),
        ("--photographs-per-step 10 --rendered 4", r"-step \(10\) must be a multiple of --rendered \(4\)"),
        ("--stage 1 --no-pretraining", "--stage 1 is the pretraining that --no-pretraining removes"),
        ("--synthetic-faces 100", r"-pretraining-step \(128\) must not be above --synthetic-faces \(100\)"),
        (
            "--no-identity --no-contrast --no-loopback --no-parameter --batch-distribution-weight 0",
            "every loss is off",
        ),
        (
            "--no-identity --contrast-weight 0 --no-batch-distribution --shape-weight 0 --albedo-weight 0",
            "every loss is off",
        ),
        ("--second-identity-network dlib", "-identity-network dlib is the identity network already; give"),
        ("--photographs=", "--photographs '' names no folder; give one, or stand-in"),
        ("--photographs=lfw:", "--photographs 'lfw:' names no folder"),
        ("--strategy foo", "--strategy must be one of auto, ddp, .*; got foo"),
    ],
)
def test_what_cannot_be_is_refused(argv: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(*argv.split())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--rendered 0", "--rendered must be at least 1, got 0"),
        ("--max-steps -3", "--max-steps must be at least 1, got -3"),
        ("--pretraining-steps 0", "--pretraining-steps must be at least 1, got 0"),
        ("--views 0", "--views must be at least 1, got 0"),
        ("--checkpoint-interval 0", "--checkpoint-interval must be at least 1, got 0"),
        ("--identity-weight=-1", "--identity-weight must be at least 0, got -1"),
        ("--identity-weight=.inf", "--identity-weight must be at least 0, got .inf"),
        ("--loopback-weight=.nan", "--loopback-weight must be at least 0, got .nan"),
        ("--white-balance 2", "--white-balance must be at least 0 and at most 1, got 2"),
        ("--lowest-exposure 0", "--lowest-exposure must be above 0 and at most 1, got 0"),
        ("--last-layer-scale 0", "--last-layer-scale must be above 0, got 0"),
        ("--ema 1", "--ema must be at least 0 and below 1, got 1"),
        ("--jitter 100", "--jitter must be at least 0 and below 0.25, got 100"),
        ("--seed=-1", "--seed must be at least 0 and below 4294967296, got -1"),
        ("--shape-components=-3", "--shape-components must be at least 0, got -3"),
        ("--hidden-width 0", "--hidden-width must be at least 1, got 0"),
        ("--workers=-2", "--workers must be at least 0, got -2"),
        ("--linear-start=-1", "--linear-start must be at least 0, got -1"),
        ("--max-steps=many", "--max-steps: expected a whole number that is at least 1, got many"),
    ],
)
def test_a_number_outside_its_range_is_refused_while_options_are_read(
    argv: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*argv.split())
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: {message}; --help lists all options\n"


def test_a_batch_of_one_is_enough_without_the_batch_distribution() -> None:
    parse("--photographs-per-step", "1", "--rendered", "1", "--no-batch-distribution")


def test_a_file_of_options_gives_way_to_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("method: paper\nidentity: false\nmax_steps: 12\n")
    settings = parse("--config", str(file), "--max-steps", "13")
    assert (settings.method, settings.identity, settings.max_steps) == ("paper", False, 13)
    assert settings.weights == replace(PAPER_WEIGHTS, identity=0.0)


def test_runs_share_stage_1_unless_an_option_of_stage_1_differs() -> None:
    stage_1 = parse().of_stage_1()
    for argument in (
        "--no-identity",
        "--no-parameter",
        "--max-steps=9",
        "--tone-weight=0",
        "--judge=facenet",
    ):
        assert parse(argument).of_stage_1() == stage_1
    for argument in ("--seed=1", "--pretraining-steps=9", "--shape-weight=2", "--encoder=facenet",
                     "--no-cheek-colour", "--white-balance=0", "--lowest-exposure=0.5", "--no-standardised",
                     "--last-layer-scale=1", "--no-decoupled-decay"):  # fmt: skip
        assert parse(argument).of_stage_1() != stage_1


def test_options_that_are_not_given_say_what_they_follow_from() -> None:
    def origins(*argv: str) -> dict[str, str]:
        given = parse_settings((Settings, Execution), argv, program="run.py", description="")[0]
        return {field.name: given.origin_of(field.name) for field in fields(Settings)}

    usual = origins()
    assert usual["judge"] == "default"
    assert usual["contrast_weight"] == "method suite"
    assert usual["max_steps"] == usual["photographs_per_step"] == "preset quick"
    assert usual["identity_network"] == "as --encoder"
    paper = origins("--method=paper", "--max-steps=7", "--no-multi-view")
    assert (paper["method"], paper["max_steps"], paper["views"]) == ("given", "given", "--no-multi-view")
    assert paper["photographs_per_step"] == "as --rendered, by method paper"
    assert paper["pretraining_learning_rate"] == "by --linear-start"


def test_a_checkpoint_of_settings_holds_plain_numbers() -> None:
    for value in parse("--seed=3", "--ema=.5", "--views=2").as_dict().values():
        assert type(value) in (str, bool, int, float)


def test_help_lists_every_option_with_its_default_or_what_it_becomes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert end.value.code == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    text = " ".join(page.split())
    for name, value, origin in (
        ("contrast-weight", "2", "method suite"),
        ("max-steps", "100", "preset quick"),
    ):
        assert re.search(rf"--{name} [NX] [^-]*default: {value}, {origin}\)", text)
    for option in options_of([Settings, Execution]):
        described = re.search(rf"\n  --{option.spelling}[ ,].*?(?=\n  -|\n\n)", page, re.DOTALL)
        assert described, f"--{option.spelling} is not listed"
        words = " ".join(described[0].split())
        assert option.default is None or "default: " in words, words
        said = option.resolved is not None or "if not given" in words or "instead of" in words
        assert option.default is not None or said, words


def test_a_width_that_no_machine_holds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--hidden-width must be at most 32,768, got 100,000,000"):
        replace(Settings(), hidden_width=10**8).resolved()


def test_synthetic_faces_are_fresh_at_the_paper_s_scale_under_both_methods() -> None:
    assert parse("--preset", "paper-scale").synthetic_faces == 0
    assert parse("--preset", "paper-scale", "--synthetic-faces", "5000").synthetic_faces == 5000
