"""The expected shape beside the likeness: how far to trust each shape coefficient that is predicted.

Not in the paper. The batch distribution asks predictions for the prior's full variance, so that a face looks
like somebody; how much of that variance is the person's is another question. Whoever wants geometry wants the
shape that is right on average over all people who look so: each coefficient times a factor between 0 and 1.
The factors are learnt on synthetic people, photographed several times, whose shapes are known. Predictions
vary more over real photographs than over synthetic ones, since training asks them to; what they vary more is
no shape that a synthetic person could have shown to be right, and unlabelled photographs tell how much it is.
No scan takes part.
"""

from typing import Any, Literal, NamedTuple, Self

from torch import Tensor

Geometry = Literal["likeness", "expected"]
READINGS: tuple[Geometry, ...] = ("likeness", "expected")
LEAST_PEOPLE = 8
HOW_TO_ADD = "python ablations/expected_shape.py CHECKPOINT DESTINATION adds it"


class ExpectedShape(NamedTuple):
    """What is known of K predicted shape coefficients, from synthetic people.

    Attributes:
        covariance: [K], of predicted with true coefficients.
        between: [K], variance of predictions over people, without the next.
        within: [K], variance of predictions over photographs of one person.
        people: how many.
        unlabelled: [K], variance of predictions over photographs of real people, one each as a rule; None
            where none were looked at.
    """

    covariance: Tensor
    between: Tensor
    within: Tensor
    people: int
    unlabelled: Tensor | None = None

    @classmethod
    def learn(cls, true: Tensor, predicted: Tensor, unlabelled: Tensor | None = None) -> Self:
        """From the true coefficients [P, K] of people and those of each one's N photographs [P, N, K].

        Args:
            true: of synthetic people.
            predicted: of their photographs.
            unlabelled: [M, K], of photographs of real people.

        Raises:
            ValueError: if there are too few people, or fewer than two photographs of each, or of anybody.
        """
        if unlabelled is not None and len(unlabelled) < LEAST_PEOPLE:
            raise ValueError(
                f"at least {LEAST_PEOPLE} unlabelled photographs must show a face, got {len(unlabelled)}"
            )
        if predicted.ndim != 3 or len(predicted) < LEAST_PEOPLE or predicted.shape[1] < 2:
            raise ValueError(
                f"predicted must be [P, N, K] with at least {LEAST_PEOPLE} people and 2 photographs each, "
                f"got {list(predicted.shape)}"
            )
        means = predicted.mean(1)
        within = predicted.var(1).mean(0)
        between = (means.var(0) - within / predicted.shape[1]).clamp(min=0)
        covariance = ((true - true.mean(0)) * (means - means.mean(0))).sum(0) / (len(true) - 1)
        variance = None if unlabelled is None else unlabelled.var(0)
        return cls(covariance, between, within, len(true), variance)

    def factors(self, photographs: int = 1) -> Tensor:
        """[K], from 0 to 1, for the mean of so many photographs: the slope of true on predicted coefficients.

        The mean of several photographs holds less noise and deserves more trust. A slope that chance alone
        would give is shrunk by its own standard error (the positive part of James and Stein's estimator).
        """
        variance = self._variance(photographs)
        chance = (self.between + self.within) / self.people  # of a covariance, the true variance being 1
        certain = (1 - chance / self.covariance.square().clamp(min=1e-12)).clamp(min=0)
        return (certain * self.covariance / variance).clamp(0, 1)

    def _variance(self, photographs: int) -> Tensor:
        """[K], above zero, of the mean of so many photographs' predictions over people.

        Real photographs' surplus over synthetic ones stays: how much of it is the person's, and would be in
        the next photograph, too, is not known.
        """
        variance = self.between + self.within / photographs
        if self.unlabelled is not None:
            variance = variance.maximum(self.unlabelled - self.within * (1 - 1 / photographs))
        return variance.clamp(min=1e-12)

    def as_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it; without what was not looked at."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def to(self, like: Tensor) -> Self:
        """The same on a tensor's device, of its type."""
        return self._replace(
            covariance=self.covariance.to(like),
            between=self.between.to(like),
            within=self.within.to(like),
            unlabelled=None if self.unlabelled is None else self.unlabelled.to(like),
        )


def kept_expected_shape(content: dict[str, Any]) -> ExpectedShape | None:
    """The one that a checkpoint's content keeps; None if it keeps none."""
    kept = content.get("expected_shape")
    return None if kept is None else ExpectedShape(**kept)


def require_expected_shape(content: dict[str, Any], name: str) -> ExpectedShape:
    """The one that a checkpoint keeps.

    Raises:
        ValueError: if it keeps none, saying how to add it.
    """
    kept = kept_expected_shape(content)
    if kept is None:
        raise ValueError(f"{name} keeps no expected shape: {HOW_TO_ADD}; or take --geometry likeness")
    return kept
