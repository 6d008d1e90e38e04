"""A run's settings as `--dry-run` prints them: what each is, where it comes from, what the method changes."""

from dataclasses import replace
from typing import get_args

from ablations.runs import components
from ablations.runs.departures import departures_in_lines
from ablations.runs.execution import Execution, check_options, identity_of
from ablations.runs.settings import Method, Settings
from evaluation.reporting.results import default_output, finished_results
from lightning_modules.plain.declared_options import Option, in_words, options_of


def preview(settings: Settings, execution: Execution, command: str) -> str:
    """What a run would train and where; loads neither morphable model, network nor photograph.

    Args:
        settings: as they were given, not resolved.
        execution: as it was given.
        command: whose run it is.

    Raises:
        ValueError: for what a run would refuse.
    """
    full = settings.resolved()
    check_options(full, execution)
    identity = identity_of(full, execution)
    folder = (execution.output or default_output(command, identity)).absolute()
    finished = finished_results(folder, command, identity, overwrite=execution.overwrite)
    if finished is None:
        components.check_sources(full, execution)
    state = "holds this run's results" if finished else "is where its results will go"
    return "\n\n".join(
        [
            settings_in_lines(settings, execution),
            method_in_lines(settings),
            departures_in_lines(full),
            *([full.warning] if full.warning else []),
            f"{folder} {state}",
        ]
    )


def settings_in_lines(settings: Settings, execution: Execution) -> str:
    """Every option, one a line: its resolved value, and what it follows from.

    Args:
        settings: as they were given, not resolved.
        execution: as it was given.
    """
    full = settings.resolved()
    rows = [
        (f"--{option.spelling}", in_words(getattr(full, option.name)), settings.origin_of(option.name))
        for option in options_of([Settings])
    ]
    for option in options_of([Execution]):
        if option.name == "dry_run":
            continue
        value = _value(execution, option)
        rows.append(
            (f"--{option.spelling}", in_words(value), "default" if value == option.default else "given")
        )
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        f"{name:{widths[0]}}  {value:{min(widths[1], 24)}}  {origin}" for name, value, origin in rows
    )


def method_in_lines(settings: Settings) -> str:
    """What the chosen method sets otherwise than the other one, one option a line."""
    (other,) = {*get_args(Method)} - {settings.method}
    heading = f"What --method {settings.method} changes, beside --method {other}:"
    try:
        there = replace(settings, method=other).resolved()
    except ValueError as error:
        return f"{heading}\n  with --method {other} these options are refused: {error}"
    here = settings.resolved()
    lines = [
        f"  --{option.spelling}: {in_words(getattr(here, option.name))} instead of "
        f"{in_words(getattr(there, option.name))}"
        for option in options_of([Settings])
        if option.name != "method" and getattr(here, option.name) != getattr(there, option.name)
    ]
    return "\n".join([heading, *(lines or ["  nothing: every option that it sets was given"])])


def _value(execution: Execution, option: Option) -> object:
    value: object = execution
    for part in option.name.split("."):
        value = getattr(value, part)
    return value
