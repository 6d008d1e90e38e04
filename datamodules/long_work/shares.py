"""Work that several processes share: which part of it is whose, and how they wait for one another."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = "shares"  # below a cache's own: what shares have made and nobody has put together yet


@dataclass(frozen=True)
class Share:
    """One process's share of work that several do.

    Attributes:
        number: of this share, from 1.
        count: how many shares there are.
        meet: returns once all processes have called it as often; None where they need not run at the same
            time, as the jobs of an array: then a share ends with what it can do alone.
    """

    number: int
    count: int
    meet: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        """Refuse a share that does not exist."""
        if not 1 <= self.number <= self.count:
            raise ValueError(f"share {self.number} of {self.count}: expected a number from 1 to {self.count}")

    @classmethod
    def parse(cls, text: str) -> "Share":
        """The share that an option such as 3/16 names.

        Raises:
            ValueError: if it names none.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"expected a share such as 3/16, from 1/16 to 16/16, got {text}")
        return cls(int(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        """Of this share's own folder."""
        return f"{self.number}-of-{self.count}"

    @property
    def is_first(self) -> bool:
        """Whether this process puts together what all have made."""
        return self.number == 1

    def wait(self) -> None:
        """Return once all processes are here, where they run at the same time."""
        if self.meet is not None:
            self.meet()

    def takes(self, place: int) -> bool:
        """Whether the piece of work at a place, counted from 0, belongs to this share."""
        return place % self.count == self.number - 1

    def takes_file(self, path: Path) -> bool:
        """The same of a file: by its path, so that shares need not see the same list of files."""
        return self.takes(zlib.crc32(str(path.absolute()).encode(errors="surrogateescape")))


def in_shares(share: Share | None, own: Callable[[Share], None], whole: Callable[[], None]) -> None:
    """Do work by oneself, or this process's share of it; whoever is first puts it together.

    Args:
        share: None does all of it.
        own: does a share, into files of its own.
        whole: puts together what shares have made and does what none did, or all of it.
    """
    if share is None:
        whole()
        return
    own(share)
    if share.meet is None:
        return
    share.meet()
    if share.is_first:
        whole()
    share.meet()
