"""A run's processes before they train: the first starts the others, and they prepare in shares.

Lightning starts them when training begins, so that whatever is prepared before is one process's work. Here
they are started earlier, as Lightning does it, and meet through the key-value store in which they will also
form their group; where torchrun or SLURM has started them, they only meet. No group is formed: preparing may
take hours, and a process that waits for one cannot be interrupted.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from torch.distributed import Store, rendezvous

from datamodules.long_work.shares import Share
from lightning_modules.plain.interruption import INTERRUPTED

from .execution import Execution
from .shared_folders import SharedFolder, check_shared
from .wandb_runs import finish_in_time

# As long as preparing millions of photographs may take.
PATIENCE = timedelta(days=30)
SECONDS_BETWEEN_LOOKS, SECONDS_TO_SAY_WHY = 0.1, 5
FAILED = 1
# This machine's other processes, by their rank from 1, where this one started them.
started_here: list[subprocess.Popen] = []
# Set while a training looks at them itself, see `lost_processes`.
watched_by_training = threading.Event()


class Meeting:
    """Processes that wait for one another.

    Args:
        store: that all of them reach.
        processes: how many there are.
    """

    def __init__(self, store: Store, processes: int) -> None:
        self.store, self.processes, self.count = store, processes, 0

    def __call__(self) -> None:
        """Return once all processes have called it as often as this one.

        Raises:
            ConnectionError: if the first process is gone.
        """
        self.count += 1
        name = f"morphable_faces/{self.count}"
        try:
            if self.store.add(f"{name}/here", 1) == self.processes:
                self.store.set(f"{name}/all", "here")
            # Not `wait`, which Ctrl-C does not reach.
            while not self.store.check([f"{name}/all"]):
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except RuntimeError as error:
            raise ConnectionError("the run's first process has ended; its own message says why") from error


@contextmanager
def together(execution: Execution, folders: Mapping[str, SharedFolder]) -> Iterator[Share | None]:
    """This process's share of what is prepared, with all of a run's processes there; None of a single one.

    Processes that were started here end with this one: at once where it fails or is interrupted.

    Args:
        execution: says how many processes there are.
        folders: that all of them have to see, see `check_shared`.

    Raises:
        ValueError: if torchrun or SLURM has started another number of processes, or a folder is another one
            on another machine.
    """
    numbers = execution.device_numbers
    if execution.processes == 1:
        yield None
        return
    environment = cluster()
    own = isinstance(environment, LightningEnvironment)
    if not own and environment.world_size() != execution.processes:
        raise ValueError(
            f"--devices and --num-nodes mean {execution.processes} processes, but {environment.world_size()} "
            "were started by torchrun or srun; start as many"
        )
    if not environment.creates_processes_externally:
        started_here[:] = _others(environment, len(numbers), execution.num_nodes)
        threading.Thread(target=_end_with_any, args=(execution.processes,), daemon=True).start()
    try:
        rank = rank_of(environment, len(numbers))
        url = f"tcp://{environment.main_address}:{environment.main_port}"
        store, _, _ = next(rendezvous(url, rank, execution.processes, timeout=PATIENCE))
        meeting = Meeting(store, execution.processes)
        check_shared(folders, meeting, rank)
        yield Share(rank + 1, execution.processes, meeting)
    except BaseException:
        end_started()
        raise


def cluster() -> ClusterEnvironment:
    """What has started this process, as Lightning finds out."""
    for kind in (TorchElasticEnvironment, SLURMEnvironment):
        if kind.detect():
            return kind()
    return LightningEnvironment()


def rank_of(environment: ClusterEnvironment, local_processes: int) -> int:
    """The number of this process among those of all machines."""
    if isinstance(environment, LightningEnvironment):
        return environment.node_rank() * local_processes + environment.local_rank()
    return environment.global_rank()


def _others(environment: ClusterEnvironment, count: int, machines: int) -> list[subprocess.Popen]:
    """This machine's other processes, started by the same command as this one."""
    os.environ.update(
        MASTER_ADDR=environment.main_address,
        MASTER_PORT=str(environment.main_port),
        NODE_RANK=str(environment.node_rank()),
        LOCAL_RANK="0",
        WORLD_SIZE=str(count * machines),
    )
    command = [sys.executable, *sys.orig_argv[1:]]
    return [subprocess.Popen(command, env=os.environ | {"LOCAL_RANK": str(rank)}) for rank in range(1, count)]


def what_became_of(statuses: Mapping[int, int | None], count: int) -> str:
    """What became of some of a run's processes, by rank and exit status; None where that is not known."""
    return " and ".join(
        f"process {rank} (of {count}, counted from 0) {_fate(status)}" for rank, status in statuses.items()
    )


def _fate(status: int | None) -> str:
    if status is None:
        return "is gone, for the reason that it gives above, or killed"
    if status == -signal.SIGKILL:
        return "was killed, as the system does where memory runs out"
    if status < 0:
        return f"was ended by {_name_of_signal(-status)}"
    if status == INTERRUPTED:
        return "was interrupted"
    return f"ended with status {status}, for the reason that it gives above"


def _name_of_signal(number: int) -> str:
    """Python has no names for real-time signals but the first and the last."""
    named = number in set(signal.Signals)
    return signal.Signals(number).name if named else f"signal {number}"


def failed_here() -> dict[int, int | None]:
    """The exit status of each process that this one started and that has failed, by rank."""
    return {rank: process.returncode for rank, process in enumerate(started_here, 1) if process.poll()}


def _end_with_any(count: int) -> None:
    """Where one process fails before or after a training, the others would wait for it for ever."""
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        if all(process.poll() == 0 for process in started_here):
            return
        failed = failed_here()
        if not failed or watched_by_training.is_set():
            continue
        time.sleep(SECONDS_TO_SAY_WHY)
        if watched_by_training.is_set():
            continue
        what = what_became_of(failed, count)
        sentence = f"error: stopped outside training: {what}: the same command continues"
        print(sentence, file=sys.stderr, flush=True)
        end_started()
        status = INTERRUPTED if INTERRUPTED in failed.values() else FAILED
        finish_in_time(status)
        os._exit(status)


def end_started() -> None:
    """Kill the processes that this one started."""
    for process in started_here:
        process.kill()
