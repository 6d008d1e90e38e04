import inspect
from dataclasses import fields

import pytest
from lightning import Trainer

from ablations.runs.execution import Execution, identity_of
from ablations.runs.settings import Settings
from ablations.runs.trainer_options import REFUSED, TrainerOptions
from lightning_modules.plain.command_line import parse_settings


def parse(*argv: str) -> tuple[Settings, Execution]:
    return parse_settings((Settings, Execution), argv, program="run.py", description="")


def test_every_option_of_the_trainer_is_passed_through_or_refused_with_a_reason() -> None:
    passed = {field.name for field in fields(TrainerOptions)}
    assert not passed & set(REFUSED)
    assert passed | set(REFUSED) == {*inspect.signature(Trainer.__init__).parameters} - {"self"}


def test_what_changes_a_result_is_part_of_its_identity_and_the_rest_is_not() -> None:
    settings, usual = parse()
    known = identity_of(settings, usual)
    watched = parse("--trainer.log-every-n-steps=3", "--trainer.detect-anomaly")[1]
    assert watched.trainer == TrainerOptions(log_every_n_steps=3, detect_anomaly=True)
    assert identity_of(settings, watched) == known
    twice = parse("--trainer.accumulate_grad_batches", "2")[1]
    assert identity_of(settings, twice) == known | {"trainer_accumulate_grad_batches": 2}


def test_a_refused_option_names_ours(capsys: pytest.CaptureFixture[str]) -> None:
    for given, said in (
        ("--trainer.max-steps=3", "--trainer.max-steps is not taken: use --max-steps or --pretraining-steps"),
        ("--trainer.gradient_clip_val=1", "--trainer.gradient_clip_val is not taken: use --gradient-clip"),
        ("--trainer.max_stops=3", "--trainer.max_stops is no option of this command"),
    ):
        with pytest.raises(SystemExit, match="2"):
            parse(given)
        assert said in capsys.readouterr().err


def test_loggers_are_csv_and_those_named_each_once() -> None:
    assert parse()[1].logs_to == ("csv",)
    assert parse("--loggers", "tensorboard", "wandb", "--wandb")[1].logs_to == ("csv", "tensorboard", "wandb")
