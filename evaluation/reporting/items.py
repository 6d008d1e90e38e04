"""Tables with a line an item, as CSV."""

from pathlib import Path

from pandas import DataFrame

from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_folder import OutputFolder


def write_items(frame: DataFrame, folder: OutputFolder, name: str) -> Path:
    """The table written as <name>.csv, whole or not at all; what is missing stays empty."""
    return write_whole(folder.claim(f"{name}.csv"), frame.to_csv(index=False, lineterminator="\n"))
