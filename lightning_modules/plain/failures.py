"""Reasons of failures, and the kinds by which they are counted."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def as_one_reason(what: str) -> Iterator[None]:
    """Makes a ValueError of whatever a damaged file leads to inside: the reason of its item.

    Args:
        what: cannot be done, such as "FILE cannot be read".

    Raises:
        ValueError: with the kind of error and its first line; OSError and ValueError pass as they are.
    """
    try:
        yield
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:
        words = [type(error).__name__, *str(error).splitlines()[:1]]
        raise ValueError(f"{what} ({': '.join(words)[:200]})") from error


def failure_kind(reason: str) -> str:
    """What a reason begins with, before its details: those after a colon, or in brackets.

    Such as "damaged image" of "damaged image (cut off)", and "no mesh" of "no mesh: there is none of anna".
    """
    return re.split(r": | \(", reason, maxsplit=1)[0]


def counted_by_kind(reasons: Iterable[str]) -> dict[str, int]:
    """How many reasons there are of each kind, in order of first occurrence."""
    return dict(Counter(map(failure_kind, reasons)))
