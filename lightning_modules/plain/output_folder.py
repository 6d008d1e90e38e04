"""Output folders: a command writes only below its own, and deletes only what it wrote there.

One rule holds for every command that fills a folder. It writes only below that folder, replaces and deletes
only what the folder's manifest says that it wrote, and refuses a folder that holds what it reads.

The manifest is the file `.written`, see `manifests`.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .files import delete_leftovers
from .manifests import MANIFEST, append_to_manifest, read_manifest, write_manifest
from .quotations import first_of

# What a folder of a version without manifests is known by.
MARKS = ("results.json", "started.json")
# What others write below a folder that a command made for them: by its name, the names of their entries.
THIRD_PARTY = {
    "wandb": r"(offline-)?run-\d{8}_\d{6}-[\w-]+|latest-run|debug[\w.-]*\.log|wandb-resume\.json",
    "jobs": r"\d+(_\d+)*_(submitted\.pkl|result\.pkl|log\.(out|err)|submission\.sh)|submission_file_\w+\.sh",
    "tensorboard": r"events\.out\.tfevents\..+|hparams\.yaml",
}
NAMED = 3  # files that a sentence names


@dataclass(frozen=True)
class OutputFolder:
    """A command's output folder, which need not exist.

    Several processes may claim in one folder. A file that was changed after the command wrote it, or put in
    its place by hand, is still the command's.

    Attributes:
        root: the folder that the manifest lies in.
        command: whose it is, such as run.
        prefix: names are counted from this subfolder; see `below`.
        registers: whether this process keeps the manifest; of several that claim the same files, one does.
    """

    root: Path
    command: str
    prefix: str = ""
    registers: bool = True
    # What the manifest said when it was last read: a kind, by path below the root.
    _known: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """The folder that names are counted from, to read in."""
        return self.root / self.prefix

    @property
    def program(self) -> str:
        """The command, as a user starts it."""
        return f"{self.command}.py"

    def below(self, name: str) -> "OutputFolder":
        """A subfolder, with the same manifest."""
        prefix = PurePosixPath(self.prefix, name).as_posix()
        return OutputFolder(self.root, self.command, prefix, self.registers, self._known)

    # ------------------------------------------------------------------ before any work

    def check(self, inputs: Iterable[Path | None] = (), *, overwrite: bool = False) -> None:
        """Refuse a folder in which the command must not work; call it before anything heavy is loaded.

        A folder inside an input folder is no such folder: see `without_outputs`.

        Args:
            inputs: files and folders that the command reads; None is passed over. They are not looked at
                where the folder is empty, so that a long list may be made lazily.
            overwrite: whether the command is to start anew there.

        Raises:
            ValueError: if the folder holds an input, belongs to another command, or holds files of others and
                no manifest; with `overwrite` also if it was filled by a version that kept no manifest.
        """
        # `new/../mine` is `mine`, also before `new` is made.
        root = self.root.resolve()
        if root.exists() and not root.is_dir():
            raise ValueError(
                f"nothing can be written in the output folder {self.root} (it is a file); name another "
                "--output"
            )
        entries = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        if not entries:
            return
        self._refuse_inputs(inputs)
        if not self.registers:
            return
        owner = self.owner()
        if owner is None:
            visible = [name for name in entries if not name.startswith(".")]
            if visible and not self.is_older():
                raise ValueError(
                    f"{self.root} holds other files than those of {self.program}, such as {visible[0]}; name "
                    "another --output"
                )
            if visible and overwrite:
                raise ValueError(
                    f"{self.root} was filled by an older version, which kept no list of what it wrote there, "
                    "so that --overwrite cannot tell its files from yours; delete the folder yourself, or "
                    "name another --output"
                )
        elif owner != self.command:
            raise ValueError(
                f"{self.root} belongs to the command {owner}, not {self.command}; name another --output"
            )

    def owner(self) -> str | None:
        """The command whose manifest lies in the folder; None where there is none.

        Raises:
            ValueError: if a file of the manifest's name is something else.
        """
        return read_manifest(self.root.resolve())[0]

    def is_older(self) -> bool:
        """Whether a version without manifests has worked in the folder."""
        return self.owner() is None and any((self.root.resolve() / mark).is_file() for mark in MARKS)

    def begin(self, *, overwrite: bool = False, older: Sequence[str] = ()) -> str:
        """Make the folder, or take it up where it was left; with `overwrite`, delete what was written there.

        Args:
            overwrite: start anew.
            older: glob patterns of what the command makes for sure: in a folder that a version without
                manifests left, these are taken for its own.

        Returns:
            A sentence that says what `overwrite` left in place; empty where that is nothing.
        """
        if not self.registers:
            return ""
        self._delete_leftovers()
        if self.owner() is None:
            found = sorted({path for pattern in (*MARKS, *older) for path in self.root.glob(pattern)})
            self._note([("output" if path.is_dir() else "file", self._key(path)) for path in found])
            return ""
        kept = self.delete_written() if overwrite else []
        if not kept:
            return ""
        return f"kept in {self.root}, since {self.program} did not write it: {first_of(kept, NAMED)}"

    # ------------------------------------------------------------------ writing

    def claim(self, name: str) -> Path:
        """The path at which the command may write a file; the folders above it are made. See `claims`."""
        return self.claims([name])[0]

    def claims(self, names: Sequence[str]) -> list[Path]:
        """The paths at which the command may write these files.

        Args:
            names: relative to `path`, with slashes.

        Raises:
            ValueError: if a name leaves the folder, or a file of that name is there which the command did not
                write.
        """
        return self._claimed("file", names)

    def claim_tree(self, name: str) -> Path:
        """A folder that others fill: one of THIRD_PARTY.

        Raises:
            ValueError: if it was there before.
        """
        assert PurePosixPath(name).name in THIRD_PARTY
        return self._claimed("tree", [name])[0]

    def claim_output(self, name: str) -> Path:
        """The output folder of another command that this one starts; it has a manifest of its own.

        Raises:
            ValueError: if it was there before.
        """
        return self._claimed("output", [name])[0]

    def written(self, pattern: str = "*") -> list[Path]:
        """The files directly in `path` which the command wrote, sorted by name."""
        self._reload()
        return [
            path for path in sorted(self.path.glob(pattern)) if self._known.get(self._key(path)) == "file"
        ]

    def wrote(self, path: Path) -> bool:
        """Whether the manifest names a file, or a folder around it that others fill."""
        key = PurePosixPath(self._key(path))
        above = (self._known.get(parent.as_posix()) for parent in key.parents)
        return self._known.get(key.as_posix()) == "file" or "tree" in above

    def delete_written(self) -> list[str]:
        """Delete what the manifest names, and folders that are empty then; the names of what is left.

        The manifest stays, empty. Of folders that others fill, only what is theirs by its name is deleted.
        """
        self._reload()
        entries = dict(self._known)
        # First what says that work is finished here: a deletion that is stopped leaves unfinished work.
        for key in sorted(entries, key=lambda key: key not in MARKS):
            path = self._inside_or_none(key)
            if path is not None:
                _DELETE[entries[key]](path)
        folders = [key for key, kind in entries.items() if kind != "file"]
        for key in sorted(folders, key=lambda key: -len(PurePosixPath(key).parts)):
            path = self._inside_or_none(key)
            if path is not None and path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
        self._known.clear()
        write_manifest(self.root, self.command)
        return sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))

    def abandon(self) -> None:
        """Delete what was written and the manifest, and the folder where it is empty then."""
        if not self.root.is_dir() or self.owner() is None:
            return
        self.delete_written()
        (self.root / MANIFEST).unlink()
        if not any(self.root.iterdir()):
            self.root.rmdir()

    # ------------------------------------------------------------------ parts

    def _claimed(self, kind: str, names: Sequence[str]) -> list[Path]:
        """The paths of names, whose lines are on the disk before anything is."""
        keys = [self._checked_key(name) for name in names]
        if not self.registers:
            return [self.root / key for key in keys]
        if not self._known.keys() >= set(keys):
            self._reload()
        for key in keys:
            path = self.root / key
            if os.path.lexists(path) and (self._known.get(key) != kind or path.is_symlink()):
                raise ValueError(
                    f"{path} exists and was not written by {self.program}; move it away, or name another "
                    "--output"
                )
        above = {parent for key in keys for parent in PurePosixPath(key).parents[:-1]}
        made = sorted((parent.as_posix() for parent in above if not (self.root / parent).is_dir()), key=len)
        self._note([*(("folder", key) for key in made), *((kind, key) for key in keys)])
        for key in made:
            (self.root / key).mkdir(exist_ok=True)
        return [self.root / key for key in keys]

    def _checked_key(self, name: str) -> str:
        relative = PurePosixPath(self.prefix, name)
        if relative.is_absolute() or ".." in relative.parts or not PurePosixPath(name).parts:
            raise ValueError(f"{name!r} names no file below the output folder {self.root}")
        path = self.root / relative
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(
                f"{path} leads out of the output folder through a link; remove the link, or name another "
                "--output"
            )
        return relative.as_posix()

    def _inside_or_none(self, key: str) -> Path | None:
        """A path of the manifest; None where it leads out of the folder by now."""
        try:
            return self.root / OutputFolder(self.root, self.command)._checked_key(key)
        except ValueError:
            return None

    def _delete_leftovers(self) -> None:
        """Delete what a killed process left of files that it was writing, see `files.written_atomically`."""
        if self.root.is_dir() and self.owner() == self.command:
            self._reload()
            for key, kind in self._known.items():
                path = self._inside_or_none(key) if kind == "file" else None
                if path is not None:
                    delete_leftovers(path)

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _reload(self) -> None:
        self._known.update(read_manifest(self.root)[1])

    def _note(self, entries: Sequence[tuple[str, str]]) -> None:
        """Add lines to the manifest, which is made where there is none."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self._known and self.owner() is None:
            write_manifest(self.root, self.command)
        new = [(kind, key) for kind, key in entries if self._known.get(key) != kind]
        if not new:
            return
        append_to_manifest(self.root, new)
        self._known.update((key, kind) for kind, key in new)

    def _refuse_inputs(self, inputs: Iterable[Path | None]) -> None:
        own, seen = _identity(self.root.resolve()), set()
        for place in inputs:
            if place is None:
                continue
            # A link in the folder is held by it as well as what a link elsewhere leads to.
            for real in {place.resolve(), place.parent.resolve() / place.name}:
                for folder in (real, *real.parents):
                    if folder in seen:
                        break
                    seen.add(folder)
                    if _identity(folder) == own:
                        raise ValueError(
                            f"the output folder {self.root} holds {place}, which {self.program} reads; name "
                            "another --output"
                        )


