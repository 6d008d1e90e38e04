"""What sentences quote of damaged files."""

MOST_LETTERS = 120


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """The text, or its beginning and three dots: a damaged line may be as long as its file."""
    return text if len(text) <= most else f"{text[:most]}..."
