"""Run by test_distributed.py in several processes: a full step's value and gradient on each one's share."""

import sys
from dataclasses import replace

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.distributed import buffers_stay, global_batch, mean_over_processes
from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.optimisation import Optimisation
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.regression import Regression, Rendering
from lightning_modules.regressor import Regressor
from lightning_modules.skin_tone import ToneTarget
from lightning_modules.teachers import Teachers
from tests import miniatures
from tests.lightning_modules.steps import step_of

SWITCHES = ("parameter", "identity", "batch_distribution", "loopback")
# What is built besides: everything, and what is off by default.
MORE = {"None": {}, "second identity network": {"second": True}, "landmark": {"landmark": 2.0}}


class Step(torch.nn.Module):
    """A training step as the forward pass that DDP expects."""

    def __init__(self, module: Regression) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: object) -> torch.Tensor:
        """The sum of the losses."""
        return step_of(self.module, batch)[1]


def build(*, second: bool = False, **losses: float) -> Regression:
    """The same module on every process."""
    torch.manual_seed(0)
    model = miniatures.small_model()
    network, judge = miniatures.SmallNetwork(1), miniatures.SmallNetwork(2)
    judge.name = "judge"
    more = (miniatures.SmallNetwork(3),) if second else ()
    return Regression(
        Regressor(20, 4, 3, hidden_width=16),
        Teachers(model, network, network, judge, *more),
        replace(SUITE_WEIGHTS, tone=0.5, **losses),
        Rendering(4, 2, seed=5),
        Optimisation(1e-3, 0.0, 0, 10),
        tone=ToneTarget(torch.randn(8, 3), torch.tensor([60.0, 12.0, 18.0]), torch.linspace(-60, 60, 61)),
        landmarks=LandmarkTarget.of_model(model) if "landmark" in losses else None,
        gradient_norm_interval=0,
    )


def stepped(
    switches: dict[str, float], device: torch.device, rank: int, count: int
) -> dict[str, torch.Tensor]:
    """The averaged value and gradient of a step.

    Its `DistributedDataParallel` ends here, before the process group: if it outlived the group, its end would
    wait for gloo's threads without letting go of the interpreter, for which one of them may be waiting.
    """
    module = build(**switches)
    module.to(device)
    module.setup("fit")
    step = DistributedDataParallel(Step(module), **buffers_stay())
    batch = miniatures.small_batch(8, rank=rank, world_size=count)
    loss = step(move_data_to_device(batch, device))
    loss.backward()
    value = loss.detach().clone()
    distributed.all_reduce(value)
    gradient = torch.cat([parameter.grad.flatten() for parameter in module.regressor.parameters()])
    return {"value": value.cpu() / count, "gradient": gradient.cpu()}


def main(rank: int, count: int, device: torch.device, meeting: str, output: str) -> None:
    """Step with everything on, with more, and with each loss off; save the averaged values and gradients."""
    torch.set_num_threads(1)
    backend = "gloo"
    if device.type == "cuda":
        backend, device = "nccl", torch.device("cuda", rank)
        torch.cuda.set_device(device)
    # They meet in a file: a port may be taken by now, and one that meets at a port cannot end after its host.
    distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=count)
    results = {
        name: stepped(switches, device, rank, count)
        for name, switches in (MORE | {name: {name: 0.0} for name in SWITCHES}).items()
    }
    gathered = global_batch(torch.full((2, 3), float(rank), device=device)).cpu()
    results["gathered"] = {"value": gathered, "gradient": gathered}
    mean = mean_over_processes(torch.tensor([rank, 10.0 * rank], device=device).requires_grad_()).cpu()
    results["mean"] = {"value": mean, "gradient": torch.tensor(mean.requires_grad)}
    if rank == 0:
        torch.save(results, output)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), torch.device(sys.argv[3]), sys.argv[4], sys.argv[5])
