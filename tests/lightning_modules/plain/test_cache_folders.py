from pathlib import Path

import platformdirs

from lightning_modules.plain.cache_folders import NAME, CacheFolders

ROOT = Path(__file__).parents[3]
KINDS = [name for name, value in vars(CacheFolders).items() if isinstance(value, property)]


def test_every_kind_has_a_folder_of_its_own_below_the_root(tmp_path: Path) -> None:
    folders = [getattr(CacheFolders.below(tmp_path), kind) for kind in KINDS]
    assert len(set(folders)) == len(KINDS) > 5
    assert all(folder.parent == tmp_path for folder in folders)


def test_without_a_root_they_lie_in_the_user_s_cache() -> None:
    assert CacheFolders.below(None).photographs == platformdirs.user_cache_path(NAME) / "photographs"


def test_nothing_else_looks_for_the_user_s_cache() -> None:
    paths = [
        path
        for folder in ("lightning_modules", "datamodules", "ablations", "evaluation", "morphable_faces")
        for path in (ROOT / folder).rglob("*.py")
        if "user_cache_path" in path.read_text()
    ]
    assert [path.name for path in paths] == ["cache_folders.py"]
