"""Walks every import of the project and holds the rules that docs/architecture.md states."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "lightning_modules",
    "datamodules",
    "ablations",
    "evaluation",
    "morphable_faces",
    "benchmarks",
    "tests",
}
# Libraries of the method: what photographs and stand-ins are made with.
OF_THE_METHOD = {
    "lightning_modules.faces",
    "lightning_modules.rendering",
    "lightning_modules.recognition",
}
# Each library and the other libraries of ours that it may import.
PLAIN = "lightning_modules.plain"
LIBRARIES = {
    PLAIN: set(),
    "lightning_modules.faces": {PLAIN, "lightning_modules.rendering"},
    "lightning_modules.rendering": {PLAIN},
    "lightning_modules.recognition": {PLAIN},
    "datamodules.long_work": {PLAIN},
    "datamodules.alignment": {PLAIN, "datamodules.long_work", *OF_THE_METHOD},
    "datamodules.stand_in": {PLAIN, "datamodules.long_work", *OF_THE_METHOD},
    "evaluation.metrics": {PLAIN},
    "evaluation.reporting": {PLAIN, "evaluation.metrics"},
}
FORBIDDEN_IN_LIBRARIES = {"lightning", "pytorch_lightning", "wandb"}
# Rooms of a folder, lowest first: a room imports itself and the rooms below it, never one beside it.
ROOMS = {
    "ablations": [{"runs"}, {"studies"}],
    "evaluation": [
        {"shared"},
        {"groups"},
        {"likeness", "scans", "reconstruction"},
        {"known_truth", "damage"},
    ],
}
# Whose files may import which other folders' files (every folder may import the libraries).
FOLDERS = {
    "lightning_modules": set(),
    "datamodules": set(),
    "ablations": {"lightning_modules", "datamodules"},
    "evaluation": {"lightning_modules", "datamodules"},
    # The front door: it may import every folder, and none imports it.
    "morphable_faces": {"lightning_modules", "datamodules", "ablations", "evaluation"},
}


def library_of(module: str) -> str | None:
    return next((name for name in LIBRARIES if module == name or module.startswith(name + ".")), None)


def imported_modules(source: str, module: str, is_package: bool) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parents = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            # `from package import module` reaches the module.
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def violations(module: str, imports: list[str]) -> list[str]:
    """The imports of a module that break a rule, each as one sentence."""
    library, folder = library_of(module), module.split(".")[0]
    broken = []
    for name in imports:
        top, imported_library = name.split(".")[0], library_of(name)
        if library is not None:
            if top in FORBIDDEN_IN_LIBRARIES:
                broken.append(f"{module}: a library imports {name}")
            elif imported_library is not None:
                if imported_library not in {library, PLAIN, *LIBRARIES[library]}:
                    broken.append(f"{module}: {library} may not import {imported_library}")
            elif top in TOP_LEVEL:
                broken.append(f"{module}: a library imports {name}, which lies directly in a folder")
        elif top in FOLDERS and imported_library is None and top not in {folder, *FOLDERS[folder]}:
            broken.append(f"{module}: files of {folder} may not import files of {top} ({name})")
        elif top == folder and top in ROOMS and imported_library is None:
            if is_command(name):
                broken.append(f"{module}: imports the command {name}")
            elif height(name) > height(module) or (
                height(name) == height(module) and room_of(name) != room_of(module)
            ):
                broken.append(f"{module}: may not import {name}, a room beside or above it")
    return broken


def room_of(module: str) -> str | None:
    """The room of a module of `ablations` or `evaluation`; None of a command."""
    folder, *rest = module.split(".")
    return next((room for level in ROOMS[folder] for room in level if rest[:1] == [room]), None)


def height(module: str) -> int:
    """The level of a module's room; commands stand above all rooms."""
    levels = ROOMS[module.split(".")[0]]
    return next((n for n, level in enumerate(levels) if room_of(module) in level), len(levels))


