"""A cache of weights that were converted from published files."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lightning_modules.plain.files import put_aside, sha256_of_file, write_whole, written_atomically

Weights = dict[str, Tensor]


def cached_conversion(source: Path, name: str, convert: Callable[[Path], Weights], folder: Path) -> Weights:
    """The converted weights of a source file: read from the cache, or converted and cached.

    The cached file carries its own hash, so that a damaged one is converted anew. Writing is atomic. A cache
    folder that cannot be written only costs the conversion on the next use.

    Args:
        source: the published file, already checked.
        name: of the conversion; change it together with the conversion's result.
        convert: source file -> weights.
        folder: the cache folder.
    """
    cached = folder / f"{name}-{sha256_of_file(source)[:16]}.pt"
    digest = cached.with_suffix(".sha256")
    if cached.is_file() and digest.is_file() and sha256_of_file(cached) == digest.read_text().strip():
        try:
            return torch.load(cached, map_location="cpu", weights_only=True)
        except Exception:  # whatever lies behind a digest that someone wrote: it is converted anew
            put_aside(cached)
    weights = convert(source)
    try:
        with written_atomically(cached) as temporary:
            torch.save(weights, temporary)
        write_whole(digest, sha256_of_file(cached))
    except OSError:
        pass
    return weights
