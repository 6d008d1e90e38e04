"""The built open model's file, made at first use."""

from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lightning_modules.faces.loaders.basel import save_basel
from lightning_modules.faces.open_model.build import STEPS, build_open_model, model_name
from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.one_at_a_time import one_at_a_time


def cache_folder() -> Path:
    """Where built models are kept, below the user's cache folder."""
    return CacheFolders.below(None).morphable_models


def open_model_file(level: int = 1, *, rebuild: bool = False) -> Path:
    """Path of the open model in Basel's layout; builds it with a progress bar where it is missing.

    The file's name holds the recipe's and the package's versions. It appears only when it is complete; a
    second process that asks meanwhile waits for the first.

    Raises:
        ModuleNotFoundError: if it must be built and the package that carries the base mesh is missing.
    """
    path = cache_folder() / f"{model_name(level)}.h5"
    if path.is_file() and not rebuild:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.with_suffix(".lock"), "builds the open model"):
        if rebuild or not path.is_file():
            _build(path, level)
    return path


def _build(path: Path, level: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("open model", total=len(STEPS))

        def begin(step: str) -> None:
            bar.update(task, description=f"open model: {step}", completed=STEPS.index(step))

        model = build_open_model(level, progress=begin)
        save_basel(model, path)
        bar.update(task, description="open model", completed=len(STEPS))