def is_command(name: str) -> bool:
    """Whether an imported name is, or lies in, a file directly in `ablations` or `evaluation`."""
    folder, *rest = name.split(".")
    return bool(rest) and (ROOT / folder / f"{rest[0]}.py").is_file()


def test_every_import_keeps_the_rules() -> None:
    broken, count = [], 0
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            broken += violations(module, imported_modules(path.read_text(), module, is_package))
            count += 1
    assert count > 0
    assert not broken, "\n".join(broken)


def test_packages_hold_only_a_docstring() -> None:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("__init__.py"):
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, f"{path.relative_to(ROOT)} holds more than a docstring"
            assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lightning_modules.rendering.camera", "import lightning"),
        ("lightning_modules.rendering.camera", "from lightning_modules.faces import normals"),
        ("lightning_modules.plain.output_folder", "from lightning_modules.faces import files"),
        ("lightning_modules.recognition.dlib", "from lightning_modules import regressor"),
        ("lightning_modules.faces.show", "from ..regressor import Regressor"),
        ("evaluation.metrics.icp", "from evaluation.reporting import tables"),
        ("datamodules.lfw", "from lightning_modules.losses import identity_loss"),
        ("lightning_modules.regression", "import datamodules.lfw"),
        ("evaluation.micc", "from ablations import run"),
        ("evaluation.micc", "from morphable_faces import api"),
        ("evaluation.micc", "from evaluation import similarity"),
        ("evaluation.scans.scoring", "from evaluation import micc"),
        ("evaluation.scans.scoring", "from evaluation.micc import main"),
        ("evaluation.scans.scoring", "from evaluation.likeness import options"),
        ("evaluation.shared.judge", "from evaluation.groups import options"),
        ("evaluation.groups.panel", "from ..damage.corruptions import CORRUPTIONS"),
        ("ablations.runs.settings", "from ablations.studies import designs"),
        ("ablations.runs.settings", "from ablations.run import main"),
        ("datamodules.long_work.row_files", "from lightning_modules.faces import mesh"),
        ("datamodules.alignment.images", "from datamodules.lfw import LFW"),
        ("lightning_modules.plain.files", "from lightning_modules.faces import mesh"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert violations(module, imported_modules(source, module, is_package=False))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lightning_modules.faces.show", "from lightning_modules.rendering import camera"),
        ("lightning_modules.faces.show", "from .normals import vertex_normals"),
        ("evaluation.reporting.results", "from lightning_modules.plain.output_folder import OutputFolder"),
        ("datamodules.lfw", "import lightning\nfrom lightning_modules.recognition import networks"),
        ("evaluation.micc", "from datamodules import micc\nfrom lightning_modules import regressor"),
        ("evaluation.damage.pictures", "from evaluation.scans import heat_maps"),
        ("evaluation.scans.scoring", "from .records import ScoreRecord"),
        ("ablations.factorial", "from ablations.runs import settings"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert not violations(module, imported_modules(source, module, is_package=False))


@pytest.mark.parametrize("folder", list(ROOMS))
def test_files_directly_in_a_folder_of_commands_are_commands(folder: str) -> None:
    for path in (ROOT / folder).glob("*.py"):
        names = {getattr(node, "name", "") for node in ast.parse(path.read_text()).body}
        assert path.name == "__init__.py" or "main" in names, f"{path.name} is no command"


def test_every_room_has_its_place() -> None:
    for folder, levels in ROOMS.items():
        rooms = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
        libraries = {name.split(".")[1] for name in LIBRARIES if name.startswith(folder)}
        assert rooms - libraries == set().union(*levels)


def test_no_file_is_longer_than_400_lines() -> None:
    for folder in [*FOLDERS, "benchmarks"]:
        for path in (ROOT / folder).rglob("*.py"):
            # Compiled kernels of one image, which call each other and are inlined from one module.
            if path.name != "fused_kernels.py":
                assert len(path.read_text().splitlines()) <= 400, f"{path.relative_to(ROOT)} is too long"


def test_no_noun_names_two_classes() -> None:
    places: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
