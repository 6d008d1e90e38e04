"""Starts the cells of a study: some at a time on this machine, one on each GPU, or as jobs of a cluster.

On this machine not by submitit's LocalExecutor: it starts all jobs at once, gives every one of them the same
GPUs, and lets them outlive whoever started them. Here a number of cells run at a time, or one on each GPU;
Ctrl-C stops them, and after a kill -9 of the study each cell ends by itself, see `cell`. Besides, submitit is
an extra that a study on one machine does not need.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from datamodules.long_work.cores import available_cores

from . import cell

SECONDS_BETWEEN_LOOKS = 1.0
Ended = Callable[[Path], None]


def run_here(folders: Sequence[Path], jobs: int, gpus: Sequence[str], ended: Ended) -> None:
    """Work through cells on this machine; one that fails does not stop the others.

    Args:
        folders: of the cells, each with its plan.
        jobs: how many at a time.
        gpus: if given, one at a time on each of these, by CUDA_VISIBLE_DEVICES.
        ended: called with each cell's folder when its process has ended.

    Raises:
        KeyboardInterrupt: when interrupted; all cells have stopped by then.
    """
    places: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    slots: Sequence[str | None] = gpus or [None] * jobs
    for slot in slots:
        places.put(slot)
    running: dict[Path, subprocess.Popen] = {}
    stopping = threading.Event()

    def work(folder: Path) -> Path:
        place = places.get()
        try:
            if not stopping.is_set():
                running[folder] = started(folder, environment(len(gpus) or jobs, place))
                running[folder].wait()
        finally:
            places.put(place)
        return folder

    with ThreadPoolExecutor(len(gpus) or jobs) as pool:
        waiting = {pool.submit(work, folder) for folder in folders}
        try:
            _wait_for_all(waiting, ended)
        except KeyboardInterrupt:
            stopping.set()
            for process in list(running.values()):
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            raise


def started(folder: Path, variables: dict[str, str]) -> subprocess.Popen:
    """The process of a cell, in a session of its own: Ctrl-C reaches it through us alone."""
    return subprocess.Popen(command(folder), env=os.environ | variables, start_new_session=True)


def command(folder: Path) -> list[str]:
    """What works through a cell."""
    return [sys.executable, cell.__file__, str(folder / cell.PLAN)]


def environment(jobs: int, gpu: str | None) -> dict[str, str]:
    """A cell's share of the machine: its GPU, and its threads unless the user has set their number."""
    threads = {"OMP_NUM_THREADS": str(max(1, available_cores() // jobs))}
    own = {} if jobs == 1 or "OMP_NUM_THREADS" in os.environ else threads
    return own if gpu is None else own | {"CUDA_VISIBLE_DEVICES": gpu}


def run_on_cluster(
    folders: Sequence[Path], cluster: str, options: dict[str, Any], logs: Path, ended: Ended
) -> None:
    """Work through cells as jobs of submitit, and wait for them.

    Args:
        folders: of the cells, on a disk that all machines share.
        cluster: slurm, or local (processes on this machine, to try it out).
        options: of submitit's AutoExecutor, such as slurm_partition, timeout_min or gpus_per_node.
        logs: a folder for the jobs' files.
        ended: called with each cell's folder when its job has ended.

    Raises:
        ImportError: if submitit is not installed.
        KeyboardInterrupt: when interrupted; the jobs are cancelled then.
    """
    try:
        import submitit
    except ImportError as error:
        raise ImportError("--cluster needs submitit: pip install -e '.[cluster]'") from error
    executor = submitit.AutoExecutor(logs, cluster=cluster)
    executor.update_parameters(name="cell", **options)
    waiting = {
        folder: executor.submit(submitit.helpers.CommandFunction(command(folder))) for folder in folders
    }
    try:
        while waiting:
            for folder in [folder for folder, job in waiting.items() if job.done()]:
                del waiting[folder]
                ended(folder)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        for job in waiting.values():
            job.cancel(check=False)
        raise


def _wait_for_all(waiting: set[Future], ended: Ended) -> None:
    while waiting:
        done, waiting = wait(waiting, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
        for future in done:
            ended(future.result())
