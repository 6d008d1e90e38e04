"""A cache of weights that were converted from published files."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from lightning_modules.plain.files import sha256_of_file, write_whole, written_atomically
from lightning_modules.plain.saved_objects import read_saved

Weights = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def network_of_conversion(
    source: Path,
    name: str,
    convert: Callable[[Path], Weights],
    build: Callable[[Weights], Network],
    folder: Path,
) -> Network:
    """The network with the converted weights of a source file: from the cache, or converted and cached.

    The cached file carries its own hash. A damaged one, or one whose weights are not the network's, is
    converted anew: a cache is only a cache. Writing is atomic. A cache folder that cannot be written only
    costs the conversion on the next use.

    Args:
        source: the published file, already checked.
        name: of the conversion; change it together with the conversion's result.
        convert: source file -> weights.
        build: weights -> network; raises a RuntimeError for others than its own.
        folder: the cache folder.
    """
    cached = folder / f"{name}-{sha256_of_file(source)[:16]}.pt"
    digest = cached.with_suffix(".sha256")
    # What is wrong with a cached file does not matter: it is made again.
    with contextlib.suppress(OSError, ValueError, RuntimeError, TypeError, AttributeError):
        if sha256_of_file(cached) == digest.read_text().strip():
            return build(read_saved(cached, "converted weights"))
    weights = convert(source)
    with contextlib.suppress(OSError):
        with written_atomically(cached) as temporary:
            torch.save(weights, temporary)
        write_whole(digest, sha256_of_file(cached))
    return build(weights)
