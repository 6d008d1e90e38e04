"""Similarities on one scale: cosine of unit embeddings, optionally centred."""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

MINIMUM_FOR_A_CENTRE = 500


class Centre(NamedTuple):
    """The mean embedding of photographs, which is subtracted before two embeddings are compared.

    dlib's embeddings all point into one half of the space (two different people score about 0.87); without
    their common direction, different people score about 0.

    Attributes:
        values: [embedding_width], the mean of unit embeddings, not of unit length.
        network: name of the network.
        sha256: hash of its weight file.
        source: what the photographs were, for people.
        count: how many.
    """

    values: Tensor
    network: str
    sha256: str
    source: str
    count: int  # type: ignore[assignment]  # takes the place of tuple.count

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint: tensors, strings and numbers only."""
        return self._asdict()

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The centre that `as_dict` gave."""
        return cls(**content)


def estimate_centre(
    embeddings: Tensor, *, network: str, sha256: str, source: str, minimum: int = MINIMUM_FOR_A_CENTRE
) -> Centre:
    """The mean of the unit embeddings [N, D] of training photographs (never of test images).

    Raises:
        ValueError: if there are fewer than `minimum`.
    """
    if len(embeddings) < minimum:
        raise ValueError(
            f"a centre needs at least {minimum} photographs, got {len(embeddings)} from {source}; "
            "take more photographs, or compare without a centre and say so"
        )
    mean = embeddings.double().mean(0).to(embeddings.dtype)
    return Centre(mean, network, sha256, source, len(embeddings))


def centred(embeddings: Tensor, centre: Centre | None) -> Tensor:
    """Unit embeddings [..., D] with the centre subtracted, of unit length again.

    Every similarity in this project goes through here; `None` leaves unit embeddings as they are.
    """
    if centre is not None:
        if embeddings.shape[-1] != len(centre.values):
            raise ValueError(
                f"the centre of {centre.network} has {len(centre.values)} values, the embeddings have "
                f"{embeddings.shape[-1]}; they come from different networks"
            )
        embeddings = embeddings - centre.values.to(embeddings)
    return functional.normalize(embeddings, dim=-1)


def cosine_similarity(first: Tensor, second: Tensor, centre: Centre | None = None) -> Tensor:
    """The cosine [...] between paired embeddings [..., D]."""
    return (centred(first, centre) * centred(second, centre)).sum(-1)


def cosine_matrix(first: Tensor, second: Tensor, centre: Centre | None = None) -> Tensor:
    """The cosine [M, N] between every embedding of [M, D] and every one of [N, D]."""
    return centred(first, centre) @ centred(second, centre).T


def check_centre(centre: Centre | None, network: str, sha256: str) -> None:
    """Raise a ValueError if the centre was estimated with another network or other weights."""
    if centre is not None and (centre.network, centre.sha256) != (network, sha256):
        raise ValueError(
            f"the centre belongs to {centre.network} ({centre.sha256[:12]}), the embeddings to {network} "
            f"({sha256[:12]}); estimate it anew from photographs"
        )


def in_one_precision(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider precision: a trainer's holds for a batch, or where it casts, not for frozen parts."""
    dtype = torch.promote_types(first.dtype, second.dtype)
    return first.to(dtype), second.to(dtype)
