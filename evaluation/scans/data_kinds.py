"""The data sets that meshes can be scored against, and what is particular to each."""

from typing import NamedTuple

from datamodules.micc import MICC, Scans
from datamodules.photograph_benchmarks import FG2018, NoW
from evaluation.metrics import scan_protocols as presets

# The condition of a table that holds the photographs of all conditions.
ALL_PHOTOGRAPHS = "all photographs"
STAND_IN_LABEL = "stand-in"


class DataKind(NamedTuple):
    """A data set.

    Attributes:
        data: reads it.
        label: its name in tables, without blanks.
        protocol: the preset that it is scored by where none is asked for.
        by_photograph: whether a mesh of each photograph is scored, not of each person.
    """

    data: type[MICC]
    label: str
    protocol: str
    by_photograph: bool = False


KINDS = {
    "micc": DataKind(MICC, "MICC", presets.DEFAULT),
    "scans": DataKind(Scans, "scans", presets.DEFAULT),
    "now": DataKind(NoW, "NoW", presets.NOW.name, by_photograph=True),
    "fg2018": DataKind(FG2018, "FG2018", presets.FG2018.name, by_photograph=True),
}
BY_PHOTOGRAPH = {kind.label for kind in KINDS.values() if kind.by_photograph}


def default_protocol(kind: str) -> str:
    """The preset of a data set where none is asked for; a stand-in takes MICC's place."""
    return KINDS[kind].protocol if kind in KINDS else presets.DEFAULT
