"""Types of options that are numbers within a range: what lies outside is refused while options are read.

jsonargparse's own where it has them; its floats take infinity, and ours do not.
"""

import math
import operator
from typing import TYPE_CHECKING, Any

from jsonargparse.typing import restricted_number_type

if TYPE_CHECKING:
    # They hold plain numbers by the time that a command sees them.
    PositiveInt = int
    NonNegativeInt = int
    AtLeastTwo = int
    AtLeastThree = int
    SeedInt = int
    CropCount = int
    PositiveFinite = float
    NonNegativeFinite = float
    ShareBelowOne = float
    PositiveShare = float
    JitterShare = float
    FieldOfView = float
    ClosedUnitInterval = float
else:
    from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

    AtLeastTwo = restricted_number_type("AtLeastTwo", int, (">=", 2))
    AtLeastThree = restricted_number_type("AtLeastThree", int, (">=", 3))
    # What NumPy's generators take.
    SeedInt = restricted_number_type("SeedInt", int, [(">=", 0), ("<", 2**32)])
    # Of a photograph: as many as `recognition.several_crops` knows.
    CropCount = restricted_number_type("CropCount", int, [(">=", 1), ("<=", 16)])
    PositiveFinite = restricted_number_type("PositiveFinite", float, [(">", 0), ("<", math.inf)])
    NonNegativeFinite = restricted_number_type("NonNegativeFinite", float, [(">=", 0), ("<", math.inf)])
    ShareBelowOne = restricted_number_type("ShareBelowOne", float, [(">=", 0), ("<", 1)])
    PositiveShare = restricted_number_type("PositiveShare", float, [(">", 0), ("<=", 1)])
    # Of an image's side; with more, faces leave their pictures.
    JitterShare = restricted_number_type("JitterShare", float, [(">=", 0), ("<", 0.25)])
    FieldOfView = restricted_number_type("FieldOfView", float, [(">", 0), ("<", 180)])

__all__ = [
    "AtLeastThree",
    "AtLeastTwo",
    "ClosedUnitInterval",
    "CropCount",
    "FieldOfView",
    "JitterShare",
    "NonNegativeFinite",
    "NonNegativeInt",
    "PositiveFinite",
    "PositiveInt",
    "PositiveShare",
    "SeedInt",
    "ShareBelowOne",
    "plain_values",
    "range_of",
]

WORDS = {operator.ge: "at least", operator.gt: "above", operator.le: "at most", operator.lt: "below"}


def range_of(kind: Any) -> str | None:  # noqa: ANN401 - any type
    """Where the numbers of a type lie, such as `at least 0 and below 1`; None of a type without a range."""
    limits = getattr(kind, "_restrictions", None)
    if limits is None:
        return None
    parts = []
    for compare, limit in limits:
        if math.isinf(limit):
            continue
        if issubclass(kind, int) and compare is operator.gt:
            compare, limit = operator.ge, limit + 1
        parts.append(f"{WORDS[compare]} {limit:.10g}")
    return " and ".join(parts)


def plain_values(value: Any) -> Any:  # noqa: ANN401 - of an option
    """The same with plain numbers and text in place of types with a range or a form, lists and mappings too.

    A checkpoint that held one of those types could not be read by `weights_only=True`.
    """
    if isinstance(value, bool):
        return value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain(value)
    if type(value) in (list, tuple):
        return type(value)(plain_values(each) for each in value)
    if type(value) is dict:
        return {plain_values(key): plain_values(each) for key, each in value.items()}
    return value
