"""Progress bars."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str, total: int, *, visible: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar that the yielded function advances by so many; none where there is nothing to do."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not visible or total == 0) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)
