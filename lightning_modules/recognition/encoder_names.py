"""How an encoder's name says what it adds to a recognition network: `dlib-8crops-colour-map`.

Imports no torch, as `network_names`.
"""

import re
from typing import NamedTuple

COLOUR = "-colour"
CROPS = "crops"
MAP = "-map"
_FORM = re.compile(
    rf"(?P<network>.+?)(?:-(?P<crops>\d+){CROPS})?(?P<colour>{COLOUR})?(?P<map>{MAP})?", re.DOTALL
)


class EncoderName(NamedTuple):
    """An encoder's name in parts.

    Attributes:
        network: the recognition network.
        crops: of a photograph, over which `SeveralCrops` averages; 1 is the network itself.
        coloured: whether it is `Coloured`, too.
        mapped: whether it is `Mapped`.
    """

    network: str
    crops: int
    coloured: bool
    mapped: bool = False

    @classmethod
    def of(cls, name: str) -> "EncoderName":
        """The parts of a name, of an encoder or of a plain network."""
        found = _FORM.fullmatch(name)
        if found is None:
            return cls(name, 1, False)
        crops = int(found["crops"] or 1)
        return cls(found["network"], crops, found["colour"] is not None, found["map"] is not None)


def underlying(name: str) -> str:
    """The name of the network itself, however it is read as an encoder."""
    return EncoderName.of(name).network


def ending(name: str) -> str:
    """What an encoder's name adds to its network's."""
    return name.removeprefix(underlying(name))
