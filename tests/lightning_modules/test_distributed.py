import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_modules.distributed import global_batch, is_distributed, mean_over_processes
from tests.miniatures import small_batch

from .steps import step_of
from .two_processes import MORE, SWITCHES, build

ROOT = Path(__file__).resolve().parents[2]
Results = dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What two gloo processes compute together."""
    return together(2, "cpu", tmp_path_factory.mktemp("two") / "results.pt")


def together(count: int, device: str, output: Path) -> Results:
    """What so many processes compute together."""
    meeting = str(output.with_name("meeting"))
    script = str(Path(__file__).with_name("two_processes.py"))
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(count), device, meeting, str(output)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        for process in processes:
            printed, _ = process.communicate(timeout=300)
            assert process.returncode == 0, printed
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return torch.load(output, weights_only=True)


@pytest.mark.parametrize("name", [*MORE, *SWITCHES])
def test_two_processes_compute_what_one_computes(two: Results, name: str) -> None:
    module = build(**MORE.get(name, {name: 0.0}))
    _, loss, _ = step_of(module, small_batch(8))
    loss.backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in module.regressor.parameters()])
    together = two[name]
    torch.testing.assert_close(together["value"], loss.detach(), rtol=1e-5, atol=0)
    assert float((together["gradient"] - gradient).norm() / gradient.norm()) < 1e-5


def test_the_global_batch_keeps_the_order_of_ranks(two: Results) -> None:
    assert two["gathered"]["value"][:, 0].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_each_value_is_averaged_over_processes_without_a_gradient(two: Results) -> None:
    assert two["mean"]["value"].tolist() == [0.5, 5.0]
    assert not two["mean"]["gradient"]


def test_one_process_is_its_own_global_batch() -> None:
    assert not is_distributed()
    values = torch.randn(3, 2)
    assert global_batch(values) is values
    assert torch.equal(mean_over_processes(values), values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
def test_all_gpus_together_compute_what_one_process_on_the_cpu_computes(tmp_path: Path) -> None:
    # As many as share four rendered photographs evenly.
    count = max(number for number in (1, 2, 4) if number <= torch.cuda.device_count())
    results = together(count, "cuda", tmp_path / "results.pt")
    for off in (None, *SWITCHES):
        module = build(**({} if off is None else {off: 0.0}))
        _, loss, _ = step_of(module, small_batch(8))
        loss.backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in module.regressor.parameters()])
        torch.testing.assert_close(results[str(off)]["value"], loss.detach(), rtol=1e-4, atol=0)
        assert float((results[str(off)]["gradient"] - gradient).norm() / gradient.norm()) < 1e-3
    assert results["mean"]["value"].tolist() == [(count - 1) / 2, 10 * (count - 1) / 2]
