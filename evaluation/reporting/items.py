"""Tables with a line an item, as CSV."""

from csv import QUOTE_NONNUMERIC
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_folder import OutputFolder

if TYPE_CHECKING:
    from pandas import DataFrame


def write_items(frame: "DataFrame", folder: OutputFolder, name: str) -> Path:
    """The table written as <name>.csv, whole or not at all; what is missing stays empty."""
    text = frame.to_csv(index=False, lineterminator="\n")
    if (
        "\r" in text
    ):  # as names of files may have it: it would end the line, but pandas puts no quotes about it
        text = frame.to_csv(index=False, lineterminator="\n", quoting=QUOTE_NONNUMERIC)
    return write_whole(folder.claim(f"{name}.csv"), text)
