import pytest
import torch

from lightning_modules.plain.devices import chosen_device, device_numbers


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {number}")
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)


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


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("launcher", ["LOCAL_RANK", "SLURM_LOCALID"])
def test_a_process_has_the_gpu_at_its_place_among_those_named(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen_device("auto", numbers=[1, 0]) == torch.device("cuda", 1)
    monkeypatch.setenv(launcher, "1")
    assert chosen_device("auto", numbers=[1, 0]) == torch.device("cuda", 0)
    with pytest.raises(ValueError, match="--devices means 1 of this machine, but its process 1 was started"):
        chosen_device("auto", numbers=[1])


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("devices", "numbers"),
    [("auto", [0, 1]), (1, [0]), ("2", [0, 1]), ("1,0", [1, 0]), ("1,", [1])],
)
def test_devices_are_gpus_in_order_or_by_number(devices: int | str, numbers: list[int]) -> None:
    assert device_numbers("auto", devices) == device_numbers("cuda", devices) == numbers


@pytest.mark.parametrize(("devices", "count"), [("auto", 1), (1, 1), (5, 5)])
def test_on_the_cpu_there_may_be_any_number_of_processes(devices: int | str, count: int) -> None:
    assert device_numbers("cpu", devices) == list(range(count))


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("device", "devices", "message"),
    [
        ("auto", 3, "--devices 3: there are 2 GPUs here"),
        ("auto", "0,2", "--devices 0,2: there are 2 GPUs here"),
        ("auto", "1,1", "--devices 1,1 names a GPU twice"),
        ("cpu", "0,1", "--devices 0,1 names GPUs, but the run is on the CPU"),
        ("auto", "all", "--devices all: expected auto, how many, or GPUs by their numbers"),
        ("auto", "0", "--devices 0: expected auto, how many"),
        ("auto", -1, "--devices -1: expected auto"),
    ],
)
def test_devices_that_are_not_here_are_refused(device: str, devices: int | str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device_numbers(device, devices)
