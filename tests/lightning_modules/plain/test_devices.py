import pytest
import torch

from lightning_modules.plain.devices import chosen_device


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {number}")
    monkeypatch.delenv("LOCAL_RANK", raising=False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen_device("auto") == chosen_device("cpu") == torch.device("cpu")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("two_gpus")
def test_auto_takes_a_gpu_where_there_is_one_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen_device("auto") == torch.device("cuda", 0)
    assert capsys.readouterr().err == "device: cuda:0, GPU 0\n"
    assert chosen_device("cpu") == torch.device("cpu")
    assert chosen_device("cuda:1", say=False) == torch.device("cuda", 1)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("two_gpus")
def test_each_of_several_processes_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert chosen_device("auto") == chosen_device("cuda") == torch.device("cuda", 1)
    assert chosen_device("cuda:0") == torch.device("cuda", 0)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "torch finds no GPU here; give cpu or auto"),
        ("cuda:1", "torch finds no GPU here"),
        ("gpu", "expected auto, cpu, cuda or a GPU by its number, such as cuda:1"),
        ("mps", "expected auto, cpu"),
        ("cuda:", "expected auto, cpu"),
    ],
)
def test_what_is_no_device_here_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"--device {name}: {message}"):
        chosen_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_beyond_the_last_is_refused() -> None:
    with pytest.raises(ValueError, match="--device cuda:2: there are 2 GPUs here, numbered from 0"):
        chosen_device("cuda:2")
