from pathlib import Path

import pytest

from lightning_modules.plain.folder_walk import visible_files


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, pattern: str = "**/*") -> list[str]:
    return [path.relative_to(folder).as_posix() for path in visible_files(folder, pattern)]


def test_files_at_any_depth_come_sorted_without_hidden_ones(tmp_path: Path) -> None:
    made(tmp_path, "b", "a/2", "a/1", "a-b", ".hidden", ".folder/x", "a/.x/y")
    assert found(tmp_path) == ["a-b", "a/1", "a/2", "b"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.png"]),
        ("*/*.png", ["x/b.png"]),
        ("**/*.png", ["a.png", "x/b.png", "x/y/c.png"]),
        ("x/**/*.png", ["x/b.png", "x/y/c.png"]),
        ("**/y/*", ["x/y/c.png"]),
        ("*.jpg", []),
    ],
)
def test_patterns_are_those_of_a_path(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    made(tmp_path, "a.png", "x/b.png", "x/y/c.png")
    assert found(tmp_path, pattern) == expected
    assert sorted(path for path in tmp_path.glob(pattern) if path.is_file()) == visible_files(
        tmp_path, pattern
    )


def test_a_folder_that_several_names_lead_to_is_looked_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    made(root, "z/1")
    made(tmp_path, "outside/2")
    (root / "a").symlink_to(root / "z")
    (root / "z/up").symlink_to(root)
    (root / "b").symlink_to(tmp_path / "outside")
    (root / "c").symlink_to(tmp_path / "outside")
    (root / "lost").symlink_to(tmp_path / "nowhere")
    assert found(root) == ["b/2", "lost", "z/1"]
