"""Reads what `torch.export.save` wrote, and says what another file is.

torch's own reader unpickles parts of an archive as they are. Here they are read as tensors and nothing else.
"""

import logging
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from lightning_modules.plain.foreign_files import damaged_part, what_it_is
from lightning_modules.plain.saved_objects import first_line

from .weight_files import WeightFileError

EXPORT = "export the network with dynamic batch and write it by torch.export.save (docs/models.md)"
SAVED = "was written by torch.save: it holds weights or a module without the code that computes with them"
FORCED, FORBIDDEN = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def read_program(path: Path) -> nn.Module:
    """The program in an archive of `torch.export.save`.

    Raises:
        WeightFileError: if it is another file, was damaged, or holds objects of other kinds than tensors.
    """
    if meaning := _what_else(path):
        raise WeightFileError(f"{path} {meaning}; {EXPORT}")
    if part := damaged_part(path):
        raise WeightFileError(
            f"{path} was changed after it was written ({part} in it does not fit its checksum); get it again"
        )
    try:
        with _tensors_alone(), _silent(), warnings.catch_warnings():
            # Of torch's own reader, which copies what it warns of right away, and of old archives.
            warnings.simplefilter("ignore")
            return torch.export.load(str(path)).module()
    except Exception as error:  # torch raises whatever a damaged archive leads to
        reason = first_line(error)
        if "weights_only" in str(error) or "Weights only" in str(error):
            # torch's own sentence tells how to load it all the same, which would run what the file says.
            reason = (
                "it holds objects of other kinds than tensors, which are never loaded since they can run code"
            )
        raise WeightFileError(
            f"{path} cannot be read as an archive of torch.export.save ({reason}); {EXPORT}"
        ) from error


def _what_else(path: Path) -> str:
    """What a file is that is no such archive, as the end of a sentence; empty of one that may be."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            is_pickle = stream.read(1) == pickle.PROTO
        if is_pickle:
            return SAVED
        return what_it_is(path) or "is no archive, as torch.export.save writes, nor a whole part of one"
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        return "is a TorchScript program, which cannot be read as an exported one"
    if "data.pkl" in names:
        return SAVED
    if names & {"archive_format", "serialized_exported_program.json"}:
        return ""
    return "is a ZIP archive of another program"


@contextmanager
def _tensors_alone() -> Iterator[None]:
    """A block in which torch.load reads nothing but tensors, even where torch's own code asks for more."""
    before = {name: os.environ.pop(name, None) for name in (FORCED, FORBIDDEN)}
    os.environ[FORCED] = "1"
    try:
        yield
    finally:
        del os.environ[FORCED]
        os.environ.update({name: value for name, value in before.items() if value is not None})


@contextmanager
def _silent() -> Iterator[None]:
    """A block in which torch logs no traceback of what is said in one sentence here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