def without_outputs(paths: Iterable[Path], folder: Path, *, made_by: Collection[str] = ()) -> list[Path]:
    """The paths that no command wrote, by the manifests of output folders below a folder.

    What a command leaves below its input folder (`reconstruct.py CKPT .` makes `./runs`) is no input of the
    next start. A folder that is itself an output folder, or lies in one, was named on purpose: its files
    count.

    Args:
        paths: below the folder.
        folder: of inputs.
        made_by: commands whose files count all the same, such as those whose meshes are scored.
    """
    outputs: dict[Path, OutputFolder | None] = {}

    def is_written(path: Path) -> bool:
        for parent in path.parents:
            if parent == folder:
                return False
            if parent not in outputs:
                outputs[parent] = _output_at(parent)
            output = outputs[parent]
            if output is not None and output.command not in made_by and output.wrote(path):
                return True
        return False

    return [path for path in paths if not is_written(path)]


def _output_at(folder: Path) -> OutputFolder | None:
    """The output folder that a folder is, its manifest read; None of any other."""
    try:
        owner, known = read_manifest(folder)
    except ValueError:
        return None
    return None if owner is None else OutputFolder(folder, owner, _known=known)


def _identity(path: Path) -> tuple[int, int] | None:
    """What a file is, however it is named; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _delete_file(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()


def _delete_tree(path: Path) -> None:
    """Delete what others wrote into their folder, as far as it is known by its name."""
    if path.is_symlink() or not path.is_dir():
        return
    pattern = re.compile(THIRD_PARTY.get(path.name, "(?!)"))
    for entry in path.iterdir():
        if pattern.fullmatch(entry.name):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _delete_output(path: Path) -> None:
    output = None if path.is_symlink() else _output_at(path)
    if output is not None:
        output.abandon()


_DELETE: dict[str, Callable[[Path], None]] = {
    "file": _delete_file,
    "tree": _delete_tree,
    "output": _delete_output,
    "folder": lambda path: None,  # afterwards, where it is empty
}
