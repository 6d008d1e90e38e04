"""Manifests: what a command wrote in its output folder, a line of JSON for each file.

A line is on the disk before its file appears, so that a run that was killed knows its own files.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

# A file; a folder that others fill; another command's output folder; a folder that is deleted when empty.
KINDS = ("file", "tree", "output", "folder")
MANIFEST = ".written"


def read_manifest(folder: Path) -> tuple[str | None, dict[str, str]]:
    """Whose manifest lies in a folder, and the kind of each path; lines that a kill cut off are passed over.

    Raises:
        ValueError: if the file is no manifest.
    """
    file = folder / MANIFEST
    if not os.path.lexists(file):
        return None, {}
    try:
        lines = (
            [] if file.is_symlink() or not file.is_file() else file.read_text(encoding="utf-8").splitlines()
        )
    except (OSError, ValueError):
        lines = []
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    if not entries or entries[0][0] != "command":
        raise ValueError(f"{file} is no list of what a command wrote; move it away, or name another --output")
    return entries[0][1], {path: kind for kind, path in entries[1:] if kind in KINDS}


def _entry(line: str) -> tuple[str, str] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or len(content) != 1:
        return None
    ((kind, path),) = content.items()
    return (kind, path) if isinstance(path, str) else None


def write_manifest(folder: Path, command: str) -> None:
    """An empty manifest, in place of the one before it."""
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f"{MANIFEST}-")
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps({"command": command}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, folder / MANIFEST)
    finally:
        Path(temporary).unlink(missing_ok=True)


def append_to_manifest(folder: Path, entries: Sequence[tuple[str, str]]) -> None:
    """Add lines to a manifest that is there, each a kind and a path, on the disk when this returns."""
    # A line of its own, whatever a killed process left of the one before.
    text = "".join(f"\n{json.dumps({kind: key})}\n" for kind, key in entries)
    descriptor = os.open(folder / MANIFEST, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
