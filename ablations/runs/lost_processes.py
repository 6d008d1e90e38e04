"""One of several training processes died: the others end soon, with one sentence and the traceback in a file.

PyTorch says it in a traceback of forty lines, each process for itself, or waits for messages that never come.
"""

import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning import Trainer
from torch import distributed

from lightning_modules.callbacks import TrainingFailed
from lightning_modules.distributed import is_first_process
from lightning_modules.plain.interruption import INTERRUPTED
from lightning_modules.plain.output_folder import OutputFolder

from .processes import FAILED, end_started, failed_here, watched_by_training, what_became_of
from .wandb_runs import finish_in_time

# What a lost connection is called by gloo, NCCL and the store at which processes meet.
LOST = re.compile(r"gloo|NCCL|connection (closed|reset)|broken pipe|socket", re.IGNORECASE)
POLL_SECONDS = 0.1
# A connection breaks at once on the CPU; what waits on a GPU, or for a process to come up, may not notice.
PATIENCE_SECONDS = 20.0
# Until a process whose connection broke can be seen to have ended.
ENDING_SECONDS = 5.0


@contextmanager
def watched(trainer: Trainer, folder: OutputFolder, last: Path, *, writes: bool) -> Iterator[None]:
    """Inside, the death of another process is a failed training, or an interruption where it was interrupted.

    Args:
        trainer: of this process.
        folder: in which the traceback is kept, each process in a file of its own.
        last: the last checkpoint, if there is one.
        writes: whether anything is written in the folder.

    Raises:
        TrainingFailed: naming the process and what became of it.
        KeyboardInterrupt: if it was interrupted.
    """
    if trainer.world_size == 1:
        yield
        return
    names = [f"traceback-{rank}.txt" for rank in range(trainer.world_size)]
    paths = folder.claims(names) if writes else []
    others = _Others(trainer, last, paths[trainer.global_rank] if writes else None)
    others.start()
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, TrainingFailed) or not is_lost_connection(error):
            raise
        others.wait_for_an_end(ENDING_SECONDS)
        if others.interrupted:
            if is_first_process():
                print(others.sentence(), file=sys.stderr)
            raise KeyboardInterrupt from error
        others.keep("".join(traceback.format_exception(error)))
        if 0 in others.ended():
            print(f"error: {others.sentence()}", file=sys.stderr)  # the first one tells no more
        raise TrainingFailed(others.sentence()) from error
    finally:
        others.stop()


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error says that another process cannot be reached any more."""
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and LOST.search(str(error)) is not None
    )


class _Others:
    """The other processes, as far as this one sees them: those that it started, or the one that started it.

    Args:
        trainer: see `watched`.
        last: likewise.
        file: for this process's traceback, if one is kept.
    """

    def __init__(self, trainer: Trainer, last: Path, file: Path | None) -> None:
        self._trainer, self._last, self._file = trainer, last, file
        self._parent = os.getppid()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watches-processes")

    def start(self) -> None:
        """Watch from now on."""
        watched_by_training.set()
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()
        watched_by_training.clear()

    def ended(self) -> dict[int, int | None]:
        """The exit status of each process that is gone before its work was done, by rank; None if unknown."""
        gone = failed_here()
        if not is_first_process() and os.getppid() != self._parent:
            gone[0] = None
        return gone

    @property
    def interrupted(self) -> bool:
        """Whether a process that is gone was stopped as by Ctrl-C."""
        return any(status in (INTERRUPTED, -signal.SIGINT) for status in self.ended().values())

    def sentence(self) -> str:
        """Which process is gone, what is left, and what to do."""
        count = self._trainer.world_size
        what = what_became_of(self.ended(), count)
        what = what or f"process {self._trainer.global_rank} lost the connection to another one"
        kept = f"the last checkpoint is {self._last}" if self._last.is_file() else "no checkpoint was due yet"
        where = "" if self._file is None or not self._file.is_file() else f" ({self._file} has the traceback)"
        return (
            f"stopped at step {self._trainer.global_step}: {what}{where}; {kept}: the same command continues"
        )

    def wait_for_an_end(self, seconds: float) -> None:
        """Until a process is seen to be gone, or so long."""
        until = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def keep(self, text: str) -> None:
        """Write the traceback, where one is kept."""
        if self._file is not None:
            with suppress(OSError):  # a full disk may be what ended the other process
                self._file.write_text(text, encoding="utf-8")

    def _watch(self) -> None:
        gone_since = None
        while not self._over.wait(POLL_SECONDS):
            if not self.ended():
                continue
            gone_since = time.monotonic() if gone_since is None else gone_since
            if time.monotonic() - gone_since > PATIENCE_SECONDS:
                self._end()

    def _end(self) -> None:
        """End this process, which waits in vain for the one that is gone, and those that it started."""
        print(f"error: {self.sentence()}", file=sys.stderr, flush=True)
        end_started()
        status = INTERRUPTED if self.interrupted else FAILED
        finish_in_time(status)
        os._exit(status)
