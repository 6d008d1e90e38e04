import importlib

import pytest

COMMANDS = {
    "clustering": ["run.ckpt"],
    "consistency": ["run.ckpt"],
    "fairness": ["run.ckpt"],
    "fit": ["run.ckpt", "photographs"],
    "micc": ["run.ckpt"],
    "qualitative": ["photographs", "--methods", "ours=run.ckpt"],
    "reconstruct": ["run.ckpt", "photographs"],
    "reporting_people": ["run.ckpt"],
    "robustness": ["run.ckpt"],
    "similarity": ["run.ckpt"],
    "verification": ["--network", "sface"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("device", ["cuda:7", "gpu", "mps"])
def test_a_device_that_is_not_there_is_refused_before_any_file_is_read(
    name: str, device: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    main = importlib.import_module(f"evaluation.{name}").main
    with pytest.raises(SystemExit) as end:
        main([*COMMANDS[name], f"--device={device}"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: --device {device}: ")
