"""Tables with a line an item, as CSV."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_folder import OutputFolder

if TYPE_CHECKING:
    from pandas import DataFrame


def write_items(frame: "DataFrame", folder: OutputFolder, name: str) -> Path:
    """The table written as <name>.csv, whole or not at all; what is missing stays empty."""
    return write_whole(folder.claim(f"{name}.csv"), frame.to_csv(index=False, lineterminator="\n"))
