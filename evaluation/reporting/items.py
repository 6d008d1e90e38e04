"""Tables with a line an item, as CSV."""

from pathlib import Path

from pandas import DataFrame

from .results import write_whole


def write_items(frame: DataFrame, folder: Path, name: str) -> Path:
    """The table written as <name>.csv, whole or not at all; what is missing stays empty."""
    return write_whole(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
