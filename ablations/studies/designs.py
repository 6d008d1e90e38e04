"""Which runs a study is made of: switches, the designs that combine them, and seeds."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from ..runs.wandb_runs import SWITCHES

Design = Literal["full", "paper", "one-out"]
# Genova et al. 2018, figure 3: what the paper takes away, one at a time.
PAPER_SWITCHES = ("batch_distribution", "loopback", "multi_view")


class Cell(NamedTuple):
    """One run of a study.

    Attributes:
        off: the switches that are turned off, in run.py's order.
        seed: of the run.
    """

    off: tuple[str, ...]
    seed: int

    @property
    def variant(self) -> str:
        """`full`, or such as `no-loopback+no-multi-view`."""
        return "+".join(f"no-{written(name)}" for name in self.off) or "full"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}/seed-{self.seed}"

    @property
    def options(self) -> list[str]:
        """What makes run.py this cell."""
        return [*(f"--no-{written(name)}" for name in self.off), f"--seed={self.seed}"]


def cells_of(design: Design, switches: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """The runs of a design, all seeds of a variant together, so that a stage 1 of each is begun early."""
    return [Cell(off, seed) for off in variants(design, switches) for seed in seeds]


def variants(design: Design, switches: Sequence[str]) -> list[tuple[str, ...]]:
    """What each variant turns off; the first turns off nothing.

    Args:
        design: `full`: every combination of the switches; `one-out`: nothing, and each switch by itself;
            `paper`: the same of the paper's three switches.
        switches: of run.py, with hyphens or underscores; `paper` has its own.

    Raises:
        ValueError: if a switch does not exist, is named twice, or none is given.
    """
    names = [name.replace("-", "_") for name in switches]
    if design == "paper":
        if names and set(names) != set(PAPER_SWITCHES):
            raise ValueError(
                f"the design paper removes {', '.join(map(written, PAPER_SWITCHES))}; leave --losses out, or "
                "give --design one-out"
            )
        names = list(PAPER_SWITCHES)
    unknown = [name for name in names if name not in SWITCHES]
    if unknown:
        known = ", ".join(map(written, SWITCHES))
        raise ValueError(f"--losses {written(unknown[0])} is no switch of run.py; there are {known}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--losses must name at least one switch, each once, got {' '.join(switches)}")
    names.sort(key=SWITCHES.index)
    if design != "full":
        return [(), *((name,) for name in names)]
    return [off for size in range(len(names) + 1) for off in combinations(names, size)]


def written(name: str) -> str:
    """As on the command line."""
    return name.replace("_", "-")
