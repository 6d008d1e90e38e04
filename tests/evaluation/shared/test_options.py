from dataclasses import dataclass, field, fields

import pytest

from evaluation.scans.options import ScanEvaluationOptions, ScoredFaces
from evaluation.shared.options import NO_SETTING, Machine, Output, settings_of_options


@dataclass(frozen=True)
class Measured:
    seed: int = 3
    pictures: int = field(default=6, metadata=NO_SETTING)


@dataclass(frozen=True)
class Chosen:
    detector: str = "yunet"


def test_settings_are_all_fields_but_those_that_no_result_depends_on() -> None:
    assert settings_of_options(Measured(), Chosen()) == {"seed": 3, "detector": "yunet"}
    assert settings_of_options(Measured(pictures=0)) == settings_of_options(Measured())


def test_neither_output_nor_machine_is_a_setting_of_an_evaluation_against_scans() -> None:
    names = {each.name for cls in (Output, Machine) for each in fields(cls)}
    assert not names & ScanEvaluationOptions().settings().keys()
    assert ScanEvaluationOptions(ScoredFaces(unit="m")).settings()["unit"] == "m"


def test_the_device_of_a_machine_is_one_that_is_there() -> None:
    assert Machine(device="cpu", workers=2).resolved() == Machine(device="cpu", workers=2)
    assert Machine().resolved().device in ("cpu", "cuda:0")
    with pytest.raises(ValueError, match="--device tpu: expected auto, cpu"):
        Machine(device="tpu").resolved()
