"""The expected shape beside the likeness: how far to trust each shape coefficient that is predicted.

Not in the paper. The batch distribution asks predictions for the prior's full variance, so that a face looks
like somebody; how much of that variance is the person's is another question. Whoever wants geometry wants the
shape that is right on average over all people who look so: by linear regression of true on predicted
coefficients, each one's distance from where predictions lie on average, times a factor between 0 and 1.
The factors are learnt on synthetic people, photographed several times, whose shapes are known. Where
predictions lie on average is another place for real photographs than for synthetic ones; unlabelled ones
tell it, since the people in them have the prior's mean shape. No scan takes part.
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
        centre: [K], mean of predictions over unlabelled photographs of real people, or over the synthetic
            people where there are none.
    """

    covariance: Tensor
    between: Tensor
    within: Tensor
    people: int
    centre: Tensor

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
        centre = (means if unlabelled is None else unlabelled).mean(0)
        return cls(covariance, between, within, len(true), centre)

    def of(self, predicted: Tensor, photographs: int = 1) -> Tensor:
        """The expected coefficients [B, K] where these are predicted of the mean of so many photographs."""
        return self.factors(photographs) * (predicted - self.centre)

    def factors(self, photographs: int = 1) -> Tensor:
        """[K], from 0 to 1, for the mean of so many photographs: the slope of true on predicted coefficients.

        The mean of several photographs holds less noise and deserves more trust. A slope that chance alone
        would give is shrunk by its own standard error (the positive part of James and Stein's estimator).
        """
        variance = (self.between + self.within / photographs).clamp(min=1e-12)
        chance = (self.between + self.within) / self.people  # of a covariance, the true variance being 1
        certain = (1 - chance / self.covariance.square().clamp(min=1e-12)).clamp(min=0)
        return (certain * self.covariance / variance).clamp(0, 1)

    def to(self, like: Tensor) -> Self:
        """The same on a tensor's device, of its type."""
        return self._replace(
            covariance=self.covariance.to(like),
            between=self.between.to(like),
            within=self.within.to(like),
            centre=self.centre.to(like),
        )


def kept_expected_shape(content: dict[str, Any]) -> ExpectedShape | None:
    """The one that a checkpoint's content keeps; None if it keeps none, or an earlier version's."""
    kept = content.get("expected_shape", {})
    return ExpectedShape(**kept) if "centre" in kept else None


def readings_of(content: dict[str, Any]) -> tuple[Geometry, ...]:
    """The readings that a checkpoint has, likeness first."""
    return READINGS if kept_expected_shape(content) is not None else READINGS[:1]


def require_expected_shape(content: dict[str, Any], name: str) -> ExpectedShape:
    """The one that a checkpoint keeps.

    Raises:
        ValueError: if it keeps none, saying how to add it.
    """
    kept = kept_expected_shape(content)
    if kept is None:
        none = "an earlier version's expected shape" if "expected_shape" in content else "no expected shape"
        raise ValueError(f"{name} keeps {none}: {HOW_TO_ADD}; or take --geometry likeness")
    return kept
