"""Reasons of failures, and the kinds by which they are counted."""

import re
from collections import Counter
from collections.abc import Iterable


def failure_kind(reason: str) -> str:
    """What a reason begins with, before its details: those after a colon, or in brackets.

    Such as "damaged image" of "damaged image (cut off)", and "no mesh" of "no mesh: there is none of anna".
    """
    return re.split(r": | \(", reason, maxsplit=1)[0]


def counted_by_kind(reasons: Iterable[str]) -> dict[str, int]:
    """How many reasons there are of each kind, in order of first occurrence."""
    return dict(Counter(map(failure_kind, reasons)))
