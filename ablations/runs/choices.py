"""What an option is under each method, and what departs from the paper by it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_modules.plain.declared_options import in_words

if TYPE_CHECKING:
    from .settings import Settings


class As(NamedTuple):
    """The value of another option."""

    option: str


class Choice(NamedTuple):
    """An option's value under each method.

    Attributes:
        paper: a value, or As another option.
        suite: a value, or None where the preset has it.
    """

    paper: Any
    suite: Any


@dataclass(frozen=True)
class Departure:
    """Where a run may differ from the paper.

    Attributes:
        name: in a few words, as results list it.
        paper: what the paper does; a Choice of its options in braces stands for its value.
        here: what is done instead, likewise.
        why: the reason.
        options: those that set it back; none where no option of run.py can by itself.
        loss: without which there is no departure, such as contrast; none if it is of every run.
        set_back: how a user could set it back who has what it takes, where there are no options.
        present: whether resolved settings have it, where there are no options.
    """

    name: str
    paper: str
    here: str
    why: str
    options: Mapping[str, Choice] = field(default_factory=dict)
    loss: str | None = None
    set_back: str | None = None
    present: Callable[["Settings"], bool] = lambda settings: True

    def is_on(self, settings: "Settings") -> bool:
        """Whether resolved settings have it."""
        if self.loss is not None and self.loss not in settings.weights.on:
            return False
        if not self.options:
            return self.present(settings)
        return any(
            getattr(settings, name) != self.value_of_the_paper(name, settings) for name in self.options
        )

    def value_of_the_paper(self, name: str, settings: "Settings") -> Any:  # noqa: ANN401 - any option's
        """An option's value in the paper, beside the other resolved settings."""
        value = self.options[name].paper
        return getattr(settings, value.option) if isinstance(value, As) else value

    @property
    def commands(self) -> list[str]:
        """The options that set it back, each as a user would type it."""
        return [_typed(name, choice.paper) for name, choice in self.options.items()]


class Unstated(NamedTuple):
    """What the paper at hand does not state, so that any value is ours.

    Attributes:
        name: in a few words.
        here: what is done; a Choice of its options in braces stands for its value.
        options: those in which the methods differ.
    """

    name: str
    here: str
    options: Mapping[str, Choice] = {}


def _typed(name: str, value: Any) -> str:  # noqa: ANN401 - any option's
    spelling = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{spelling}" if value else f"--no-{spelling}"
    return f"--{spelling} {value.option.upper() if isinstance(value, As) else in_words(value)}"
