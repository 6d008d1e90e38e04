"""What sentences quote of damaged files and of long lists."""

from collections.abc import Sequence

MOST_LETTERS = 120


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """The text, or its beginning and three dots: a damaged line may be as long as its file."""
    return text if len(text) <= most else f"{text[:most]}..."


def first_of(names: Sequence[str], most: int) -> str:
    """So many names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
