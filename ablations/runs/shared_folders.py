"""Whether all processes of a run, on whatever machines, see the folders in which they share their work."""

import json
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from torch.distributed import Store

from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.command_line import BAD_INPUT

from .execution import Execution
from .settings import Settings

# A network's file system may show a file of another machine some seconds late.
SECONDS_TO_APPEAR, SECONDS_BETWEEN_LOOKS = 30.0, 0.2


class Together(Protocol):
    """Processes that reach one store and wait for one another: a `processes.Meeting`."""

    store: Store

    def __call__(self) -> None:
        """Return once all of them have called it as often."""


class SharedFolder(NamedTuple):
    """A folder that all processes of a run have to see.

    Attributes:
        path: as each process names it.
        what: it is, in words.
        remedy: how to have it shared.
    """

    path: Path
    what: str
    remedy: str


def folders_to_share(
    settings: Settings, execution: Execution, output: Path, stage_1: Path
) -> dict[str, SharedFolder]:
    """What all processes of a run have to see: its cache and, unless it keeps none, its results.

    Args:
        settings: say whether there is a stage 1.
        execution: names the cache.
        output: the run's folder.
        stage_1: the folder of all stages 1.
    """
    cache = CacheFolders.below(execution.cache_folder).root
    folders = {"cache": SharedFolder(cache, "the cache folder", "name one by --cache-folder")}
    if execution.fast_dev_run:
        return folders
    folders["output"] = SharedFolder(output, "the output folder", "name one by --output")
    if settings.pretraining:
        where = "start the command in a folder that all of them see"
        folders["stage 1"] = SharedFolder(stage_1, "stage 1's folder", where)
    return folders


def check_shared(folders: Mapping[str, SharedFolder], meeting: Together, rank: int) -> None:
    """Return where all processes see the same folders; all of them call this, and all end where one does not.

    The first process writes a file of a random name into each folder, which the others then look for. A
    folder in which it cannot write holds what is only read, and is not looked at.

    Args:
        folders: by a name that all processes have for them.
        meeting: of all processes.
        rank: of this one.

    Raises:
        ValueError: in the first process, and in each that does not see its files.
        SystemExit: in the others, then: they have nothing to add.
    """
    store, told, fault = meeting.store, "morphable_faces/shared", "morphable_faces/not_shared"
    with _sealed(folders if rank == 0 else {}) as seals:
        if rank == 0:
            store.set(told, json.dumps({"machine": platform.node(), "seals": seals}))
        meeting()
        first = json.loads(store.get(told))
        unseen = [key for key, seal in first["seals"].items() if not _appears(folders[key].path / seal)]
        if unseen:
            store.set(fault, _sentence(folders[unseen[0]], rank, first["machine"]))
        meeting()
    try:
        if not store.check([fault]):
            return
        sentence = store.get(fault).decode()
    except RuntimeError as error:  # the first process, which holds the store, has ended since, and said why
        raise SystemExit(BAD_INPUT) from error
    if rank and not unseen:
        raise SystemExit(BAD_INPUT)
    raise ValueError(sentence)


@contextmanager
def _sealed(folders: Mapping[str, SharedFolder]) -> Iterator[dict[str, str]]:
    """Puts a file into each folder while it is entered; their names, of those that could be written."""
    seals: dict[str, str] = {}
    made = []
    for key, folder in folders.items():
        made += [path for path in (folder.path, *folder.path.parents) if not path.exists()]
        with suppress(OSError):
            folder.path.mkdir(parents=True, exist_ok=True)
            seal = f".shared-{secrets.token_hex(8)}"
            (folder.path / seal).touch(exist_ok=False)
            seals[key] = seal
    try:
        yield seals
    finally:
        for key, seal in seals.items():
            (folders[key].path / seal).unlink(missing_ok=True)
        for path in made:
            with suppress(OSError):  # it is used by now
                path.rmdir()


def _appears(file: Path) -> bool:
    """Whether a file is there, or soon will be."""
    end = time.monotonic() + SECONDS_TO_APPEAR
    while not file.exists():
        if time.monotonic() > end:
            return False
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return True


def _sentence(folder: SharedFolder, rank: int, machine: str) -> str:
    return (
        f"process {rank} (counted from 0, on {platform.node()}) does not see in {folder.what} "
        f"{folder.path.absolute()} what the first process (on {machine}) wrote there; all machines of a run "
        f"need one shared folder: {folder.remedy}"
    )
