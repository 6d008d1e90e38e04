from dataclasses import replace

import pytest

from ablations.runs.execution import Execution, check_device, check_shares, identity_of
from ablations.runs.settings import Settings

SETTINGS = Settings().resolved()


def test_a_run_is_known_by_its_settings_and_a_precision_that_rounds_otherwise() -> None:
    assert identity_of(SETTINGS, Execution(devices=2, workers=3)) == SETTINGS.as_dict()
    short = identity_of(SETTINGS, Execution(precision="bf16-true"))
    assert short == SETTINGS.as_dict() | {"precision": "bf16-true"}


def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="--device cuda: torch finds no GPU here; give cpu or auto"):
        check_device(Execution(device="cuda"))
    check_device(Execution(device="auto"))


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_a_strategy_that_copies_the_run_is_refused(strategy: str) -> None:
    with pytest.raises(ValueError, match=f"--strategy {strategy} copies a run into processes .*; give ddp"):
        Execution(strategy=strategy)


@pytest.mark.parametrize(
    "name", ["rendered", "photographs_per_step", "synthetic_per_step", "synthetic_per_pretraining_step"]
)
def test_what_processes_cannot_share_evenly_is_refused(name: str) -> None:
    check_shares(SETTINGS, Execution(devices=2, num_nodes=4))
    message = rf"--{name.replace('_', '-')} \(12\) cannot be shared evenly by 8 processes"
    with pytest.raises(ValueError, match=message):
        check_shares(replace(SETTINGS, **{name: 12}), Execution(devices=2, num_nodes=4))


@pytest.mark.parametrize("given", [{"shard": "5/4"}, {"shard": "4"}])
def test_a_shard_that_does_not_exist_is_refused(given: dict) -> None:
    with pytest.raises(ValueError, match="--shard: expected a share such as 3/16"):
        Execution(**given)


@pytest.mark.parametrize("given", [{"devices": 2}, {"num_nodes": 2}])
def test_a_shard_is_the_work_of_one_process(given: dict) -> None:
    with pytest.raises(ValueError, match="leave out --devices and --num-nodes"):
        Execution(shard="1/4", **given)
